"""`spans` and `trace`, and how other commands show spans."""

from __future__ import annotations

import pytest

from tests.support.console_programs import refused, row, rows
from tests.support.consoled import Consoled

ON_ASYNCIO = pytest.mark.parametrize("tasks_service", ["asyncio"], indirect=True)


def test_spans_by_name(traced: Consoled) -> None:
    """By name, `spans` shows those in flight with their age, and the finished ones with their durations."""
    spans = {one["span"]: one for one in rows(traced, "spans")}

    assert spans["quick"]["finished"] == 20
    assert spans["quick"]["p50_ms"] <= spans["quick"]["p99_ms"] <= spans["quick"]["max_ms"] < 300
    assert spans["pay"]["p50_ms"] >= 300
    assert (spans["ship"]["in_flight"], spans["ship"]["finished"]) == (1, 0)
    assert spans["order"]["oldest_ms"] >= spans["ship"]["oldest_ms"] > 0
    assert rows(traced, "spans --slowest")[0]["span"] == "pay"
    assert [one["span"] for one in rows(traced, "spans --in-flight")] == ["order", "ship"]


def test_a_task_is_shown_with_its_span(traced: Consoled) -> None:
    """`ps` and `task` show a task's span and trace."""
    told, shown = traced.ask("task slow --json"), row(traced, "slow")

    assert told["span"] == shown["span"] == "ship"
    assert told["trace_id"] == shown["trace_id"]
    assert len(told["span_id"]) == 16


def test_a_trace_tells_its_story(traced: Consoled) -> None:
    """`trace` shows the spans as a tree, the tasks that work on it, and the blocks that hit it."""
    trace_id = row(traced, "slow")["trace_id"]
    told = traced.ask(f"trace {trace_id[:8]} --json")

    assert [(one["span"].strip(), one["depth"]) for one in told["rows"]] == [
        ("order", 0),
        ("pay", 1),
        ("ship", 1),
    ]
    assert told["rows"][0]["took_ms"] is None
    assert told["rows"][0]["status"] == "in flight"
    assert told["rows"][1]["took_ms"] >= 300
    assert told["tasks"] == [row(traced, "slow")["id"]]
    assert [block["held_ms"] >= 250 for block in told["blocks"]] == [True]


def test_a_trace_that_is_not_known_is_refused(traced: Consoled) -> None:
    """An unknown trace is refused, and so is too short a prefix."""
    assert refused(traced, "trace ffffffff").startswith("no span of a trace ffffffff is in flight")
    assert "at least 4 digits" in refused(traced, "trace f")


@ON_ASYNCIO
def test_a_program_without_spans_is_told_so(program: Consoled) -> None:
    """A program without spans is reported as such."""
    assert program.ask("spans").startswith("no spans: this program has none")


def test_the_load_is_told_by_name(traced: Consoled) -> None:
    """`status` shows how many spans of each name ended per second."""
    told = traced.ask("status --json")

    assert told["spans_per_s"]["quick"] > told["spans_per_s"]["pay"] > 0
    assert told["spans_in_flight"] == 2
