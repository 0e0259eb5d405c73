"""`profile`: what the loop's thread does, over some seconds, as a file. One at a time."""

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
from ..protocol.command import ACTS, READS, Command, CommandClient
from ..protocol.errors import CommandError
from ..protocol.result import CommandResult
from ..tools.profiler import Profiler, Pyinstrument, SpanSampler
from ..view import loop_choice
from ..view.loop_view import LoopView
from ..view.process import ProcessView
from ..view.temporary_changes import TemporaryChange

DEFAULT_S, LONGEST_S = 10.0, 60.0
KINDS = ("sampler", "pyinstrument")
SUFFIXES = {"text": "txt", "html": "html", "speedscope": "speedscope.json", "collapsed": "collapsed.txt"}
# To lay out a profile of a minute takes some seconds, on a machine that is busy.
PATIENCE_S = 20.0
# Of a profile that is text, as the client sees it at once.
LINES = 80

_NAME = "profile"
_numbers = itertools.count(1)


class ProfileCommand(Command):
    name = _NAME
    summary = "profile for some seconds"
    help_order = 140

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "what", nargs="?", choices=("for", "start", "stop"), help="alone: is one under way?"
        )
        parser.add_argument(
            "time", nargs="?", type=duration.up_to(LONGEST_S), default=DEFAULT_S, help="[10s]"
        )
        parser.add_argument("--kind", choices=KINDS, default="sampler")
        parser.add_argument("--format", choices=tuple(SUFFIXES), help="text, html, speedscope or collapsed")
        loop_choice.add_loop_argument(parser)

    def needs(self, options: Namespace) -> str:
        return READS if options.what is None else ACTS

    def candidates(self, process: ProcessView) -> Iterable[str]:
        return ("for", "start", "stop")

    def run(self, options: Namespace, process: ProcessView, client: CommandClient) -> CommandResult:
        if options.what is None:
            return _state(process)
        if options.what == "stop":
            return _stop(process, client)
        view = loop_choice.chosen(process, options.loop)
        running = _begin(options, process, view)
        if options.what == "start":
            return CommandResult(
                lines=(f"profiling loop {view.number} for at most {options.time:g} s, into {running.path}",),
                data={"path": str(running.path), "kind": options.kind, "for_s": options.time},
                hint="profile stop: now",
            )
        client.say(f"profiling loop {view.number} for {options.time:g} s")
        client.has_left(within_s=options.time)
        process.changes.end(_NAME)
        return _left(running.path, client)


class _Running:
    """A profile from its beginning until its file is there."""

    def __init__(self, kind: str, form: str | None, process: ProcessView, view: LoopView) -> None:
        self._kind = kind
        self._profiler: Profiler = Pyinstrument() if kind == "pyinstrument" else SpanSampler(view.turns)
        self._form = form or self._profiler.formats[0]
        if self._form not in self._profiler.formats:
            raise CommandError(f"{kind} writes {', '.join(self._profiler.formats)}, not {form}")
        folder = process.folder.artefacts if process.folder is not None else _private()
        self.path = folder / f"console-{os.getpid()}-{next(_numbers)}-{kind}.{SUFFIXES[self._form]}"
        self._process = process
        self._view = view
        self._is_on = False  # of the loop's thread

    def begin(self) -> None:
        """Begin on the loop's thread."""
        self._profiler.begin()
        self._is_on = True

    def undo(self) -> None:
        """Have it ended on the loop's thread; then write it elsewhere."""
        with suppress(RuntimeError):  # the loop is closed, and the profile with it
            self._view.loop.call_soon_threadsafe(self._end)

    def _end(self) -> None:
        if self._is_on:
            self._is_on = False
            self._profiler.end()
            self._process.start_thread(self._write)

    def _write(self) -> None:
        # Written aside and renamed: who waits for the file never meets half of it.
        aside = self.path.with_name(f".{self.path.name}")
        aside.write_text(self._profiler.text(self._form), encoding="utf-8")
        aside.rename(self.path)
        folder = self._process.folder
        if folder is not None:
            path = str(self.path.relative_to(folder.path))
            self._process.write(ArtefactWritten(monotonic_ns(), self._kind, path, "asked for in the console"))


def _begin(options: Namespace, process: ProcessView, view: LoopView) -> _Running:
    running = _Running(options.kind, options.format, process, view)
    with process.changes.changing(_NAME, str(running.path), for_s=options.time, undo=running.undo):
        process.on_loop(view, running.begin)
    return running


@cache
def _private() -> Path:
    """Where profiles go without a run: nobody else may write there."""
    return Path(tempfile.mkdtemp(prefix="asyncio-harness-"))


def _state(process: ProcessView) -> CommandResult:
    standing = _standing(process)
    lines = (
        (f"one is under way, for another {standing.left_s:.0f} s, into {standing.what}",)
        if standing
        else (
            "none is under way; the kinds are:",
            "  sampler: the running line, task and span, at a steady rate; the least cost",
            "  pyinstrument: a call tree, if the target has it; costs a busy loop up to three times as much",
            "From outside, without a line of Python in here: harness attach PID --sample 10 (py-spy).",
        )
    )
    return CommandResult(
        lines=lines,
        data={"path": standing.what if standing else None},
        hint="profile stop: now" if standing else f"profile for {DEFAULT_S:g}s",
    )


def _stop(process: ProcessView, client: CommandClient) -> CommandResult:
    standing = _standing(process)
    if standing is None or not process.changes.end(_NAME):
        raise CommandError("no profile is under way")
    return _left(Path(standing.what), client)


def _standing(process: ProcessView) -> TemporaryChange | None:
    return next((limit for limit in process.changes.in_force() if limit.name == _NAME), None)


def _left(path: Path, client: CommandClient) -> CommandResult:
    """The answer about a profile that was ended: where its file is."""
    until = monotonic() + PATIENCE_S
    while not path.exists():
        if monotonic() > until or client.has_left(within_s=0.02):
            raise CommandError(f"{path} is not there yet; the loop may be held up")
    shown = path.read_text(encoding="utf-8").splitlines() if path.suffix == ".txt" else []
    return CommandResult(lines=(*shown[:LINES], f"written: {path}"), data={"path": str(path)})
