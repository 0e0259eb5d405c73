"""The conversation with a console at a terminal: a prompt with history and completion; or from a pipe."""

from __future__ import annotations

import json
import os
import readline
import shutil
import signal
import sys
from contextlib import suppress
from pathlib import Path
from types import FrameType

import click

from ..drive.console.client import ConsoleClient, Reply
from ..record.console_endpoint import ConsoleEndpoint

STATUS = {"ok": 0, "failed": 1, "refused": 1, "usage": 2}
HISTORY = 1_000  # lines
# What is not shown on a terminal is cut by whoever reads it.
WIDE = 400


class Prompt:
    """Asks one console what is typed, or stands in a pipe, and prints what it answers."""

    def __init__(self, found: ConsoleEndpoint, *, wait_s: float) -> None:
        columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else WIDE
        self._attachment = ConsoleClient(found, columns=columns, on_say=_say, on_ask=_ask)
        self._prompt = f"{found.pid}> "
        self._wait_s = wait_s

    def carry_out(self, line: str) -> int:
        """Carry out one command; its exit status."""
        with self._attachment:
            return STATUS[self._do(line, hints=False).status]

    def converse(self) -> int:
        """Until the input ends, or one of us leaves; the status of the worst command of a pipe."""
        if not sys.stdin.isatty():
            return self._read_pipe()
        with self._attachment, _Readline(self._attachment):
            click.echo(f"{' '.join(self._attachment.card.program)}; help lists the commands, Ctrl-D leaves")
            while True:
                try:
                    line = input(self._prompt)
                except KeyboardInterrupt:
                    click.echo()
                    continue
                except EOFError:
                    click.echo()
                    return 0
                if line.strip() and self._do(line, hints=True).leaves:
                    return 0

    def _read_pipe(self) -> int:
        worst = 0
        with self._attachment:
            while line := sys.stdin.readline():
                if line.strip():
                    reply = self._do(line.strip(), hints=False)
                    worst = max(worst, STATUS[reply.status])
                    if reply.leaves:
                        break
        return worst

    def _do(self, line: str, *, hints: bool) -> Reply:
        reply = self._asked(line)
        if reply.answer is not None:
            click.echo(json.dumps(reply.answer))
        elif reply.text:
            click.echo(reply.text, err=reply.status != "ok" and not hints)
        if hints and reply.hint and reply.answer is None:
            click.echo(f"next: {reply.hint}")
        return reply

    def _asked(self, line: str) -> Reply:
        """Ask; a first Ctrl-C ends the command, a second one the waiting for it."""
        interrupts = 0

        def interrupt(number: int, frame: FrameType | None) -> None:
            nonlocal interrupts
            interrupts += 1
            if interrupts > 1:
                signal.default_int_handler(number, frame)
            self._attachment.interrupt()

        before = signal.signal(signal.SIGINT, interrupt)
        try:
            return self._attachment.ask(line, wait_s=self._wait_s)
        finally:
            signal.signal(signal.SIGINT, before)


class _Readline:
    """History in a file of the user's, and the console's own completion, inside of the `with`."""

    def __init__(self, attachment: ConsoleClient) -> None:
        self._attachment = attachment
        state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
        self._history = Path(state, "asyncio-harness", "history")
        self._found: list[str] = []

    def __enter__(self) -> None:
        with suppress(OSError):  # there is none yet
            readline.read_history_file(self._history)
        readline.set_history_length(HISTORY)
        readline.set_completer(self._complete)
        readline.set_completer_delims(" ")
        readline.parse_and_bind("tab: complete")

    def __exit__(self, *_: object) -> None:
        readline.set_completer(None)
        with suppress(OSError):
            self._history.parent.mkdir(parents=True, exist_ok=True)
            readline.write_history_file(self._history)
            self._history.chmod(0o600)

    def _complete(self, _text: str, number: int) -> str | None:
        if number == 0:
            self._found = self._attachment.completions(readline.get_line_buffer()[: readline.get_endidx()])
        return f"{self._found[number]} " if number < len(self._found) else None


def _say(line: str) -> None:
    click.echo(line, err=not sys.stdout.isatty())


def _ask(prompt: str) -> str | None:
    """One more line for a command that holds a conversation; Ctrl-C gives up what was typed of it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        # `input` alone knows readline; in a pipe, its prompt would stand among the answers.
        return input(prompt if sys.stdin.isatty() else "")
    except KeyboardInterrupt:
        click.echo()
        return ""
    except EOFError:
        return None
    finally:
        signal.signal(signal.SIGINT, before)
