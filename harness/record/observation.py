"""The events that the probe writes from inside a target, and those that every writer writes.

The others are in `event.py`, which also has these: a target does not need them, and making a class is time at
its start. Times and ids are described there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from .value import Value

# Readers accept records up to this number; writers put it into the first line of every file.
FORMAT = 1


class Frame(NamedTuple):
    """One line of a stack."""

    file: str
    line: int
    function: str  # qualified, as `co_qualname` says


class Cadence(NamedTuple):
    """How often the watchdog samples a loop that is late."""

    every_ns: int = 5_000_000  # two short blocks in a row can be told apart at this grain
    # A block of ten minutes would be sampled 120,000 times: beyond this length ...
    dense_ns: int = 2_000_000_000
    thinning: int = 100  # ... the gap between samples grows to this fraction of what is beyond it: 1/100

    def gap_ns(self, late_ns: int) -> int:
        """The time between samples when the loop has been late for that long."""
        return max(self.every_ns, (late_ns - self.dense_ns) // self.thinning)


CADENCE = Cadence()


class Event(Value):
    """What can stand in a record by itself, as one line; every other value is a part of one."""


class Observation(Event):
    """An event that a target's probe can write."""


# --- every writer -------------------------------------------------------------------------------------


class WriterOpened(Observation):
    """The first line of every file: which process writes it."""

    at_ns: int
    wall_ns: int  # the same instant on the wall clock, in Unix time
    role: str  # "runner", "driver" or "target"
    pid: int
    parent_pid: int
    python: str  # "3.12.1"
    command: tuple[str, ...]
    format: int = FORMAT


class WriterClosed(Observation):
    """The last line of a file whose writer ended cleanly; without it the writer was cut off.

    Other lines follow if the process wrote it before an `exec` that then failed.
    """

    at_ns: int
    dropped: int  # events that were lost because the buffer was full or a write failed
    lines: int = 0  # in the file before this one, at least; 0: unknown


# --- the target, written by the probe -----------------------------------------------------------------


class LoopStarted(Observation):
    """An event loop began to run. Loops that run one after the other share a number and their counters."""

    at_ns: int
    pid: int
    loop: int  # 0, 1, ... within the process: one number for each loop that runs at the same time
    kind: str  # "asyncio.unix_events._UnixSelectorEventLoop"
    thread: str
    # How its turns are timed: "select" (in the selector), "wrapped" (around it); if they are not timed one by
    # one, how late ones are found: "libuv" (by its metrics), "looks" (at the thread).
    mechanism: str
    page: str  # the file of its counters, relative to the run's folder: see `page.py`
    limit_ns: int  # a turn longer than this is a block
    application: tuple[str, ...]  # path prefixes of the program's own code
    libraries: tuple[str, ...]  # path prefixes of the standard library and of site-packages
    harness: str = ""  # the folder of the harness whose probe is in the process
    not_found: tuple[str, ...] = ()  # what was asked for as the program's own code, and is not there
    cadence: Cadence = CADENCE


class Sample(Value):
    """Consecutive samples of the loop's thread, during a late turn, that are equal."""

    first_ns: int
    last_ns: int
    count: int
    stack: tuple[Frame, ...]  # outermost first; compiled code has the line 0, and a file only if installed
    task: str  # its name; "" for a plain callback
    coroutine: str
    span: str
    trace_id: str
    span_id: str
    fault: str = ""  # the id of the injected fault that was acting
    syscall: str = ""  # the system call that the thread was in, "running", or "" for unknown
    awaited_by: tuple[str, ...] = ()  # the chain of tasks that await the task, nearest first
    # Where the task's coroutine was created, or the callback scheduled, if recorded; innermost last.
    created: tuple[Frame, ...] = ()
    step: int = 0  # numbers the callbacks that were sampled in the turn, in their order
    # At the first of these samples the innermost function had been called, but none of its code had run.
    entering: bool = False


class OtherThread(Value):
    """Another thread of the process that may have held the GIL while a loop was late."""

    thread: str
    stack: tuple[Frame, ...]  # outermost first
    cpu_ns: int  # its CPU time so far
    used_ns: int  # the part of it between the first and the last sample
    syscall: str = ""  # as in `Sample`


class GcPause(Value):
    """One long run of the garbage collector."""

    at_ns: int
    held_ns: int
    generation: int
    collected: int


class DelayedStep(Value):
    """A task or callback that was due and had to wait."""

    label: str  # the task's name, or a description of the callback
    span: str
    trace_id: str
    delayed_ns: int
    at_most: bool = False  # an upper bound: its file or socket became ready at an unknown time in the block


class StepCandidate(Value):
    """A task that may have run in a turn."""

    task: str
    coroutine: str
    span: str
    trace_id: str
    span_id: str


class QueuedCallbacks(Value):
    """Callbacks of one kind in a loop's ready queue."""

    label: str  # the coroutine's name, or the callback's
    count: int  # an estimate if the queue is long


class Blocked(Observation):
    """A loop was late by more than the limit, with the samples of that time.

    Either a turn took too long; or the loop was due at *at_ns* and woke up only at *woke_ns*, because another
    thread held the GIL, a signal handler ran, or the process got no processor; or both.

    Written twice: when the loop is first found late (*ended* is false, so that a killed process still names
    its block), and when the turn has ended. The two share *pid*, *loop* and *at_ns*; the later one is valid.
    """

    at_ns: int  # when the turn began, or the loop was due
    held_ns: int
    ended: bool
    pid: int
    loop: int
    samples: tuple[Sample, ...]
    victims: tuple[DelayedStep, ...]  # those that waited longest; *victims_total* counts all
    victims_total: int
    cpu_ns: int | None = None  # the CPU time of the loop's thread since the first sample ...
    queued_ns: int | None = None  # ... the time it waited for a processor ...
    watched_ns: int | None = None  # ... and the wall time since then
    woke_ns: int = 0  # when the loop woke up late; 0 if it did not
    whole_cpu_ns: int | None = None  # the CPU time of its thread since shortly before *at_ns* ...
    whole_ns: int | None = None  # ... and the wall time since then
    whole_queued_ns: int | None = None  # of that, the time it waited for a processor ...
    woke_queued_ns: int | None = None  # ... and the part of it until *woke_ns*
    watcher_queued_ns: int = 0  # the time that the probe's own thread waited for a processor meanwhile
    others: tuple[OtherThread, ...] = ()
    pauses: tuple[GcPause, ...] = ()
    queue: tuple[QueuedCallbacks, ...] = ()  # a long ready queue at the first sample, most frequent first
    candidates: tuple[StepCandidate, ...] = ()  # if no task was sampled in the turn: those that may have run


class SpanEnded(Observation):
    """An OpenTelemetry span of the target, or one of the driver's publish spans."""

    name: str
    kind: str  # "internal", "server", "client", "producer", "consumer"
    trace_id: str
    span_id: str
    parent_id: str
    start_ns: int
    end_ns: int
    status: str  # "unset", "ok", "error"
    thread: str
    attributes: Mapping[str, str | int | float | bool] = {}
    pid: int = 0
    task: str = ""  # the name of the task in which it ended; "" for none


class FaultFired(Observation):
    """An injected fault took effect once."""

    at_ns: int
    id: str


class Coroutine(Value):
    """The coroutine of a task, or one that was never awaited."""

    name: str  # qualified, as `__qualname__` says
    file: str  # of its definition; "" if it is not written in Python
    line: int
    stack: tuple[Frame, ...] = ()  # where it waits, outermost first
    created: tuple[Frame, ...] = ()  # where it was created, if recorded; innermost last


class TaskDestroyed(Observation):
    """Tasks were garbage-collected while pending, because no reference to them was kept.

    Written again as *count* grows, with the same *at_ns*; so are the next three events.
    """

    at_ns: int  # of the first one
    pid: int
    coroutine: Coroutine
    count: int


class ExceptionLost(Observation):
    """An exception that was only passed to the loop's exception handler."""

    at_ns: int
    pid: int
    message: str  # as asyncio words it: "Task exception was never retrieved"
    error: str  # "ValueError: no such host"
    stack: tuple[Frame, ...]  # of the traceback; the line that raised it is last
    coroutine: Coroutine | None
    count: int


class NeverAwaited(Observation):
    """A coroutine was garbage-collected before it had begun."""

    at_ns: int
    pid: int
    coroutine: Coroutine
    stack: tuple[Frame, ...]  # where the last reference was dropped, outermost first
    count: int


class CancelSwallowed(Observation):
    """Tasks were cancelled and completed normally nevertheless."""

    at_ns: int
    pid: int
    coroutine: Coroutine
    count: int


class AwaitSite(Observation):
    """A line at which tasks of one coroutine wait; written when the first ones are found there."""

    at_ns: int
    pid: int
    place: int  # its number in the censuses of this process
    coroutine: Coroutine


class TaskCluster(Value):
    """The tasks that wait at one place."""

    place: int  # as in `AwaitSite`
    count: int
    seen: int  # how many have been found there so far; those no longer there have left
    cancelled: int = 0  # those of *count* that were cancelled more than a second ago
    cancelled_ns: int = 0  # the longest time since such a cancellation was found
    newest: int = 0  # about the highest number in their default names, as in "Task-12"; 0 for none


class TasksCounted(Observation):
    """A census of the pending tasks of a process; consecutive ones without clusters are written once."""

    at_ns: int
    pid: int
    pending: int
    cpu_ns: int  # of the process so far
    descriptors: int  # open files and sockets; counted only if there are clusters
    clusters: tuple[TaskCluster, ...]  # the largest
    closing: bool = False  # a loop was closing, and its tasks had been cancelled


class WaitingTasks(Value):
    """Pending tasks of one coroutine that wait at one line."""

    coroutine: Coroutine
    count: int
    main: bool  # a loop runs until this task is done


class NonDaemonThread(Value):
    """A thread that Python joins before the process ends."""

    thread: str
    stack: tuple[Frame, ...]  # outermost first


class ShutdownStalled(Observation):
    """The process still runs some time after its handler for SIGTERM or SIGINT was called.

    Written at growing intervals after the signal; the latest is valid.
    """

    at_ns: int
    pid: int
    asked_ns: int  # when the handler was called
    signal: str  # "SIGTERM" or "SIGINT"
    before: Coroutine | None  # what the main loop ran until done, and where that waited at the signal
    pending: int  # tasks; 0 if no loop runs any more
    waiting: tuple[WaitingTasks, ...]  # some of them: first those that a loop runs until done
    stack: tuple[Frame, ...]  # of the main thread, outermost first
    threads: tuple[NonDaemonThread, ...] = ()


class ProcessExiting(Observation):
    """A process that received SIGTERM or SIGINT calls `os._exit`, or replaces itself by `exec`."""

    at_ns: int
    pid: int


class ExitDelayed(Observation):
    """The main thread of a process has ended, and Python waits for other threads before the process ends.

    Written at growing intervals; the latest is valid.
    """

    at_ns: int
    pid: int
    since_ns: int  # when the main thread ended
    threads: tuple[NonDaemonThread, ...]


class CallsCounted(Observation):
    """Synchronous calls on the thread of a running loop, from one place in the program.

    Written again as *count* grows; of events that differ only in the figures, the latest is valid.
    """

    at_ns: int
    pid: int
    call: str  # "open", "file.read", "socket.connect", "import"
    function: str  # the calling function, "module:qualified.name"; "" for all further places together
    file: str
    line: int
    caller: str  # the coroutine of the calling task, in the same form; "" for a plain callback
    argument: str  # a path, host or program; "" for none, and for all further ones of the place
    count: int
    total_ns: int
    max_ns: int


class ConsoleOpened(Observation):
    """A process has a console. Its token is not recorded, because others may read a record."""

    at_ns: int
    pid: int
    card: str  # the file that describes how to attach: see `console_endpoint.py`
    port: int | None  # of loopback, for telnet; null without one
    note: str = ""  # why it differs from what was configured


class ConsoleAudited(Observation):
    """A client of the console connected, was refused, or ran a command that does more than read."""

    at_ns: int
    pid: int
    client: str  # "uid 1000, pid 4711", or an address
    line: str  # the command; "" for the connection itself
    outcome: str  # "connected", "done", "refused: wrong token", ...


class ConsoleCounted(Observation):
    """The use of the console so far, and its cost. Written again as it grows; the latest is valid."""

    at_ns: int
    pid: int
    connections: int
    refused: int  # connections: a wrong token, HTTP, or too many clients
    commands: dict[str, int]  # how often each was used, by name
    unlisted: int  # events beyond the number of `ConsoleAudited` that is kept
    cpu_ns: int  # of the console's threads
    process_cpu_ns: int


class ProbeClosed(Observation):
    """What the probe cost this process, written when the process ends cleanly."""

    at_ns: int
    turns: int
    turn_cost_ns: float  # per turn, measured in this process at its end
    threads_cpu_ns: int  # the probe's own threads
    process_cpu_ns: int
    spans_dropped: int
    calls_ns: int = 0  # time of the loops' threads spent on counting synchronous calls ...
    sampler_ns: int = 0  # ... on sampling ...
    steps_ns: int = 0  # ... and on logging steps
    spans_followed: bool = False  # the OpenTelemetry SDK was loaded, so that no span means none was made
    failures: int = 0  # errors in the probe, of which only the first have a `ProbeFailed`


class ProbeFailed(Observation):
    """A part of the probe raised; the exception was contained, and that part was undone."""

    at_ns: int
    where: str
    error: str
    pid: int = 0  # 0 in a record of an earlier version


class PartLeftOut(Observation):
    """A part of the probe cannot work in this process, whose Python or libraries differ; the others do."""

    at_ns: int
    pid: int
    part: str
    reason: str


# --- what several processes write ---------------------------------------------------------------


class ArtefactWritten(Observation):
    """A profiler or console left a file; *path* is relative to the run's folder."""

    at_ns: int
    tool: str  # "pyinstrument", "py-spy", ...
    path: str
    note: str = ""  # what it shows, or why there is none


# --- samples ------------------------------------------------------------------------------------------


class FrameTable(Observation):
    """The frames that samples of this process refer to by number: a stack has that of its innermost frame."""

    at_ns: int
    pid: int
    first: int  # the number of the first frame; the others follow
    callers: tuple[int, ...]  # of each frame: the number of the frame that called it, 0 for none
    frames: tuple[Frame, ...]


class Sampled(Observation):
    """Ticks of the sampler, within about a second, that found a thread at the same line."""

    at_ns: int  # of the first one
    pid: int
    thread: str
    way: str  # "signal": on the thread itself; "thread", "executor": from another one, biased; "outside"
    hz: float  # the rate of such ticks: each stands for 1/hz seconds
    stack: int  # the number of the innermost frame in `FrameTable`
    count: int  # ticks, including those that were missed before a sample of the same turn
    task: str
    coroutine: str
    span: str
    trace_id: str
    span_id: str
    # For each sample in turn: µs since the first one, and the number of ticks it stands for. At most a
    # hundred are listed; an empty tuple means one sample, at `at_ns`.
    offsets: tuple[int, ...] = ()


class SamplesCounted(Observation):
    """The counts of a process's sampler so far; the latest is valid."""

    at_ns: int
    pid: int
    hz: float  # the configured number of ticks per second of a loop's turns
    stacks: int  # that were taken
    ticks: int  # the ticks that these stacks stand for
    lost: int  # ticks that found no thread to sample, or no room in memory
    cost_ns: int  # the time that sampling took of the loop's thread


# --- waits --------------------------------------------------------------------------------------------

# What made a step ready: the step with that number, the work of an executor with the number `WORK - waker`,
# or one of these. 0: unknown.
TIMER, FILE, THREAD, WORK = -1, -2, -3, -16


class StepsTaken(Observation):
    """The steps of a loop since the last such event: callbacks, and tasks from one wait to the next.

    Logged are the steps of chosen traces, those that woke one of these, and long ones; rows without a runner
    sum up the others. The rows of numbers are packed (`packing.py`).
    """

    at_ns: int
    pid: int
    loop: int  # as in `LoopStarted`
    # Number, ready, began, ended (ns), waker, runner: a task's number, or minus that of a callback's place. A
    # row with runner 0 sums up short steps: its waker is the time (ns) that they held the loop.
    steps: str
    # Of long steps: number, a CPU time of the thread (ns) at its end, and the instant since which it counts.
    long_steps: str
    tasks: str  # number, place
    # Work of executors: number, the step that submitted it, submitted, began, ended (ns), place.
    works: str
    # The two halves of the span's id; where it began: a task's number, `WORK` minus that of work, or 0; and
    # when.
    spans: str
    place_numbers: tuple[int, ...]
    places: tuple[Frame, ...]  # for each of these numbers: the first line of a function
    share: float  # of the traces that are chosen
    taken: int = 0  # steps so far, logged or not
    dropped: int = 0  # steps that should have been logged: no room, or of an unknown kind


class StepLogUnavailable(Observation):
    """The steps of a loop cannot be logged."""

    at_ns: int
    pid: int
    kind: str  # "uvloop.Loop"
    reason: str
