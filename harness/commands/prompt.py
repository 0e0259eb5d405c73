"""Sends lines to a console: typed at a prompt with history and completion, or read from a pipe."""

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
from ..record.process.console_endpoint import ConsoleEndpoint

STATUS = {"ok": 0, "failed": 1, "refused": 1, "usage": 2}
HISTORY = 1_000  # lines
# Output that does not go to a terminal is not cut to its width.
WIDE = 400


class Prompt:
    """Sends each line to one console and prints the answer."""

    def __init__(self, found: ConsoleEndpoint, *, wait_s: float) -> None:
        columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else WIDE
        self._client = ConsoleClient(found, columns=columns, on_say=_say, on_ask=_ask)
        self._prompt = f"{found.pid}> "
        self._wait_s = wait_s

    def run(self, line: str) -> int:
        """Run one command, and return its exit status."""
        with self._client:
            return STATUS[self._do(line, hints=False).status]

    def converse(self) -> int:
        """Run commands until the input or the console ends; return the worst status of those from a pipe."""
        if not sys.stdin.isatty():
            return self._read_pipe()
        with self._client, _Readline(self._client):
            click.echo(f"{' '.join(self._client.card.program)}; help lists the commands, Ctrl-D leaves")
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
        with self._client:
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
        if hints:
            for news in reply.news:
                click.echo(f"! {news}")
        if hints and reply.hint and reply.answer is None:
            click.echo(f"next: {reply.hint}")
        return reply

    def _asked(self, line: str) -> Reply:
        """Ask; the first Ctrl-C interrupts the command, the second stops waiting for it."""
        interrupts = 0

        def interrupt(number: int, frame: FrameType | None) -> None:
            nonlocal interrupts
            interrupts += 1
            if interrupts > 1:
                signal.default_int_handler(number, frame)
            self._client.interrupt()

        before = signal.signal(signal.SIGINT, interrupt)
        try:
            return self._client.ask(line, wait_s=self._wait_s)
        finally:
            signal.signal(signal.SIGINT, before)


class _Readline:
    """The user's history file and the console's completion, for the duration of the ``with`` block."""

    def __init__(self, client: ConsoleClient) -> None:
        self._client = client
        state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
        self._history = Path(state, "asyncio-harness", "history")
        self._found: list[str] = []

    def __enter__(self) -> None:
        with suppress(OSError):  # there is no history yet
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
            self._found = self._client.completions(readline.get_line_buffer()[: readline.get_endidx()])
        return f"{self._found[number]} " if number < len(self._found) else None


def _say(line: str) -> None:
    click.echo(line, err=not sys.stdout.isatty())


def _ask(prompt: str) -> str | None:
    """Read one more line for a command that asks for input; Ctrl-C discards what was typed."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        # Only `input` uses readline; in a pipe, its prompt would mix with the answers.
        return input(prompt if sys.stdin.isatty() else "")
    except KeyboardInterrupt:
        click.echo()
        return ""
    except EOFError:
        return None
    finally:
        signal.signal(signal.SIGINT, before)
