"""`profile`: profiles a loop's thread for some seconds and writes a file; one profile at a time."""

from __future__ import annotations

import itertools
import os
import tempfile
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from pathlib import Path

from ...record.clock import monotonic, monotonic_ns
from ...record.observation import ArtefactWritten
from ..protocol import duration
from ..protocol.command import READS, SLOWS, Command, CommandClient
from ..protocol.errors import CommandError
from ..protocol.result import CommandResult
from ..tools.profiler import ConsoleProfiler, Pyinstrument, SpanSampler
from ..view import loop_choice
from ..view.loop_view import LoopView
from ..view.process import ProcessView

DEFAULT_S, LONGEST_S = 10.0, 60.0
KINDS = ("sampler", "pyinstrument")
_COST = {
    "sampler": "the busy loop's thread stops for some microseconds, 200 times a second",
    "pyinstrument": "while pyinstrument profiles, a busy loop takes up to three times as long",
}
SUFFIXES = {"text": "txt", "html": "html", "speedscope": "speedscope.json", "collapsed": "collapsed.txt"}
# Rendering a profile of a minute takes some seconds on a busy machine.
PATIENCE_S = 20.0
# Lines of a text profile that are shown to the client.
LINES = 80

_NAME = "profile"
_numbers = itertools.count(1)


class ProfileCommand(Command):
    name = _NAME
    summary = "profile for some seconds"
    help_order = 140

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "what", nargs="?", choices=("for", "start", "stop"), help="without: show the state"
        )
        parser.add_argument(
            "time", nargs="?", type=duration.up_to(LONGEST_S), default=DEFAULT_S, help=f"[{DEFAULT_S:g}s]"
        )
        parser.add_argument("--kind", choices=KINDS, default="sampler")
        parser.add_argument("--format", choices=tuple(SUFFIXES), help="text, html, speedscope or collapsed")
        loop_choice.add_loop_argument(parser)

    def needs(self, options: Namespace) -> str:
        return READS if options.what is None else SLOWS

    def candidates(self, process: ProcessView) -> Iterable[str]:
        return ("for", "start", "stop")

    def run(self, options: Namespace, process: ProcessView, client: CommandClient) -> CommandResult:
        if options.what is None:
            return _state(process)
        if options.what == "stop":
            return _stop(process, client)
        view = loop_choice.chosen(process, options.loop)
        profile = _begin(options, process, view, client)
        if options.what == "start":
            return CommandResult(
                lines=(f"profiling loop {view.number} for at most {options.time:g} s, into {profile.path}",),
                data={"path": str(profile.path), "kind": options.kind, "for_s": options.time},
                hint="profile stop: now",
            )
        client.send_line(f"profiling loop {view.number} for {options.time:g} s")
        client.wait_gone(within_s=options.time)
        process.changes.end(_NAME)
        return _written(profile.path, client)


class _Profile:
    """A profile, from its beginning until its file is written."""

    def __init__(self, kind: str, form: str | None, process: ProcessView, view: LoopView) -> None:
        self._kind = kind
        self._profiler: ConsoleProfiler = (
            Pyinstrument() if kind == "pyinstrument" else SpanSampler(view.turns)
        )
        self._form = form or self._profiler.formats[0]
        if self._form not in self._profiler.formats:
            raise CommandError(f"{kind} writes {', '.join(self._profiler.formats)}, not {form}")
        folder = process.folder.artefacts if process.folder is not None else _private_folder()
        self.path = folder / f"console-{os.getpid()}-{next(_numbers)}-{kind}.{SUFFIXES[self._form]}"
        self._process = process
        self._view = view
        self._is_on = False  # changed by the loop's thread only

    def begin(self) -> None:
        """Called on the loop's thread."""
        self._profiler.begin()
        self._is_on = True

    def undo(self) -> None:
        """Schedule the end on the loop's thread; another thread writes the file."""
        with suppress(RuntimeError):  # the loop is closed, and the profile with it
            self._view.loop.call_soon_threadsafe(self._end)

    def _end(self) -> None:
        if self._is_on:
            self._is_on = False
            self._profiler.end()
            self._process.start_thread(self._write)

    def _write(self) -> None:
        # Under another name, then renamed, so that a client that waits for the file never reads half of it.
        aside = self.path.with_name(f".{self.path.name}")
        aside.write_text(self._profiler.text(self._form), encoding="utf-8")
        aside.rename(self.path)
        if (folder := self._process.folder) is not None:
            path = str(self.path.relative_to(folder.path))
            self._process.write(ArtefactWritten(monotonic_ns(), self._kind, path, "asked for in the console"))


def _begin(options: Namespace, process: ProcessView, view: LoopView, client: CommandClient) -> _Profile:
    profile = _Profile(options.kind, options.format, process, view)
    client.send_line(_COST[options.kind])
    with process.changes.changing(_NAME, str(profile.path), for_s=options.time, undo=profile.undo):
        process.on_loop(view, profile.begin)
    return profile


@cache
def _private_folder() -> Path:
    """The folder of profiles without a run; no other user may write there."""
    return Path(tempfile.mkdtemp(prefix="asyncio-harness-"))


def _state(process: ProcessView) -> CommandResult:
    current = process.changes.get(_NAME)
    lines = (
        (f"a profile is running for another {current.left_s:.0f} s, into {current.what}",)
        if current
        else (
            "no profile is running; the kinds are:",
            "  sampler: the running line, task and span, at a fixed rate; costs the least",
            "  pyinstrument: a call tree, if the program has it; a busy loop takes up to three times as long",
            "From outside, without running Python in this process: harness attach PID --sample 10 (py-spy).",
        )
    )
    return CommandResult(
        lines=lines,
        data={"path": current.what if current else None},
        hint="profile stop: now" if current else f"profile for {DEFAULT_S:g}s",
    )


def _stop(process: ProcessView, client: CommandClient) -> CommandResult:
    current = process.changes.get(_NAME)
    if current is None or not process.changes.end(_NAME):
        raise CommandError("no profile is running")
    return _written(Path(current.what), client)


def _written(path: Path, client: CommandClient) -> CommandResult:
    """Wait for the file of a profile that has ended."""
    until = monotonic() + PATIENCE_S
    while not path.exists():
        if monotonic() > until or client.wait_gone(within_s=0.02):
            raise CommandError(f"{path} is not written yet; the loop may be blocked")
    shown = path.read_text(encoding="utf-8").splitlines() if path.suffix == ".txt" else []
    return CommandResult(lines=(*shown[:LINES], f"written: {path}"), data={"path": str(path)})
