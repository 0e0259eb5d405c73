"""What is wrong with a report, by what the driver and the workers know themselves."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from tests.real.servers.answers import Answer, blocks_of, clients_that_waited
from tests.real.servers.run import PROGRAMS, Served
from tests.real.servers.table import Case, Ending, Loop

LINE = 1 + next(
    i for i, line in enumerate((PROGRAMS / "shop.py").read_text().splitlines()) if "time.sleep" in line
)
# What the machine does to a loop, and what a program does with its first requests.
EXCUSED = {"descheduled", "gc", "import"}
# How much longer a block may be than the worker says: the turn goes on for a while, on a busy machine.
LONGER_MS = 250.0
# While the watchdog has no processor, nobody sees which line runs; and libuv's clock ticks in milliseconds.
SHORTER_MS = 50.0


def complaints(case: Case, served: Served, report: dict[str, Any], started_ns: int) -> Iterator[str]:
    """Each thing that the report of a run, which started at *started_ns*, gets wrong."""
    yield from _about_ending(case, served, report)
    yield from _about_workers(case, served, report)
    yield from _about_blocks(served, report, started_ns)
    if case.server.sockets:
        yield from _about_victims(served, report, started_ns)


def _about_ending(case: Case, served: Served, report: dict[str, Any]) -> Iterator[str]:
    outcome = "crashed" if case.ending is Ending.HANGUP else "observed"
    if report["run"]["outcome"] != outcome:
        yield f"outcome {report['run']['outcome']}: {report['run']['verdict']}"
    if report["run"]["target"]["exit"] != served.status:
        yield f"the status is {served.status}, and the report has {report['run']['target']['exit']}"
    if case.ending in case.server.dies_of:
        return  # what is written at the end is missing, and the report says so
    if report["overhead"]["cpu_ratio"] is None or report["overhead"]["events_dropped"]:
        yield f"overhead: {report['overhead']}"
    for finding in report["findings"]:
        is_true = case.server.finding and re.search(case.server.finding, finding["message"])
        if not is_true and (finding["rule"] != "blocks" or finding["level"] == "note"):
            yield f"finding: {finding['message']}"


def _about_workers(case: Case, served: Served, report: dict[str, Any]) -> Iterator[str]:
    rows = {row["pid"]: row for row in report["processes"]}
    for pid in set().union(*served.workers):
        row = rows.get(pid)
        if row is None or not row["watched"] or row["exit"] is None:
            yield f"worker {pid}: {row}"
        elif (Loop.UVLOOP in str(row["loops"])) is not (case.loop is Loop.UVLOOP):
            yield f"worker {pid} runs {row['loops']}"
    for row in rows.values():
        if row["may_have_looped"] or row["outlived"]:
            yield f"not so: {row}"


def _about_blocks(served: Served, report: dict[str, Any], started_ns: int) -> Iterator[str]:
    ours = [block for block in report["blocks"] if block["line"] == LINE and "shop.py" in block["file"]]
    said = blocks_of(served.answers)
    counted = sum(block["count"] for block in ours)
    if counted != len(said):
        yield f"{len(said)} blocks, and {counted} found"
    for block in ours:
        # Unknown is where the watchdog had no processor to ask the kernel.
        if block["function"] != "block" or block["cause"] not in ("call", "unknown"):
            yield f"blamed on {block['function']} as {block['cause']}"
    of_workers = sorted((answer.pid, (answer.to_ns - answer.from_ns) / 1e6) for answer in said)
    found = sorted((block["pid"], block["held_ms"]) for block in ours)
    for (pid, least_ms), (found_pid, held_ms) in zip(of_workers, found, strict=False):
        if pid != found_pid or not least_ms - SHORTER_MS <= held_ms <= least_ms + LONGER_MS:
            yield f"a block of {least_ms:.0f} ms in {pid}, found one of {held_ms:.0f} ms in {found_pid}"
    for block in report["blocks"]:
        if block not in ours and _is_alarm(block, served, started_ns):
            yield (
                f"an alarm at {block['at_s']:.2f} s: {block['function']} {block['held_ms']:.0f} ms, "
                f"{block['cause']}, {block['where']}, process {block['pid']}"
            )


def _is_alarm(block: dict[str, Any], served: Served, started_ns: int) -> bool:
    """Whether a worker that served had nothing to do in that time, as far as the program goes."""
    at_ns = started_ns + block["at_s"] * 1e9
    sent = [answer.sent_ns for answer in served.answers if answer.pid == block["pid"]]
    return block["cause"] not in EXCUSED and bool(sent) and at_ns > min(sent)


def _about_victims(served: Served, report: dict[str, Any], started_ns: int) -> Iterator[str]:
    for answers in served.rounds:
        for said in blocks_of(answers):
            waited = clients_that_waited(said, answers)
            found = _block_of(said, report, started_ns)
            if found is not None and found["victims_total"] < len(waited):
                yield f"{len(waited)} clients waited for a block, which has {found['victims_total']} victims"


def _block_of(said: Answer, report: dict[str, Any], started_ns: int) -> dict[str, Any] | None:
    """The block in whose time the worker slept."""
    middle_s = ((said.from_ns + said.to_ns) / 2 - started_ns) / 1e9
    for block in report["blocks"]:
        if block["pid"] == said.pid and block["at_s"] < middle_s < block["at_s"] + block["held_ms"] / 1e3:
            found: dict[str, Any] = block
            return found
    return None
