"""The comparison of a report with what the driver knows finds each thing that a report may get wrong."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from tests.real.servers.answers import Answer
from tests.real.servers.measured import LINE, complaints
from tests.real.servers.output import differences
from tests.real.servers.run import Served
from tests.real.servers.table import Case, Ending, Loop, Server

MS = 1_000_000
CASE = Case(Server(name="server", command="server"), Loop.ASYNCIO, Ending.TERM)
ANSWERS = [
    Answer(0, "ok", 900 * MS, 901 * MS, 7),
    Answer(6, "block", 1_000 * MS, 1_185 * MS, 7, from_ns=1_000 * MS, to_ns=1_180 * MS),
    Answer(0, "ok", 1_050 * MS, 1_182 * MS, 7),
    Answer(1, "ok", 1_100 * MS, 1_182 * MS, 7),
    Answer(2, "ok", 1_100 * MS, 1_101 * MS, 8),  # by another worker
]
SERVED = Served(0, "", "", [ANSWERS], [{7, 8}], {})
ROW = {"watched": True, "exit": 0, "loops": [{"implementation": "asyncio"}], "may_have_looped": False}
BLOCK = {"file": "/shop.py", "line": LINE, "where": f"shop.py:{LINE}", "function": "block", "cause": "call"}
REPORT: dict[str, Any] = {
    "run": {"outcome": "observed", "verdict": "Loop blocked.", "target": {"exit": 0}},
    "overhead": {"cpu_ratio": 1.1, "events_dropped": 0},
    "findings": [{"rule": "blocks", "level": "warning", "message": "block held the loop"}],
    "processes": [{**ROW, "pid": pid, "outlived": False} for pid in (7, 8)],
    "blocks": [{**BLOCK, "pid": 7, "at_s": 0.999, "held_ms": 182.0, "count": 1, "victims_total": 2}],
}


def wrong(change: Callable[[dict[str, Any]], object]) -> list[str]:
    report = deepcopy(REPORT)
    change(report)
    return list(complaints(CASE, SERVED, report, 0))


def alarm(cause: str, at_s: float) -> dict[str, Any]:
    """A block that nobody asked for."""
    return {**REPORT["blocks"][0], "function": "other", "line": 1, "cause": cause, "at_s": at_s}


def test_a_right_report_has_no_complaint() -> None:
    """Nor has one with what the machine did, or what a program did before its first request."""
    assert wrong(lambda report: None) == []
    assert wrong(lambda report: report["blocks"].append(alarm("descheduled", 1.5))) == []
    assert wrong(lambda report: report["blocks"].append(alarm("call", 0.5))) == []


WRONG: dict[str, Callable[[dict[str, Any]], object]] = {
    "outcome": lambda report: report["run"].update(outcome="crashed"),
    "the status": lambda report: report["run"]["target"].update(exit=1),
    "overhead": lambda report: report["overhead"].update(cpu_ratio=None),
    "overhead: {'cpu_ratio': 1.1, 'events_dropped'": lambda report: report["overhead"].update(
        events_dropped=2
    ),
    "finding": lambda report: report["findings"].append(
        {"rule": "cut_off", "level": "warning", "message": "cut off"}
    ),
    "worker 8": lambda report: report["processes"].pop(),
    "worker 7: ": lambda report: report["processes"][0].update(watched=False),
    "worker 7 runs": lambda report: report["processes"][0].update(loops=[{"implementation": "uvloop"}]),
    "not so": lambda report: report["processes"][0].update(may_have_looped=True),
    "1 blocks, and 0 found": lambda report: report["blocks"].clear(),
    "blamed on": lambda report: report["blocks"][0].update(cause="gc"),
    "blamed on ok": lambda report: report["blocks"][0].update(function="ok"),
    "a block of 180 ms in 7, found one of 182 ms in 8": lambda report: report["blocks"][0].update(pid=8),
    "a block of 180 ms in 7, found one of 102 ms": lambda report: report["blocks"][0].update(held_ms=102.0),
    "an alarm": lambda report: report["blocks"].append(alarm("call", 1.5)),
    "2 clients waited": lambda report: report["blocks"][0].update(victims_total=1),
}


@pytest.mark.parametrize("complaint", WRONG)
def test_what_is_wrong_is_found(complaint: str) -> None:
    """Each by itself."""
    assert wrong(WRONG[complaint])[0].startswith(complaint)


def test_outputs_differ_by_their_lines_alone() -> None:
    """What changes from run to run does not count; a line that is missing, new or printed twice does."""
    before = "12:00:01 worker 4711 ready\nGET /ok\nGET /ok\nbye\n"
    same = "12:00:09 worker 4712 ready\nbye\nGET /ok\nGET /ok\n"
    other = "12:00:09 worker 4712 ready\nGET /ok\nharness: failed\n"

    assert differences(before, same) == []
    assert differences(before, other) == ["-GET /ok", "-bye", "+harness: failed"]
    assert differences(before, other, "bye|harness") == ["-GET /ok"]
