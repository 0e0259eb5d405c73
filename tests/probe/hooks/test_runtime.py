"""An interpreter whose private parts differ: what needs them is left out, says why, and the rest goes on."""

from __future__ import annotations

import asyncio
from asyncio import BaseEventLoop, Handle
from concurrent.futures import thread as executors
from pathlib import Path

import pytest

from harness.probe.hooks import runtime
from harness.record.event import PartLeftOut, ProbeClosed, ProbeFailed, StepLogUnavailable, TasksCounted
from tests.support.watched import watched


def test_this_python_has_all_that_the_probe_needs() -> None:
    """On every version that is supported nothing is left out."""
    assert runtime.why_no_loop_hook(asyncio.events) == ""
    assert runtime.why_no_epoll_timing() == ""
    assert runtime.why_no_step_log() == ""
    assert runtime.why_no_executor_hook() == ""
    assert runtime.why_no_census() == ""
    assert runtime.resume_opcode() > 0


@pytest.mark.parametrize(
    ("owner", "name", "value", "reason"),
    [
        (Handle, "__slots__", (*Handle.__slots__, "_new"), "asyncio.Handle has unknown fields: _new"),
        (BaseEventLoop, "_call_soon", None, "asyncio.BaseEventLoop has no _call_soon"),
        (
            BaseEventLoop,
            "_call_soon",
            lambda self, handle: handle,
            "BaseEventLoop._call_soon takes self, handle",
        ),
    ],
)
def test_steps_are_not_logged_where_asyncio_makes_handles_in_another_way(
    monkeypatch: pytest.MonkeyPatch, owner: type, name: str, value: object, reason: str
) -> None:
    """The reason names the part that differs."""
    if value is None:
        monkeypatch.delattr(owner, name)
    else:
        monkeypatch.setattr(owner, name, value)

    assert runtime.why_no_step_log() == reason


def test_executors_are_left_alone_where_their_work_items_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason names the part that differs."""
    monkeypatch.setattr(executors, "_WorkItem", type("_WorkItem", (), {"__init__": lambda self, task: None}))

    assert runtime.why_no_executor_hook() == "tests._WorkItem has no run"


def test_a_program_runs_and_is_watched_where_parts_differ(tmp_path: Path) -> None:
    """The reasons are in the record, and nothing reaches the program."""
    program = """
        import asyncio, asyncio.tasks, sys, time
        asyncio.Handle.__slots__ = (*asyncio.Handle.__slots__, "_new")
        for name in ("_scheduled_tasks", "_all_tasks"):
            vars(asyncio.tasks).pop(name, None)
        vars(sys.modules["_asyncio"]).pop("all_tasks", None)  # in C since Python 3.14
        asyncio.tasks.all_tasks = lambda loop=None: set()

        async def main():
            await asyncio.to_thread(time.sleep, 0.01)
            time.sleep(0.1)

        asyncio.run(main())
    """
    seen = watched(program, tmp_path, waits=1.0, sample_hz=100)

    assert (seen.status, seen.stderr) == (0, "")
    assert [lost.reason for lost in seen.of(StepLogUnavailable)] == [
        "asyncio.Handle has unknown fields: _new"
    ]
    assert seen.of(ProbeFailed) == []
    assert [(out.part, out.reason) for out in seen.of(PartLeftOut)] == [
        ("census", "asyncio.tasks has no _scheduled_tasks")
    ]
    assert seen.of(TasksCounted) == []
    assert len(seen.of(ProbeClosed)) == 1
    assert len(seen.blocks) >= 1
