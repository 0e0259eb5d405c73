"""`cancel`: ends one task, and tells what became of it."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from asyncio import Task
from typing import Any

from ...record.clock import monotonic
from ..protocol.command import Command, CommandClient
from ..protocol.errors import CommandError
from ..protocol.result import CommandResult
from ..view import loop_choice, task_table
from ..view.process import ProcessView
from ..view.task_view import TaskView

# What a task may take to clean up before the client is told that it still runs.
PATIENCE_S = 2.0


class CancelCommand(Command):
    name = "cancel"
    summary = "cancel a task"
    help_order = 170

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("task", metavar="ID|NAME", help="as `ps` shows it")
        parser.add_argument("--message", help="what the task's CancelledError says")

    def needs(self, options: Namespace) -> str:
        return "cancel"

    def run(self, options: Namespace, process: ProcessView, client: CommandClient) -> CommandResult:
        task = task_table.find(options.task)
        number, name = task_table.number(task), task.get_name()
        # On the loop's own thread, or not at all: a cancellation that is delivered after the block, when
        # nobody looks any more, would be a surprise.
        if not process.on_loop(loop_choice.of_task(process, task), lambda: task.cancel(options.message)):
            raise CommandError(f"task {number} ({name}) had ended before")
        until = monotonic() + PATIENCE_S
        while not task.done() and monotonic() < until and not client.has_left(within_s=0.02):
            pass
        outcome, sentence, at = _fate(task, process)
        return CommandResult(
            lines=(f"task {number} ({name}) {sentence}",),
            data={"task": number, "name": name, "outcome": outcome, "at": at},
            hint=f"where {number}: what it waits for" if outcome == "running" else "",
            failed=outcome == "running",
        )


def _fate(task: Task[Any], process: ProcessView) -> tuple[str, str, str | None]:
    """What became of a cancelled task: in a word, in a sentence, and where it still runs."""
    if not task.done():
        at = TaskView(process).place(task)
        did = "swallows it, or still cleans up" if task.cancelling() else "has swallowed it"
        return "running", f"still runs {PATIENCE_S:g} s after its cancellation: it {did}, in {at}", at
    if task.cancelled():
        return "cancelled", "is cancelled", None
    # Not `task.exception()`: it counts as retrieved then, and the program's own log would lack it.
    error: BaseException | None = getattr(task, "_exception", None)
    if error is not None:
        return "failed", f"was not cancelled but failed: {type(error).__name__}: {error}", None
    return "finished", "was not cancelled: it swallowed that, and came to a good end", None
