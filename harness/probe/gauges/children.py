"""Finds children that stand in a write to a pipe that nobody reads, and those that are never waited for.

The kernel shows what each waits in. A child that is only slow is told apart by its count of waits, which
stands still while it stands.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from ...record.clock import monotonic_ns
from ...record.observation import ChildStuck, Coroutine, Frame, Observation, ZombiesFound
from ...record.value import Row
from ..hooks.hook import leave_out
from ..hooks.state import child_state, task_state
from ..tasks import coroutine
from ..tasks.register import registered
from ..threads import other_threads, thread_file, usage
from ..threads.stack import stack_of

# A child that stands for less is told by nobody: the program may be about to read.
STANDS_NS = 500_000_000
# Children, threads of this process and of a child, and generations that are looked at.
CHILDREN, THREADS, THREADS_OF_CHILD, GENERATIONS = 100, 200, 8, 4
# A shorter-lived zombie is about to be waited for.
ZOMBIE_NS = 1_000_000_000
LISTED = 10
COMMAND_CHARS = 200
_WRITES = ("write", "writev")
# What a child is in that waits for one of its own, or for another of its threads.
_WAITS_FOR_CHILD, _WAITS_FOR_THREAD = ("wait4", "waitid"), "futex"
# How often it is noted again that a child still stands: each time by a half longer.
AGAIN = 1.5

_waitid = os.waitid
# Pipes that this process has open. Where it has closed one since, no child stands in a write to it.
_ours: set[str] = set()


class _Writer(Row):
    """A thread in a write, and how often it has waited so far: equal as long as it stands there."""

    pid: int
    thread: int
    descriptor: int
    address: int
    waits: int


class _Waiting(Row):
    """Who waits for the end of a child."""

    coroutine: Coroutine | None = None
    thread: str = ""
    ident: int = 0
    stack: tuple[Frame, ...] = ()


class Children:
    """The children of this process, as of the latest look."""

    def __init__(self, write: Callable[[Observation], object], loop_threads: Callable[[], set[int]]) -> None:
        self._write = write
        self._loop_threads = loop_threads
        self._standing: dict[int, tuple[_Writer, int, int]] = {}  # by child: since when, and next to be noted
        self._zombies: dict[int, int] = {}  # by pid: when it was first found
        self._told = 0  # zombies in the newest event
        self._waiting: dict[_Writer, _Waiting] = {}  # for the children that stand

    def look(self, *, last: bool = False) -> None:
        """Look at all children; at the *last* look, what stands is noted once more."""
        now_ns = monotonic_ns()
        if not _has_children():
            self._standing.clear()
            self._note_zombies({}, now_ns)
            return
        standing: dict[int, tuple[_Writer, int, int]] = {}
        zombies: dict[int, int] = {}
        for child in _children_of_this():
            if (state := _state(child)) == "Z":
                zombies[child] = self._zombies.get(child, now_ns)
            elif state == "S" and (writer := _writer_of(child)) is not None:
                before, since_ns, next_ns = self._standing.get(child, (None, now_ns, now_ns + STANDS_NS))
                if before != writer:
                    since_ns, next_ns = now_ns, now_ns + STANDS_NS
                elif now_ns >= next_ns or (last and now_ns - since_ns >= STANDS_NS):
                    next_ns = since_ns + int((now_ns - since_ns) * AGAIN)
                    self._tell(child, writer, since_ns, now_ns)
                standing[child] = (writer, since_ns, next_ns)
        self._standing = standing
        stands = {writer for writer, _, _ in standing.values()}
        self._waiting = {writer: waiting for writer, waiting in self._waiting.items() if writer in stands}
        self._note_zombies(zombies, now_ns)

    def _tell(self, child: int, writer: _Writer, since_ns: int, now_ns: int) -> None:
        # Who waits is found once: as long as the child stands, the wait is the same.
        waiting = self._waiting.get(writer) or _who_waits(child, writer.descriptor)
        if waiting is None:
            return
        self._waiting[writer] = waiting
        self._write(
            ChildStuck(
                at_ns=now_ns,
                pid=os.getpid(),
                child=child,
                command=_command(writer.pid),
                descriptor=writer.descriptor,
                began_ns=since_ns,
                coroutine=waiting.coroutine,
                thread=waiting.thread,
                stack=waiting.stack,
                on_loop=waiting.ident in self._loop_threads(),
            )
        )

    def _note_zombies(self, zombies: dict[int, int], now_ns: int) -> None:
        self._zombies = zombies
        old = {pid: since_ns for pid, since_ns in zombies.items() if now_ns - since_ns >= ZOMBIE_NS}
        if len(old) == self._told:
            return
        self._told = len(old)
        self._write(
            ZombiesFound(
                at_ns=now_ns,
                pid=os.getpid(),
                count=len(old),
                oldest_ns=now_ns - min(old.values(), default=now_ns),
                children=tuple(old)[:LISTED],
                names=tuple(sorted({_name(pid) for pid in list(old)[:LISTED]})),
            )
        )


def _has_children() -> bool:
    """Whether there is a child, alive or not; it stays as it is."""
    try:
        _waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except OSError:
        return False
    return True


def _children_of_this() -> Iterator[int]:
    """The pids of the children, of whichever thread made them."""
    for thread in os.listdir("/proc/self/task")[:THREADS]:  # noqa: PTH208
        yield from _numbers(f"/proc/self/task/{thread}/children")[:CHILDREN]


def _threads_of(pid: int) -> list[int]:
    with suppress(OSError):
        return [int(name) for name in os.listdir(f"/proc/{pid}/task")]  # noqa: PTH208
    return []


def _numbers(path: str) -> list[int]:
    with suppress(OSError, ValueError):
        text = thread_file.read_path(path)
        # The end of a list that is longer than what is read may be half a number.
        return [int(word) for word in text.split()[: CHILDREN + 1]]
    return []


def _fields(pid: int) -> tuple[str, str]:
    """The name of a process's program, and its state: "S" for one that waits, "Z" for a zombie."""
    with suppress(OSError):
        text = thread_file.read_path(f"/proc/{pid}/stat").decode(errors="replace")
        before, _, after = text.rpartition(")")
        return before.partition("(")[2], after.split()[0] if after.split() else ""
    return "", ""


def _state(pid: int) -> str:
    return _fields(pid)[1]


def _name(pid: int) -> str:
    return _fields(pid)[0]


def _command(pid: int) -> tuple[str, ...]:
    with suppress(OSError):
        text = thread_file.read_path(f"/proc/{pid}/cmdline").decode(errors="replace")
        return tuple(text[:COMMAND_CHARS].rstrip("\0").split("\0"))
    return ()


def _writer_of(child: int, generation: int = 0) -> _Writer | None:
    """The thread of the child, or of a child of its own, that writes to a pipe which we read."""
    try:
        call, arguments = usage.parsed_call(thread_file.read_path(f"/proc/{child}/syscall"))
    except PermissionError:
        leave_out("children", "the kernel does not show what child processes wait in")
        return None
    except OSError:
        return None  # it has just ended, or runs as another user
    if call in _WRITES:
        return _writer_in(child, child, arguments)
    if call in _WAITS_FOR_CHILD and generation < GENERATIONS:
        for grandchild in _numbers(f"/proc/{child}/task/{child}/children")[:CHILDREN]:
            if (writer := _writer_of(grandchild, generation + 1)) is not None:
                return writer
    if call == _WAITS_FOR_THREAD:
        for thread in _threads_of(child)[:THREADS_OF_CHILD]:
            with suppress(OSError):
                path = f"/proc/{child}/task/{thread}/syscall"
                call, arguments = usage.parsed_call(thread_file.read_path(path))
                if call in _WRITES and (writer := _writer_in(child, thread, arguments)) is not None:
                    return writer
    return None


def _writer_in(pid: int, thread: int, arguments: tuple[int, ...]) -> _Writer | None:
    """The thread, if what it writes to is a pipe that this process could read."""
    if len(arguments) < 2:
        return None
    descriptor, address = arguments[:2]
    try:
        pipe = os.readlink(f"/proc/{pid}/fd/{descriptor}")  # noqa: PTH115
        if not pipe.startswith("pipe:") or not _is_open_here(pipe):
            return None
        status = thread_file.read_path(f"/proc/{pid}/task/{thread}/status")
        waits = int(status.partition(b"\nvoluntary_ctxt_switches:")[2].split()[0])
    except (OSError, ValueError, IndexError):
        return None
    return _Writer(pid, thread, descriptor, address, waits)


def _is_open_here(pipe: str) -> bool:
    if pipe in _ours:
        return True
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208
        with suppress(OSError):
            if os.readlink(f"/proc/self/fd/{name}") == pipe:  # noqa: PTH115
                if len(_ours) >= CHILDREN:
                    _ours.clear()
                _ours.add(pipe)
                return True
    return False


def _who_waits(child: int, descriptor: int) -> _Waiting | None:
    """Who waits for the child's end while nobody reads; `None` if nobody does, or someone may read."""
    chains: list[tuple[Any, list[Any]]] = []
    waiting: tuple[Any, Any] | None = None
    for register in registered() or ():
        if (task := register()) is None or task_state.is_done(task):
            continue
        if getattr(work := task_state.work_of(task), "cr_running", False):
            continue
        links = coroutine.links(work)
        chains.append((task, links))
        if links and child_state.waited_pid(links[-1]) == child:
            waiting = task, child_state.reader(links[-1], descriptor)
    if waiting is None:
        return _thread_that_waits(child, descriptor)
    task, reader = waiting
    for other, links in chains:
        if other is not task and any(_may_read(link, reader, child, descriptor) for link in links):
            return None
    return _Waiting(coroutine.of_task(task))


def _may_read(link: Any, reader: Any, child: int, descriptor: int) -> bool:
    """Whether the coroutine *link* has the reader, or has the child and knows how to get it."""
    return child_state.has_reader(link, reader) or (
        child_state.has_child(link, child) and child_state.reads(link, descriptor)
    )


def _thread_that_waits(child: int, descriptor: int) -> _Waiting | None:
    code = child_state.wait_code()
    for ident, innermost in other_threads.frames().items():
        frame: Any = innermost
        while frame is not None and code is not None:
            if frame.f_code is code:
                popen = frame.f_locals.get("self")
                if getattr(popen, "pid", None) == child:
                    if child_state.is_read_elsewhere(popen, descriptor):
                        return None
                    name = other_threads.name_of(ident)
                    return _Waiting(thread=name, ident=ident, stack=stack_of(innermost))
            frame = frame.f_back
    return None
