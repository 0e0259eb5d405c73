"""`cancel`: cancels one task and reports what became of it."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from asyncio import Task
from typing import Any

from ...probe.hooks.state import task_state
from ...record.clock import monotonic
from ..protocol.command import Command, CommandClient
from ..protocol.errors import CommandError
from ..protocol.result import CommandResult
from ..view import loop_choice, task_table
from ..view.process import ProcessView
from ..view.task_view import TaskView

# How long a task may clean up before it is reported as still running.
PATIENCE_S = 2.0


class CancelCommand(Command):
    name = "cancel"
    summary = "cancel a task"
    help_order = 170

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("task", metavar="ID|NAME", help="as shown by `ps`")
        parser.add_argument("--message", help="the message of the task's CancelledError")

    def needs(self, options: Namespace) -> str:
        return "cancel"

    def run(self, options: Namespace, process: ProcessView, client: CommandClient) -> CommandResult:
        task = task_table.find(options.task)
        label = task_table.label(task)
        # On the loop's thread, or not at all: a blocked loop must not deliver the cancellation later, after
        # its failure was reported.
        if not process.on_loop(loop_choice.of_task(process, task), lambda: task.cancel(options.message)):
            raise CommandError(f"task {label} has already ended")
        until = monotonic() + PATIENCE_S
        while not task.done() and monotonic() < until and not client.wait_gone(within_s=0.02):
            pass
        outcome, sentence, at = _outcome(task, process)
        number = task_table.number(task)
        return CommandResult(
            lines=(f"task {label} {sentence}",),
            data={"task": number, "name": task.get_name(), "outcome": outcome, "at": at},
            hint=f"where {number}: what it waits for" if outcome == "running" else "",
            failed=outcome == "running",
        )


def _outcome(task: Task[Any], process: ProcessView) -> tuple[str, str, str | None]:
    """The outcome for a cancelled task, as a keyword and as text, and the place where it still runs."""
    if not task.done():
        at = TaskView(process).place(task)
        did = "swallows it, or is still cleaning up" if task.cancelling() else "has swallowed it"
        return "running", f"still runs {PATIENCE_S:g} s after its cancellation: it {did}, at {at}", at
    if task.cancelled():
        return "cancelled", "was cancelled", None
    if (error := task_state.exception(task)) is not None:
        return "failed", f"failed instead of being cancelled: {type(error).__name__}: {error}", None
    return "finished", "swallowed its cancellation and finished", None
