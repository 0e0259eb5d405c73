"""`harness attach` to a process that was not started with the probe: brings it in, and takes it out again."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import click

from ..drive import manifest
from ..drive.attach import outside, recording, workers
from ..drive.attach.entry import Entry
from ..drive.attach.subject import Subject
from ..drive.process import proc
from ..errors import HarnessError
from ..record.probe_config import ConsoleConfig, ProbeConfig
from ..record.run import new_id
from ..record.run_folder import RunFolder
from ..runs import noting
from . import failure
from .calls_option import CallsAsked
from .conclusion import conclude
from .display_option import DisplayAsked
from .prompt import Prompt

NAME = "attach"
# Of a recorded process that ended in the meantime.
ENDED = 4


@dataclass(frozen=True, slots=True)
class EntryAsked:
    """The options of an entry."""

    limit_ms: float
    console: ConsoleConfig | None
    application: tuple[str, ...]
    with_workers: bool
    wait_s: float

    def config(self, folder: str) -> ProbeConfig:
        """The probe's configuration; without a folder, it writes no record."""
        return ProbeConfig(
            folder=folder,
            limit_ns=round(self.limit_ms * 1e6),
            console=self.console,
            application=self.application,
            unrecorded=not folder,
        )


def converse(pid: int, asked: EntryAsked, command: str | None) -> int:
    """Open a console in process *pid*, and run *command*, or those that are typed; return the status."""
    subject = Subject.of(pid)
    with ExitStack() as entries:
        entry = entries.enter_context(
            Entry(
                subject,
                asked.config(""),
                wait_s=asked.wait_s,
                on_blocked=lambda: _say_from_outside(subject),
            )
        )
        _say_note(entry, asked.console)
        for each in workers.of(pid) if asked.with_workers else ():
            try:
                beside = entries.enter_context(entry.beside(Subject.of(each)))
            except HarnessError as exc:
                _say(f"not entered: {exc}")
                continue
            _say_note(beside, asked.console)
            _say(f"worker {each}: harness attach {each}, for as long as this one lasts")
        prompt = Prompt(entry.endpoint, wait_s=asked.wait_s)
        status = prompt.run(command) if command is not None else prompt.converse()
        _say_stayed(pid, entry.leave())
        return status


def record(
    pid: int,
    seconds: float,
    asked: EntryAsked,
    out: Path | None,
    calls_asked: CallsAsked,
    display: DisplayAsked,
) -> int:
    """Record process *pid*, write the reports and show the summary; return the status."""
    subject = Subject.of(pid)
    made = manifest.new_run(
        new_id(NAME), scenario=NAME, command=proc.command(pid), block_limit_ms=asked.limit_ms
    )

    path = (out or Path("reports") / made.id).resolve()

    def recording_now(entered: Sequence[Entry]) -> None:
        noting.note_begun(RunFolder(path))
        for each in entered:
            _say_note(each, asked.console)
            _say(f"recording process {each.subject.pid} for {seconds:g} s; Ctrl-C ends it earlier")
            if asked.console is not None:
                _say(f"console: harness attach {each.subject.pid}")

    folder, has_ended = recording.record(
        subject,
        seconds,
        made,
        path,
        asked.config("/"),
        with_workers=asked.with_workers,
        wait_s=asked.wait_s,
        told=recording.Watchers(
            on_blocked=_say_from_outside,
            on_recording=recording_now,
            on_left_out=lambda worker, why: _say(f"worker {worker} is not recorded: {why}"),
            on_stayed=_say_stayed,
        ),
    )
    with failure.contained(folder.path) as failed:
        judged = conclude(folder, calls_asked, display).condition_status
    if has_ended:
        _say(f"process {pid} has ended while it was recorded")
    return failed.status or judged or (ENDED if has_ended else 0)


def _say_from_outside(subject: Subject) -> None:
    for line in outside.lines(subject):
        _say(line)


def _say_note(entry: Entry, console: ConsoleConfig | None) -> None:
    pid = entry.subject.pid
    if entry.note:
        _say(f"console of process {pid}: {entry.note}")
    if console is not None and (port := entry.endpoint.port) is not None:
        _say(f"console of process {pid}: telnet 127.0.0.1 {port} and the token {entry.endpoint.token}")


def _say_stayed(pid: int, stayed: str) -> None:
    if stayed:
        _say(f"process {pid}: not everything could be taken out of it: {stayed}")
    elif sys.stderr.isatty():
        _say(f"left process {pid} as it was")


def _say(line: str) -> None:
    click.echo(line, err=True)
