"""Records a running process for some time, with the probe in it, as `watch` does for one that it starts."""

from __future__ import annotations

import os
import select
import shutil
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from time import monotonic_ns

from ...errors import HarnessError
from ...record.event import TargetExited, TargetStarted
from ...record.probe_config import ProbeConfig
from ...record.process import shared_folder
from ...record.run import Run, create
from ...record.run_folder import RunFolder
from ...record.writer import Writer
from .. import seal
from ..counters import EVERY_S, Counters
from ..gil_watcher import GilWatcher
from ..observer_thread import ObserverThread
from ..process import proc, user_access
from ..process.process_tree import ProcessTree
from . import workers
from .entry import Entry
from .subject import Subject

# A look at the end of a process whose probe has fallen silent: it may have ended with it.
_END_WITHIN_S = 0.5


@dataclass(frozen=True, slots=True)
class Watchers:
    """Who is told what while it records; each may be called in another thread."""

    on_blocked: Callable[[Subject], None]  # the process cannot be entered now
    on_recording: Callable[[Sequence[Entry]], None]  # these have been entered
    on_left_out: Callable[[int, str], None]  # a worker that was not, and why
    on_stayed: Callable[[int, str], None]  # what could not be taken out of a process again


def record(
    subject: Subject,
    seconds: float,
    run: Run,
    out: Path,
    config: ProbeConfig,
    *,
    with_workers: bool,
    wait_s: float,
    told: Watchers,
) -> tuple[RunFolder, bool]:
    """Record the process for *seconds*, or until Ctrl-C, into the new folder *out*.

    Returns:
        The folder, and whether the process ended in the meantime.

    Raises:
        UsageError: The process cannot be entered, or there is a run in the folder.
        TargetError: The process could not be entered.
    """
    main = Entry(subject, config, wait_s=wait_s, on_blocked=lambda: told.on_blocked(subject))
    final = create(out, run)
    with ExitStack() as entries:
        folder, inside = final, str(final.path)
        if not _can_write(subject, final):
            # In its own file system, to be fetched at the end.
            control = main.prepare()
            folder, inside = create(control.make("run"), run), f"{control.inside}/run"
        if subject.uid != os.geteuid():
            shared_folder.admit(str(folder.path), subject.uid)
        main = main.into(Path(inside))
        writer = Writer(folder.events, "runner")
        reserve = seal.DiskReserve(folder)
        error, has_ended = "", False
        try:
            has_ended = _record(main, seconds, folder, writer, entries, with_workers=with_workers, told=told)
        except KeyboardInterrupt:
            error = ""
        except HarnessError as exc:
            error = str(exc)
            raise
        finally:
            seal.end(folder, writer, reserve, error=error)
            if folder is not final:
                shutil.copytree(folder.path, final.path, dirs_exist_ok=True)
    return final, has_ended


def _record(
    main: Entry,
    seconds: float,
    folder: RunFolder,
    writer: Writer,
    entries: ExitStack,
    *,
    with_workers: bool,
    told: Watchers,
) -> bool:
    subject, ended = main.subject, threading.Event()
    # A record from another pid namespace speaks of its numbers, which are others here.
    is_seen = "pid" not in subject.moved
    counters = Counters(folder, outside={subject.inner_pid: subject.pid})

    def follow() -> None:
        while not ended.wait(EVERY_S):
            for reading in counters.sample():
                writer.write(reading)

    with ExitStack() as observers:
        if is_seen:
            observers.enter_context(GilWatcher(folder, writer.write))
            observers.enter_context(ProcessTree(folder, writer.write)).follow(subject.pid)
        writer.write(TargetStarted(monotonic_ns(), subject.inner_pid, proc.command(subject.pid)))
        entries.enter_context(main)
        entered = [main, *_enter_workers(main, folder, entries, with_workers=with_workers, told=told)]
        told.on_recording(entered)
        following = ObserverThread("loop-follower", follow, writer.write)
        following.start()
        pidfd = os.pidfd_open(subject.pid)
        try:
            has_ended = bool(select.select([pidfd], [], [], seconds)[0])
        finally:
            ended.set()
            following.join()
            for each in entered:
                if stayed := each.leave():
                    told.on_stayed(each.subject.pid, stayed)
            if is_seen:
                _mark_the_others(subject.pid, folder)
        if has_ended:
            status = proc.returncode(pidfd, subject.pid, uid=subject.uid)
            writer.write(TargetExited(monotonic_ns(), status if status is not None else 0, status == 0))
        os.close(pidfd)
        return has_ended


def _enter_workers(
    main: Entry, folder: RunFolder, entries: ExitStack, *, with_workers: bool, told: Watchers
) -> list[Entry]:
    if "pid" in main.subject.moved:
        return []
    entered = []
    for pid in workers.of(main.subject.pid):
        if not with_workers:
            workers.leave_mark(
                folder, pid, workers.LEFT_OUT, "only its parent was entered, without --workers"
            )
            continue
        try:
            entered.append(entries.enter_context(main.beside(Subject.of(pid))))
        except HarnessError as exc:
            why = str(exc).removeprefix(f"{pid}: ")
            workers.leave_mark(folder, pid, workers.BARRED, why)
            told.on_left_out(pid, why)
    return entered


def _mark_the_others(pid: int, folder: RunFolder) -> None:
    known = workers.marked(folder)
    for each in workers.of(pid):
        if each not in known:
            workers.leave_mark(folder, each, workers.LEFT_OUT, "it began after its parent had been entered")


def _can_write(subject: Subject, folder: RunFolder) -> bool:
    """Whether the process can write into a run's folder of this file system."""
    if subject.moved:
        return False
    if subject.uid == os.geteuid():
        return True
    whose = proc.owner(subject.pid)
    groups = whose.groups if whose is not None else frozenset({subject.gid})
    return not user_access.first_barred([(folder.path, 1)], subject.uid, groups)
