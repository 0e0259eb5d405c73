"""`lints`: everything that was found so far, by the rules of a report, and tasks that look wrong just now."""

from __future__ import annotations

from argparse import Namespace
from asyncio import Task
from collections import Counter
from collections.abc import Iterator
from typing import Any

from ...probe.hooks.state.task_state import TaskRef
from ...probe.tasks import waiting
from ..protocol.command import Command, CommandClient
from ..protocol.errors import CommandError
from ..protocol.result import CommandResult, Rows
from ..protocol.table import counted
from ..view import judgement, task_table, task_waits
from ..view.process import ProcessView
from ..view.task_stats import STEPS, StatsWindow
from ..view.task_view import TaskView

# Of the tasks that look wrong: which one. A finding is about a line.
COLUMNS = (*judgement.COLUMNS, "id", "task")
NOTE = "note"

# The polls needed to judge a task, and the share of them after which it woke itself.
POLLS, ITSELF = 20, 0.5
# Rows for tasks that are pending for ever; further tasks are only counted.
ORPHANED = 50

Row = tuple[object, ...]


class LintsCommand(Command):
    name = "lints"
    summary = "everything that was found so far, the gravest first"
    help_order = 15

    def run(self, options: Namespace, process: ProcessView, client: CommandClient) -> CommandResult:
        judged = judgement.judge(process)
        rows = [(*judgement.row(finding, process), None, None) for finding in judged.findings]
        window, unread = STEPS.window(process, client), ""
        try:
            rows += _of_tasks(window, TaskView(process))
        except CommandError as exc:
            unread = str(exc)
        levels = Counter(str(row[0]) for row in rows)
        counts = [counted(levels[level], level) for level in ("error", "warning", NOTE) if levels[level]]
        lines = [judged.sentence, ", ".join(counts) or "nothing was found", *filter(None, [unread])]
        if window.samples:
            lines.append("uvloop: steps cannot be counted, so tasks that wake themselves are not detected")
        return CommandResult(
            lines=tuple(lines),
            rows=Rows(COLUMNS, rows, _paragraph),
            data={
                "verdict": judged.sentence,
                "errors": levels["error"],
                "warnings": levels["warning"],
                "notes": levels[NOTE],
            },
            hint="waits: what tasks wait for; top: which tasks use the time",
        )


def _of_tasks(window: StatsWindow, tasks: TaskView) -> list[Row]:
    """What no rule judges, as it is of this moment: the tasks' steps, and the objects that they wait for."""
    rows: list[Row] = []
    orphaned = 0
    is_orphaned = waiting.OrphanedWait()

    def visit(task: Task[Any], _: TaskRef) -> None:
        nonlocal orphaned
        account = window.of(task)
        if account.polls >= POLLS and account.woke_itself > account.polls * ITSELF:
            share = account.woke_itself / account.polls
            what = f"woke itself in {share:.0%} of {account.polls} polls: a loop around sleep(0)?"
            rows.append(_about(task, "self-waking", what, tasks))
        if is_orphaned(task) and not waiting.has_timeout(task):
            orphaned += 1
            if orphaned <= ORPHANED:
                what = (
                    f"{task_waits.of(task)}, to which nothing else refers: only cancelling the task ends it"
                )
                rows.append(_about(task, "pending for ever", what, tasks))

    task_table.walk(visit)
    if orphaned > ORPHANED:
        what = f"{orphaned - ORPHANED:,} further tasks"
        rows.append(_row("pending for ever", what, None, None, None))
    return rows


def _about(task: Task[Any], rule: str, what: str, tasks: TaskView) -> Row:
    return _row(rule, what, tasks.place(task), task_table.number(task), task.get_name())


def _row(rule: str, what: str, where: str | None, number: int | None, name: str | None) -> Row:
    return NOTE, rule, what, where, None, None, None, None, None, number, name


def _paragraph(cells: Row) -> Iterator[str]:
    *finding, number, name = cells
    if name is not None:
        finding[2] = f"task {number} ({name}): {finding[2]}"
    return judgement.paragraph(tuple(finding))
