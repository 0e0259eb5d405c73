"""Follows every process of a run from outside, from its first to its last, whether the probe is in it or not.

A process is one of the run if its parent is, if it belongs to a session or group that one of the run leads or
led, or if the run's order for the probe stands in its environment. So a daemon that has left the tree is
still known. Nothing is asked of the processes: the kernel's list is read in a thread of the runner, and a
descriptor of each process tells its end to the microsecond. A subreaper would know more, but it would change
the parent that the program sees.
"""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from time import monotonic, monotonic_ns
from typing import Self

from ...record.event import Event, ProcessesUncounted, ProcessExamined, ProcessFound, ProcessGone
from ...record.probe_config import VARIABLE
from ...record.process import shared_folder
from ...record.run_folder import RunFolder
from ...record.value import replace
from . import proc, user_access
from .examination import examine
from .probe_env import ENTRY

# A Python that imports asyncio lives for at least twice as long; at 10 ms this would take 1 % of a processor.
EVERY_S = 0.02
# The kernel's number of the latest process leads to new ones without a search; where it does not, this does.
SEARCH_EVERY_S = 0.25
# More new numbers than this are faster found by a search.
_RANGE = 500
# A process is looked at again after this time, then after twice as long, and so on: it soon calls `exec`.
FIRST_LOOK_NS, LAST_LOOK_NS = 20_000_000, 2_000_000_000
# A process without a probe is examined at every look in its first second: later it may be gone.
YOUNG_NS = 1_000_000_000
# A shell may run for long before it calls `exec`; so many of those without a probe are asked at each look.
EXECS_AT_ONCE = 32
# Each living process takes one of the runner's descriptors, of which it usually has 1,024.
LIVING, TOTAL = 400, 5_000
# Who adopts orphans, where the first process does not.
_REAPERS = {"systemd", "init", "tini", "dumb-init", "docker-init", "catatonit", "containerd-shim", "conmon"}
# What ends together with the target may end a little later.
_LAST_GASP_S = 1.0


@dataclass(slots=True)
class _Followed:
    pid: int
    began_ticks: int
    pidfd: int
    found: ProcessFound
    looked_ns: int = 0
    look_ns: int = 0  # when it is looked at next
    gap_ns: int = FIRST_LOOK_NS
    memory: tuple[int, int] = (0, 0)
    program_ns: int = 0  # since when it runs this program
    examined: ProcessExamined | None = None
    is_entered: bool = False  # the probe was in it at the latest look


class _Marks:
    """The processes in which the probe is, by the marks that it leaves in the run's folder."""

    def __init__(self, folder: RunFolder) -> None:
        self._path = folder.processes
        self._changed_ns = -1
        self._latest: dict[int, int] = {}
        self._leaving: dict[int, int] = {}

    def has(self, pid: int, since_ns: int) -> bool:
        """Whether the probe has entered process *pid* since that instant."""
        at_ns = self._latest.get(pid, -1)
        return at_ns >= since_ns and at_ns > self._leaving.get(pid, -1)

    def read(self) -> list[int]:
        """Read what is new; the processes that have been about to call `exec` since the last reading."""
        try:
            changed_ns = self._path.stat().st_mtime_ns
            if changed_ns == self._changed_ns:
                return []
            names = [name.split("-") for name in os.listdir(self._path)]  # noqa: PTH208
            latest = sorted((int(at, 16), int(pid)) for pid, at, *exec_ in names if not exec_)
            leaving = {int(pid): int(at, 16) for pid, at, *exec_ in names if exec_}
        except (OSError, ValueError):
            return []
        new = [pid for pid, at in leaving.items() if self._leaving.get(pid, -1) < at]
        self._changed_ns, self._leaving = changed_ns, leaving
        self._latest = {pid: at for at, pid in latest}
        return new


class ProcessTree:
    """Follows the processes of one run for the duration of the ``with`` block, and writes what it sees."""

    def __init__(self, folder: RunFolder, write: Callable[[Event], object]) -> None:
        self._folder = folder
        self._mark = f"folder={folder.path}"
        self._write = write
        self._clock = proc.StartClock()
        self._latest = proc.LatestId()
        self._marks = _Marks(folder)
        self._admitted = {0, os.geteuid()}
        self._poll = select.epoll()
        self._stop = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._poll.register(self._stop, select.EPOLLIN)
        self._living: dict[int, _Followed] = {}
        self._by_fd: dict[int, _Followed] = {}
        # When those began that have ended: until its parent asks for it, one stands in the kernel's list.
        self._gone: dict[int, int] = {}
        # Sessions and groups that processes of the run lead or led, so they outlive their leaders.
        self._families: set[int] = set()
        # New orphans of other families, and until when they are looked at again: a daemon that is seen before
        # it calls `setsid` is still of an older session.
        self._orphans: dict[int, int] = {}
        self._total = self._turn = 0
        self._uncounted = self._told = 0
        self._older = self._searched = proc.ids()
        ancestors = proc.ancestors(os.getpid())
        self._reapers = {1, *(pid for pid in ancestors if proc.name(pid) in _REAPERS)}
        self._surroundings: frozenset[str] = frozenset()
        self._last = self._latest.read()
        self._search_s = 0.0
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._follow, name="process-tree", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        os.eventfd_write(self._stop, 1)
        self._thread.join()
        for each in self._living.values():
            os.close(each.pidfd)
        self._poll.close()
        self._latest.close()
        os.close(self._stop)

    def follow(self, pid: int) -> None:
        """Follow process *pid*, a child of the runner, and all that descend from it."""
        with self._lock:
            if (seen := proc.stat(pid)) is not None:
                self._add(seen)
            self._surroundings = proc.surroundings(pid)
            # Its first children may be older than this call.
            for other in sorted(proc.ids()):
                if (seen := proc.stat(other)) is not None and seen.parent in self._living:
                    self._add(seen)

    def _follow(self) -> None:
        try:
            self._follow_to_the_end()
        except Exception as exc:
            # The run goes on, but a report must not take for all processes those that were seen.
            error = f"{type(exc).__name__}: {exc}"
            self._write(ProcessesUncounted(monotonic_ns(), self._uncounted, error))

    def _follow_to_the_end(self) -> None:
        while not self._wait(EVERY_S):
            with self._lock:
                self._look()
        deadline = monotonic() + _LAST_GASP_S
        while self._living and monotonic() < deadline:
            self._wait(EVERY_S, last=True)
            with self._lock:
                self._look()

    def _wait(self, for_s: float, *, last: bool = False) -> bool:
        """Wait for the end of a process; true if the run is over."""
        over = False
        for fd, _ in self._poll.poll(for_s):
            if fd == self._stop:
                over = True
                self._poll.unregister(fd)
            elif (gone := self._by_fd.get(fd)) is not None:
                with self._lock:
                    self._remove(gone)
        return over and not last

    def _look(self) -> None:
        now_ns = monotonic_ns()
        self._orphans = {pid: until_ns for pid, until_ns in self._orphans.items() if now_ns < until_ns}
        for pid in (*self._new_ids(), *self._orphans):
            if pid in self._living or (seen := proc.stat(pid)) is None:
                self._orphans.pop(pid, None)
            elif self._is_ours(seen):
                self._orphans.pop(pid, None)
                self._add(seen)
            elif seen.parent in self._reapers and len(self._orphans) < LIVING:
                self._orphans.setdefault(pid, now_ns + YOUNG_NS)
        self._expect_execs()
        for each in [each for each in self._living.values() if each.look_ns <= now_ns]:
            self._look_at(each, now_ns)
        if self._uncounted > self._told:
            self._told = self._uncounted
            self._write(ProcessesUncounted(now_ns, self._uncounted))

    def _expect_execs(self) -> None:
        """Look at once at what has called `exec`, or is about to: the new program may be short."""
        for pid in self._marks.read():
            if (each := self._living.get(pid)) is not None:
                each.look_ns, each.gap_ns = 0, FIRST_LOOK_NS // 2
        without = [each for each in self._living.values() if not each.is_entered]
        # All of them in turn, if there are many.
        start = self._turn % len(without) if without else 0
        self._turn = start + EXECS_AT_ONCE
        for each in (without[start:] + without[:start])[:EXECS_AT_ONCE]:
            executable = proc.executable(each.pid)
            if executable and executable != each.found.executable:
                each.look_ns = 0

    def _new_ids(self) -> Iterator[int]:
        before, self._last = self._last, self._latest.read()
        if monotonic() >= self._search_s:
            self._search_s = monotonic() + SEARCH_EVERY_S
            known, self._searched = self._searched, proc.ids()
            # A parent has the lower number, unless the numbers began anew.
            yield from sorted(self._searched - known)
        elif self._last != before:
            # They began anew, or there are many: the search, which comes soon, finds those that still live.
            yield from range(before + 1, min(self._last, before + _RANGE) + 1)

    def _is_ours(self, seen: proc.ProcStat) -> bool:
        if seen.parent in self._living or not self._families.isdisjoint((seen.session, seen.group)):
            return True
        # Read only of a process that is new on this machine, and once.
        order = (proc.environ(seen.pid) or {}).get(VARIABLE, "")
        return order.partition("\n")[0] == self._mark or self._is_stray(seen)

    def _is_stray(self, seen: proc.ProcStat) -> bool:
        """Whether a daemon with a clean environment is ours, whose parent came and went between two looks.

        It is an orphan, its session is younger than the run, and it has the target's working directory or
        one of its channels.
        """
        if seen.parent not in self._reapers or seen.session in self._older:
            return False
        return not self._surroundings.isdisjoint(proc.surroundings(seen.pid))

    def _add(self, seen: proc.ProcStat) -> None:
        if seen.pid in self._living or self._gone.get(seen.pid) == seen.began_ticks:
            return
        whose = proc.owner(seen.pid)
        if whose is None or whose.pid != seen.pid:  # a thread
            return
        if len(self._living) >= LIVING or self._total >= TOTAL:
            self._uncounted += 1
            return
        try:
            pidfd = os.pidfd_open(seen.pid)
        except ProcessLookupError:  # it has been reaped: as short as those that are never seen
            return
        except OSError:  # there are no descriptors left
            self._uncounted += 1
            return
        found = self._found(seen, whose.uid)
        each = _Followed(seen.pid, seen.began_ticks, pidfd, found, memory=seen.memory, program_ns=found.at_ns)
        self._living[seen.pid] = self._by_fd[pidfd] = each
        self._total += 1
        self._poll.register(pidfd, select.EPOLLIN)
        self._note_families(seen)
        self._write(found)

    def _look_at(self, each: _Followed, now_ns: int) -> None:
        """See whether the process has replaced its program, or begun a session, since the last look."""
        last_look_ns, each.looked_ns = each.looked_ns or each.found.at_ns, now_ns
        each.gap_ns = min(each.gap_ns * 2, LAST_LOOK_NS)
        each.look_ns = now_ns + each.gap_ns
        seen, whose = proc.stat(each.pid), proc.owner(each.pid)
        if seen is None or whose is None or seen.began_ticks != each.began_ticks or seen.state == "Z":
            return  # its descriptor tells of its end
        self._note_families(seen)
        found = self._found(seen, whose.uid, parent=each.found.parent)
        before = each.found
        # A new title (`setproctitle`) is no new program.
        is_new = (seen.memory, found.executable, found.forked) != (
            each.memory,
            before.executable,
            before.forked,
        )
        if found.command and (is_new or not before.command):
            each.memory = seen.memory
            each.found = found = replace(found, since_ns=last_look_ns)
            each.gap_ns = FIRST_LOOK_NS  # the new program begins just as the first one did
            each.look_ns = now_ns + FIRST_LOOK_NS
            each.program_ns, each.examined = now_ns, None
            self._write(found)
        if whose.uid not in self._admitted:
            self._admitted.add(whose.uid)
            shared_folder.admit(str(self._folder.path), whose.uid)
        each.is_entered = self._marks.has(each.pid, each.found.since_ns)
        if not each.is_entered:
            self._examine(each, whose)

    def _examine(self, each: _Followed, whose: proc.ProcOwner) -> None:
        """See why there is no probe in the process, and whether it may run a loop."""
        barred = ""
        if whose.uid not in (0, os.geteuid()):
            needed = ((ENTRY / "sitecustomize.py", 4), (self._folder.path, 1))
            barred = user_access.first_barred(needed, whose.uid, whose.groups)
        examined = examine(each.found, self._mark, barred)
        if examined is None:
            return
        if monotonic_ns() - each.program_ns < YOUNG_NS:
            each.gap_ns, each.look_ns = FIRST_LOOK_NS, monotonic_ns() + FIRST_LOOK_NS
        if (before := each.examined) is not None:
            # Its environment stays; what it had once counts, though it may be closed or unmapped by now.
            mapped = tuple(sorted({*before.mapped, *examined.mapped}))
            polls = examined.polls or before.polls
            examined = replace(before, mapped=mapped, polls=polls, barred=barred)
        if examined != before:
            each.examined = replace(examined, at_ns=monotonic_ns())
            self._write(each.examined)

    def _remove(self, gone: _Followed) -> None:
        at_ns = monotonic_ns()
        status = proc.returncode(gone.pidfd, gone.pid, uid=gone.found.uid)
        # Its children, which have another parent now, are those that were found before.
        self._living.pop(gone.pid, None)
        self._gone[gone.pid] = gone.began_ticks
        self._by_fd.pop(gone.pidfd, None)
        self._poll.unregister(gone.pidfd)
        os.close(gone.pidfd)
        self._write(ProcessGone(at_ns, gone.pid, status, gone.found.began_ns))

    def _note_families(self, seen: proc.ProcStat) -> None:
        if seen.session == seen.pid or seen.group == seen.pid:
            self._families.add(seen.pid)

    def _found(self, seen: proc.ProcStat, uid: int, *, parent: int | None = None) -> ProcessFound:
        return ProcessFound(
            at_ns=monotonic_ns(),
            pid=seen.pid,
            parent=seen.parent if parent is None else parent,
            command=proc.command(seen.pid),
            began_ns=self._clock.ns(seen.began_ticks),
            executable=proc.executable(seen.pid),
            uid=uid,
            forked=seen.is_fork,
        )
