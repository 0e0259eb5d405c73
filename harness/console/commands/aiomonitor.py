"""`aiomonitor`: runs a command of aiomonitor, built in or custom, if the program's environment has it.

No port is opened, and aiomonitor's task factory, which makes each task many times more expensive, stays off.
If the program has started a monitor itself, commands find that monitor's attributes.
"""

from __future__ import annotations

import asyncio
import copy
import io
import shlex
import threading
from argparse import REMAINDER, ArgumentParser, Namespace
from asyncio import AbstractEventLoop
from contextvars import copy_context
from typing import Any

from ...probe.threads import other_threads
from ...record.clock import monotonic
from ...record.hidden_thread import roomy_stacks
from ..protocol.command import ACTS, READS, Command, CommandClient
from ..protocol.errors import CommandError
from ..protocol.result import CommandResult
from ..view import loop_choice
from ..view.loop_view import LoopView
from ..view.process import ProcessView

# What aiomonitor's own commands need, by all their names: the permissions of the console's equivalents.
_NEEDS = {
    "cancel": "cancel",
    "ca": "cancel",
    "signal": "signal",
    "console": "repl",
    **dict.fromkeys(("help", "?", "h", "noop", "stacktrace", "st", "stack", "exit", "q", "quit"), READS),
    **dict.fromkeys(("ps", "p", "ps-terminated", "pt", "pst"), READS),
    **dict.fromkeys(("where", "w", "where-terminated", "wt"), READS),
}
WITHIN_S = 30.0
OUTPUT_CHARS = 1_000_000


class AiomonitorCommand(Command):
    name = "aiomonitor"
    summary = "run a command of aiomonitor"
    help_order = 240

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "line", nargs=REMAINDER, metavar="LINE", help="`help` lists aiomonitor's commands"
        )
        loop_choice.add_loop_argument(parser)

    def needs(self, options: Namespace) -> str:
        if not options.line:
            return READS
        if options.line[0].startswith("-"):
            # `click` would skip ``--`` and run the command after it.
            raise CommandError("expected one of aiomonitor's commands first")
        # A command that the program has added may do anything, so it is recorded.
        return _NEEDS.get(options.line[0], ACTS)

    def run(self, options: Namespace, process: ProcessView, client: CommandClient) -> CommandResult:
        words = options.line or ["help"]
        if words[0] == "console":
            raise CommandError("aiomonitor's console opens a port; `repl` does the same without one")
        try:
            import aiomonitor  # noqa: F401
        except ImportError:
            raise CommandError("the program's environment has no aiomonitor") from None
        view = loop_choice.chosen(process, options.loop)
        run = _LineRun(words, _monitor(view))
        # Not in the client's thread: asyncio asks `threading` for the current one, which would register it.
        thread = threading.Thread(target=run.work, name="harness-aiomonitor", daemon=True)
        process.ignore(thread)
        with roomy_stacks():
            thread.start()
        until = monotonic() + WITHIN_S
        while thread.is_alive():
            if client.wait_gone(within_s=0.02) or monotonic() > until:
                run.cancel()
                frame = process.blocking_frame(view)
                raise CommandError(f"the command did not end{f': {frame} holds the loop' if frame else ''}")
        text = run.output.getvalue()[:OUTPUT_CHARS].replace("\r\n", "\n").rstrip("\n")
        return CommandResult(
            lines=tuple(text.split("\n")) if text else (),
            data={"line": shlex.join(words), "output": text},
            failed=run.has_failed,
        )


class _LineRun:
    """Runs one line in a separate loop, as a monitor's user interface does."""

    def __init__(self, words: list[str], monitor: Any) -> None:
        self.output = io.StringIO()
        self.has_failed = False
        self._words = words
        self._monitor = monitor
        self._loop: AbstractEventLoop | None = None
        self._main: asyncio.Task[None] | None = None

    def work(self) -> None:
        """Run the line; an exception becomes part of the output."""
        try:
            asyncio.run(self._run_line())
        except asyncio.CancelledError:  # raised by its `exit` as well
            pass
        except BaseException as exc:
            self.has_failed = True
            # A click exception describes itself.
            describe = getattr(exc, "format_message", None)
            self.output.write((describe() if describe else f"{type(exc).__name__}: {exc}") + "\n")

    def cancel(self) -> None:
        if self._loop is not None and self._main is not None:
            self._loop.call_soon_threadsafe(self._main.cancel)

    async def _run_line(self) -> None:
        from aiomonitor.context import command_done, current_monitor, current_stdout
        from aiomonitor.termui.commands import monitor_cli
        from prompt_toolkit.application.current import create_app_session
        from prompt_toolkit.input import DummyInput
        from prompt_toolkit.output.plain_text import PlainTextOutput

        self._loop, self._main = asyncio.get_running_loop(), asyncio.current_task()
        self._monitor._ui_loop = self._loop
        # A `threading.Event`, because some commands set and clear it from another loop's thread.
        done: Any = threading.Event()
        current_monitor.set(self._monitor)
        current_stdout.set(self.output)
        command_done.set(done)
        with create_app_session(input=DummyInput(), output=PlainTextOutput(self.output)):
            copy_context().run(
                monitor_cli.main, self._words, prog_name="", obj=self._monitor, standalone_mode=False
            )
            await self._wait_done(done)

    async def _wait_done(self, done: threading.Event) -> None:
        """Wait for the tasks that the command has registered; for others, until the command reports its end.

        It may report its end too early, as the option ``--help`` of aiomonitor's own commands does.
        """
        registered = set(self._monitor._termui_tasks)
        others = asyncio.all_tasks() - registered - {self._main}
        while _any_pending(registered) or (_any_pending(others) and not done.is_set()):
            await asyncio.sleep(0.01)
        for task in registered:
            task.result()


def _any_pending(tasks: set[asyncio.Task[Any]]) -> bool:
    return any(not task.done() for task in tasks)


def _monitor(view: LoopView) -> Any:
    """A modified copy of the program's own monitor of that loop, or a monitor that is never started."""
    from aiomonitor import Monitor

    # A monitor that the program has started is found in the stack of its thread.
    started = list(other_threads.running(Monitor._ui_main.__code__))
    monitor = next((copy.copy(m) for m in started if m._monitored_loop is view.loop), None)
    if monitor is None:
        monitor = Monitor(view.loop, console_enabled=False, hook_task_factory=False)
    monitor._console_enabled = False
    monitor._termui_tasks = set()
    monitor._event_loop_thread_id = view.thread_ident
    return monitor
