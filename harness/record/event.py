"""The events of a record: one class per kind, all of them frozen values.

Times are nanoseconds of the machine's monotonic clock (``time.monotonic_ns``), which every process of the
machine shares; `Run.started_ns` is its zero. Ids are lower-case hex as in W3C trace context, "" for none.
An event may gain fields with a default; existing fields keep their name, unit and meaning.
"""

from __future__ import annotations

import signal
from enum import StrEnum

# Everything in it: readers and runners import every event from here.
from .observation import *  # noqa: F403
from .observation import Event, Frame
from .value import Value

# --- the runner ---------------------------------------------------------------------------------------


class TargetStarted(Event):
    """The runner started the target."""

    at_ns: int
    pid: int
    command: tuple[str, ...]


class TargetReady(Event):
    """The target became ready for load."""

    at_ns: int


class TargetStopping(Event):
    """The runner asked the target to end."""

    at_ns: int
    signal: str  # "SIGTERM"


def describe_status(status: int) -> str:
    """How a process ended, from its `returncode`: ``with status 1``, ``by SIGKILL``."""
    if status >= 0:
        return f"with status {status}"
    try:
        return f"by {signal.Signals(-status).name}"
    except ValueError:  # real-time signals have no name
        return f"by signal {-status}"


class TargetExited(Event):
    """The target ended.

    *expected* is false if nobody had asked it to. Under `watch`, a program may also end by itself with
    status 0.
    """

    at_ns: int
    status: int  # as `subprocess.Popen.returncode`: negative for a signal
    expected: bool
    log: str = ""  # the file with its output, relative to the run's folder; "" if it was not kept
    last_lines: tuple[str, ...] = ()  # of the log, if the end was not expected


class ProcessFound(Event):
    """A process of the run, as the runner first saw it in `/proc`.

    A pid may be reused: *pid* and *began_ns* together identify a process. Written again, with the same two,
    when the process has replaced its program by `exec`.
    """

    at_ns: int
    pid: int
    parent: int  # when it was first seen; the runner's own pid for the target itself
    command: tuple[str, ...]  # a long one is cut
    began_ns: int  # when it was created, by the record's clock, rounded to the kernel's ticks (10 ms)
    executable: str = ""  # the file it runs; "" if it may not be read
    uid: int | None = None  # its effective user
    forked: bool = False  # a copy of its parent that has not called `exec`
    since_ns: int = 0  # after an `exec`: when it was last seen with the program before


class ProcessExamined(Event):
    """What the runner saw of a process without a probe; the latest is valid.

    Written only for what may be a Python. Of the environment only names and the position of the harness's
    folder are recorded.
    """

    at_ns: int
    pid: int
    began_ns: int  # as in `ProcessFound`
    python: str  # its version as far as its files tell: "3.11", "2"; "" if it is none
    embedded: bool  # Python's library in another program
    order: str  # the run's order in its environment: "here", "another" (run), "missing", "unreadable"
    path: str  # the harness's folder on its PYTHONPATH: "first", "later", "missing"; "" if unreadable
    clues: tuple[str, ...] = ()  # names of variables that name a launcher: "TOX_ENV_NAME", "PEX", ...
    mapped: tuple[str, ...] = ()  # compiled modules in its memory: "_asyncio", "uvloop", "gevent"
    shows_asyncio: bool = False  # it would have been seen if it had imported asyncio
    polls: bool = False  # it had an epoll descriptor
    barred: str = ""  # a path that its user may not use: of the harness, or of the record


class ProcessGone(Event):
    """A process of the run ended. One without this event still ran when the runner stopped looking."""

    at_ns: int
    pid: int
    status: int | None  # as `subprocess.Popen.returncode`; null where the kernel does not tell
    began_ns: int  # as in `ProcessFound`


class ProcessesUncounted(Event):
    """Processes of the run that were not followed; the latest is valid."""

    at_ns: int
    count: int
    error: str = ""  # why none was followed from then on; "" if there were too many


class ObserverFailed(Event):
    """A thread of the runner that observes the target ended with an error; the run went on without it."""

    at_ns: int
    observer: str  # "gil-watcher"
    error: str


class FaultInjected(Event):
    """A fault of the scenario became active."""

    at_ns: int
    id: str
    kind: str
    detail: str  # one line for people: "time.sleep(0.3) in shop.cart:Cart.total"
    place: str = ""  # "shop.cart:Cart.total"
    probability: float = 1.0  # that a call is hit
    by_hand: bool = False  # from a console, and not by the scenario


class FaultUndone(Event):
    """A fault was undone."""

    at_ns: int
    id: str
    fired: int  # how often it took effect, in all processes
    calls: int | None = None  # how often its function was called while the fault was in force
    processes: int | None = None  # in which it was planted; 0: none had imported the module


class FaultFailed(Event):
    """A fault could not be injected or undone."""

    at_ns: int
    id: str
    error: str


class LoopSampled(Event):
    """A loop's counters at one instant, read from outside."""

    at_ns: int
    pid: int
    loop: int  # as in `LoopStarted`
    turns: int
    busy_ns: int
    longest_ns: int  # the longest turn so far
    blocks: int
    recent_ns: int = 0  # about the longest turn since the previous reading
    throttled_ns: int = 0  # how long its cgroup has been throttled so far
    stolen_ns: int = 0  # what the host of this virtual machine has taken of its processors so far
    stopped: bool = False  # the process was stopped by a signal at that instant
    frozen: bool = False  # or by its cgroup, as `docker pause` does it
    thread_cpu_ns: int = 0  # CPU time of the loop's thread so far; 0 where it is not known
    process_cpu_ns: int = 0  # of all threads of its process


class LoopSilent(Event):
    """A loop was late and its watchdog, which needs the GIL, did not sample it; read from outside.

    Written up to a few times per turn, beside `ThreadsDumped`, which may be impossible or too late.
    """

    at_ns: int
    pid: int
    loop: int
    began_ns: int  # of the late turn, by the loop's page
    cpu_ns: int | None  # of the loop's thread so far; null where the kernel does not tell
    waits_in: str  # the kernel's function in which that thread waits; "" when it runs, or for unknown


class ThreadDump(Value):
    """One thread of the target, read from outside."""

    name: str
    native_id: int
    has_gil: bool
    active: bool  # running on a processor, by the estimate of what looked
    stack: tuple[Frame, ...]  # outermost first


class ThreadsDumped(Event):
    """The target's threads, read from outside while a loop was late and its watchdog could not sample it."""

    at_ns: int
    pid: int
    loop: int
    began_ns: int  # of the late turn, as in `Blocked.at_ns`
    native_id: int  # of the loop's thread
    threads: tuple[ThreadDump, ...]
    over_ns: int = 0  # when the dump, which began at `at_ns`, was complete; 0: unknown
    by: str = "py-spy"  # what looked: this, or "profiling.sampling"


class DumpFailed(Event):
    """No dump from outside was possible, and none will be tried again."""

    at_ns: int
    reason: str


class LedgerTaken(Event):
    """What became of every message, by the chaos service's own ledger, after it ended."""

    at_ns: int
    published: int
    acked: int
    nacked: int
    redelivered: int
    duplicated: int  # saved more than once, or acked after another delivery had been acked
    lost: int  # published, but neither acked, nor dead-lettered, nor waiting after the drain
    dead_lettered: int
    waiting: int  # still in the queue when the target ended
    acked_unsaved: int  # acked, but not in the store: must be 0
    drain_s: float | None  # from the stop signal to the end; null without a drain


class QueueLeft(Event):
    """The run's own queue was left on its server."""

    at_ns: int
    why: str


class RecordedFile(Value):
    """A file of the record as the runner saw it at the end of the run; it may only grow."""

    path: str  # relative to the run's folder
    size_bytes: int


class RunEnded(Event):
    """The runner's last event. A record without it is partial."""

    at_ns: int
    interrupted: bool
    error: str = ""  # why the run could not be completed as configured
    incomplete: str = ""  # why the runner could not record all that it saw
    files: tuple[RecordedFile, ...] = ()  # of the other writers, and the loops' pages


# --- the load driver ----------------------------------------------------------------------------------


class LoadStarted(Event):
    """The driver began its schedule, in which the time of request *n* does not depend on the target."""

    at_ns: int
    sender: str
    arrival: str  # "constant" or "poisson"; "closed": users who wait for their answers
    rate_per_s: float  # the mean; 0 in a closed model
    duration_s: float
    warm_up_s: float = 0.0  # what is due in this time does not count
    tags: tuple[tuple[str, ...], ...] = ()  # of each step of the visits


class Sent(Event):
    """Request *n* was sent. Latency counts from *intended_ns*, when it was due."""

    n: int
    intended_ns: int
    sent_ns: int
    trace_id: str
    step: int = -1  # of a visit, as in `LoadStarted.tags`; -1: all requests are alike


class RequestFailure(StrEnum):
    """The kind of a failed request; "" in a record stands for none of these."""

    STATUS = "status"  # answered, but not with a status that counts as success
    CHECK = "check"  # answered, but without what the answer must have
    REFUSED = "refused"  # nobody listened
    RESET = "reset"  # the connection was closed before the answer was complete
    TIMEOUT = "timeout"
    TLS = "tls"
    PROTOCOL = "protocol"  # an answer that is not HTTP
    IN_FLIGHT = "in flight"  # not sent: as many requests as the driver allows had no answer yet
    DESCRIPTORS = "descriptors"
    PORTS = "ports"
    NAME = "name"
    MEMORY = "memory"

    @property
    def is_the_drivers(self) -> bool:
        """Whether the driver could not even ask, so that the failure says nothing about the target."""
        return self in _THE_DRIVERS


_THE_DRIVERS = {
    RequestFailure.DESCRIPTORS,
    RequestFailure.PORTS,
    RequestFailure.NAME,
    RequestFailure.MEMORY,
}


class Completed(Event):
    """Request *n* was answered, or its message settled."""

    n: int
    done_ns: int
    ok: bool
    error: str = ""
    kind: str = ""  # of the failure, as in `RequestFailure`; "" for none of these
    due_ns: int = 0  # of a request that was never sent
    step: int = -1  # likewise


class LoadEnded(Event):
    """The schedule ended. *offered* requests were due; those not sent have no event of their own."""

    at_ns: int
    offered: int
    elapsed_ns: int = 0  # how long the schedule lasted; 0: unknown, as are the next two
    cpu_ns: int = 0  # the driver's CPU time in that time ...
    queued_ns: int = 0  # ... and how long its loop's thread was ready to run without a processor
