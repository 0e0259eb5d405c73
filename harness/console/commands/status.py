"""`status`: the whole service on one screen."""

from __future__ import annotations

import os
import platform
import time
from argparse import Namespace
from asyncio import Task
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ...probe.hooks import hook
from ...probe.hooks.state.task_state import TaskRef
from ...record import page
from ...record.clock import monotonic_ns
from ..protocol.command import Command, CommandClient
from ..protocol.errors import CommandError
from ..protocol.result import CommandResult, Rows
from ..protocol.table import counted
from ..view import block_summary, loop_history, task_table, task_view
from ..view.loop_history import Second
from ..view.loop_view import LoopView
from ..view.process import ProcessView
from ..view.task_view import TaskView

COLUMNS = (
    *("loop", "lag_ms", "worst_60s_ms", "turns_per_s", "busy_ratio", "tasks", "running", "ready", "waiting"),
    "blocks",
)
# The window of the current rates.
RECENT_S = 10
MINUTE_NS = 60_000_000_000
BLOCKERS, NAMES = 3, 5


class StatusCommand(Command):
    name = "status"
    summary = "overview: loops, tasks, blockers and load"
    help_order = 10

    def run(self, options: Namespace, process: ProcessView, client: CommandClient) -> CommandResult:
        views = process.loops()
        states = _states(process)
        history = {view.number: process.history.of(view.number) for view in views}
        rows = [_row(view, history[view.number], states.get(view.number, Counter())) for view in views]
        parts = [_about(), _late(views, process), _longest_turns(views, history), _blockers(process)]
        parts += [_in_force(process), _load(process), _dropped(process), _missing()]
        data = {key: value for part in parts for key, value in part.data.items()}
        return CommandResult(
            lines=tuple(line for part in parts for line in part.lines),
            rows=Rows(COLUMNS, rows),
            data=data,
            hint=_hint(bool(data["late"]), bool(data["blockers"])),
        )


@dataclass(frozen=True, slots=True)
class _Part:
    """One subject, as lines for users and as data for programs."""

    lines: list[str]
    data: dict[str, object]


def _about() -> _Part:
    version, uptime_s = platform.python_version(), _uptime_s()
    return _Part(
        [f"pid {os.getpid()}, Python {version}, up {uptime_s:.0f} s"],
        {"pid": os.getpid(), "python": version, "uptime_s": uptime_s},
    )


def _late(views: Sequence[LoopView], process: ProcessView) -> _Part:
    lines, late = [], []
    for view in views:
        if (frame := process.blocking_frame(view)) is not None:
            since_ms = (monotonic_ns() - frame.since_ns) / 1e6
            lines.append(f"loop {view.number} is LATE: held for {since_ms / 1e3:.1f} s by {frame}")
            place = {"file": frame.file, "line": frame.line, "function": frame.function}
            late.append({"loop": view.number, "since_ms": since_ms, **place})
    return _Part(lines, {"late": late})


def _longest_turns(views: Sequence[LoopView], history: dict[int, list[Second]]) -> _Part:
    kinds = {view.number: type(view.loop).__module__.partition(".")[0] for view in views}
    return _Part(
        [
            f"loop {n} ({kind}), longest turn in each second: {loop_history.sparkline(history[n])}"
            for n, kind in kinds.items()
        ],
        {
            "kinds": {str(number): kind for number, kind in kinds.items()},
            "longest_turns_ms": {
                str(n): [None if s.longest_ns is None else s.longest_ns / 1e6 for s in seconds]
                for n, seconds in history.items()
            },
        },
    )


def _blockers(process: ProcessView) -> _Part:
    worst = block_summary.blockers(block_summary.kept(process))[:BLOCKERS]
    lines = [
        f"blocker: {process.ownership.place(one.worst.found.frame)}, {one.count} x, "
        f"{one.total_ms:.0f} ms in all, {one.worst.held_ms:.0f} ms at most, {one.worst.found.cause}"
        for one in worst
    ]
    data = [
        {
            "where": process.ownership.place(one.worst.found.frame),
            "count": one.count,
            "total_ms": one.total_ms,
            "max_ms": one.worst.held_ms,
            "cause": one.worst.found.cause,
        }
        for one in worst
    ]
    return _Part(lines, {"blockers": data})


def _in_force(process: ProcessView) -> _Part:
    """Faults, and what clients have changed for a limited time."""
    try:
        found = process.control({"do": "faults"}).get("faults", [])
    except CommandError:  # this process can have none
        found = []
    faults = [
        f"{fault['id']} in {fault['place']}, fired {counted(fault['fired'], 'time')}"
        + (", used up" if fault["used_up"] else "")
        for fault in found
    ]
    changes = [f"{each.name}: {each.what}, {each.left_s:.0f} s left" for each in process.changes.in_force()]
    lines = [f"fault: {fault}" for fault in faults] + [f"in force: {change}" for change in changes]
    return _Part(lines, {"faults": faults, "limits": changes})


def _load(process: ProcessView) -> _Part:
    """The rate at which spans of each name ended, in the last minute or the known part of it."""
    now_ns, spans = monotonic_ns(), process.recent.spans()
    recent = [span for span in spans if span.end_ns >= now_ns - MINUTE_NS]
    first_ns = min((span.end_ns for span in recent), default=now_ns)
    known_s = max(1.0, (now_ns - first_ns) / 1e9 if len(recent) == len(spans) else MINUTE_NS / 1e9)
    most = Counter(span.name for span in recent).most_common(NAMES)
    per_s = {name: count / known_s for name, count in most}
    in_flight = len(process.recent.in_flight())
    named = ", ".join(f"{name} {rate:.1f}" for name, rate in per_s.items())
    return _Part(
        [f"spans per second: {named or 'none'}; {in_flight} in flight"] if named or in_flight else [],
        {"spans_per_s": per_s, "spans_in_flight": in_flight},
    )


def _dropped(process: ProcessView) -> _Part:
    dropped = {what: count for what, count in process.dropped().items() if count}
    listed = ", ".join(f"{count} {what}" for what, count in dropped.items())
    return _Part([f"dropped: {listed}"] if dropped else [], {"dropped": dropped})


def _missing() -> _Part:
    """The parts of the probe that failed or do not work in this process."""
    parts = hook.missing_parts()
    lines = [f"without {part}: {reason}" for part, reason in parts]
    return _Part(lines, {"missing": [{"part": part, "reason": reason} for part, reason in parts]})


def _row(view: LoopView, seconds: list[Second], states: Counter[str]) -> tuple[object, ...]:
    words = view.words
    is_uncounted = bool(words[page.UNTIMED] & page.UNCOUNTED)
    worst_ns = [second.longest_ns for second in seconds if second.longest_ns is not None]
    since_start = Second(
        monotonic_ns() - words[page.STARTED_NS], words[page.TURNS], words[page.BUSY_NS], None
    )
    recent = seconds[-RECENT_S:] or [since_start]
    length_ns = max(1, sum(second.length_ns for second in recent))
    turns_per_s = round(sum(second.turns for second in recent) * 1e9 / length_ns, 1)
    return (
        view.number,
        view.late_ns(monotonic_ns()) / 1e6,
        max(worst_ns) / 1e6 if worst_ns else None,
        None if is_uncounted else turns_per_s,
        None if is_uncounted else min(1.0, round(sum(second.busy_ns for second in recent) / length_ns, 4)),
        sum(states.values()),
        states[task_view.RUNNING],
        states[task_view.READY],
        states[task_view.WAITING],
        words[page.BLOCKS],
    )


def _states(process: ProcessView) -> dict[int, Counter[str]]:
    """The number of tasks in each state, by loop."""
    tasks = TaskView(process)
    states: dict[int, Counter[str]] = {}

    def visit(task: Task[Any], _: TaskRef) -> None:
        if (number := tasks.loop(task)) is not None:
            states.setdefault(number, Counter())[tasks.state(task)] += 1

    task_table.walk(visit)
    return states


def _uptime_s() -> float:
    """Seconds since the process was started, according to the kernel."""
    with open("/proc/self/stat", "rb") as file:  # noqa: PTH123
        fields = file.read().rpartition(b")")[2].split()
    return time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / os.sysconf("SC_CLK_TCK")


def _hint(late: bool, blockers: bool) -> str:
    if late:
        return "blocks: the block that goes on, and earlier ones"
    return "blocks: when, and which tasks had to wait" if blockers else "lints: everything that was found"
