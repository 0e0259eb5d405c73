"""What the probe puts into a record from inside the target, and what every writer does.

The other events are in `event.py`, which has these as well: a target does not need them, and pays for each
class at its start. Times and ids are as told there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from .value import Value

# Readers accept records up to this number; writers write it into every file's first line.
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
    """The first line of every file: who writes here."""

    at_ns: int
    wall_ns: int  # the same instant by the wall clock, unix time
    role: str  # "runner", "driver" or "target"
    pid: int
    parent_pid: int
    python: str  # "3.12.1"
    command: tuple[str, ...]
    format: int = FORMAT


class WriterClosed(Observation):
    """The last line of a file whose writer ended in good order; without it the writer was cut off."""

    at_ns: int
    dropped: int  # events that found the buffer full, or could not be written


# --- the target, written by the probe -----------------------------------------------------------------


class LoopStarted(Observation):
    """An event loop runs. Loops that run one after the other share a number, and the page of counters."""

    at_ns: int
    pid: int
    loop: int  # 0, 1, ... within the process: a number for each that runs at the same time
    kind: str  # "asyncio.unix_events._UnixSelectorEventLoop"
    thread: str
    mechanism: str  # how its turns are timed: "select" (in the selector), "wrapped" (around it), "beats"
    page: str  # its counters, relative to the run's folder: see `page.py`
    limit_ns: int  # a turn longer than this is a block
    application: tuple[str, ...]  # path prefixes of the program's own code
    libraries: tuple[str, ...]  # path prefixes of the standard library and of site-packages
    harness: str = ""  # the folder of the harness whose probe is in the process
    cadence: Cadence = CADENCE


class Sample(Value):
    """Consecutive looks at the loop's thread that saw the same thing, while a turn was late."""

    first_ns: int
    last_ns: int
    count: int
    stack: tuple[Frame, ...]  # outermost first
    task: str  # its name, "" for a plain callback
    coroutine: str
    span: str
    trace_id: str
    span_id: str
    fault: str = ""  # id of the injected fault that was acting
    syscall: str = ""  # where the kernel had the thread: a system call's name, "running", "" for not known
    awaited_by: tuple[str, ...] = ()  # the tasks that wait for the task, the next one first
    created: tuple[Frame, ...] = ()  # where the task's coroutine was made, if that is kept; innermost last
    step: int = 0  # counts the callbacks of the turn that were seen; a later one has a higher number


class OtherThread(Value):
    """Another thread of the process, seen while a loop was late, that may have held the GIL."""

    thread: str
    stack: tuple[Frame, ...]  # outermost first
    cpu_ns: int  # of its whole life until then
    used_ns: int  # of that, between the first and the last look
    syscall: str = ""  # where the kernel had it: a system call's name, "running", "" for not known


class GcPause(Value):
    """One run of the garbage collector that took long."""

    at_ns: int
    held_ns: int
    generation: int
    collected: int


class DelayedStep(Value):
    """Somebody who was due and had to wait."""

    label: str  # the task's name, or what the callback is
    span: str
    trace_id: str
    delayed_ns: int
    at_most: bool = False  # it waited for a file or socket, which became ready at some time of the block


class StepCandidate(Value):
    """A task that may have taken a step in a turn."""

    task: str
    coroutine: str
    span: str
    trace_id: str
    span_id: str


class QueuedCallbacks(Value):
    """Callbacks of one kind that stood in a loop's ready queue."""

    label: str  # the coroutine's name, or the callback's
    count: int  # of a long queue an estimate


class Blocked(Observation):
    """A loop was late by more than the limit, seen as a run of samples.

    A turn lasted too long; or the loop should have been awake at *at_ns* and was not before *woke_ns*:
    another thread held the GIL, a signal handler ran, or the process got no processor; or both.

    Written twice: when the loop is first seen late (*ended* false, so that a killed process still names its
    block) and when the turn ended. The two share *pid*, *loop* and *at_ns*; the later one holds.
    """

    at_ns: int  # when the turn began, or the loop should have been awake
    held_ns: int
    ended: bool
    pid: int
    loop: int
    samples: tuple[Sample, ...]
    victims: tuple[DelayedStep, ...]  # the ones that waited longest; *victims_total* counts all
    victims_total: int
    cpu_ns: int | None = None  # the loop thread's CPU time from the first look on ...
    queued_ns: int | None = None  # ... its time waiting for a processor ...
    watched_ns: int | None = None  # ... and the wall time of both
    woke_ns: int = 0  # when the loop woke up late, 0 when it did not
    whole_cpu_ns: int | None = None  # the loop thread's CPU time since shortly before it all began ...
    whole_ns: int | None = None  # ... and the wall time of that
    others: tuple[OtherThread, ...] = ()
    pauses: tuple[GcPause, ...] = ()
    queue: tuple[
        QueuedCallbacks, ...
    ] = ()  # the ready queue at the first look, when it was long: the most first
    suspects: tuple[StepCandidate, ...] = ()  # who may have run, when no task was seen in the turn


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
    task: str = ""  # in which it ended, by its name; "" for none


class FaultFired(Observation):
    """An injected fault took effect once."""

    at_ns: int
    id: str


class Coroutine(Value):
    """What a task runs, or should have run."""

    name: str  # qualified, as `__qualname__` says
    file: str  # of its definition, "" for one that is not written in Python
    line: int
    stack: tuple[Frame, ...] = ()  # where it waits, outermost first
    created: tuple[Frame, ...] = ()  # innermost last; asyncio's debug mode knows


class TaskDestroyed(Observation):
    """Tasks were collected before they had ended: nobody kept a reference to them.

    Written again as *count* grows, with the same *at_ns*; so are the three events that follow.
    """

    at_ns: int  # of the first one
    pid: int
    coroutine: Coroutine
    count: int


class ExceptionLost(Observation):
    """An exception reached nobody: asyncio told its exception handler, and that is all."""

    at_ns: int
    pid: int
    message: str  # as asyncio words it: "Task exception was never retrieved"
    error: str  # "ValueError: no such host"
    stack: tuple[Frame, ...]  # of the traceback, where it was raised last
    coroutine: Coroutine | None
    count: int


class NeverAwaited(Observation):
    """A coroutine was made, and collected without having begun."""

    at_ns: int
    pid: int
    coroutine: Coroutine
    stack: tuple[Frame, ...]  # who let go of it, outermost first
    count: int


class CancelSwallowed(Observation):
    """Tasks were cancelled, and came to a good end all the same."""

    at_ns: int
    pid: int
    coroutine: Coroutine
    count: int


class AwaitSite(Observation):
    """The first sight of pending tasks of one coroutine that wait at one line."""

    at_ns: int
    pid: int
    place: int  # the number by which censuses of this process call it
    coroutine: Coroutine


class TaskCluster(Value):
    """The tasks that wait at one place."""

    place: int  # as in `AwaitSite`
    count: int
    seen: int  # how many came to this place so far; those that are not there any more have left it
    cancelled: int = 0  # of the count: asked to end more than a second ago
    cancelled_ns: int = 0  # the longest time since that was first seen
    newest: int = 0  # about the highest number that asyncio named one of them by, "Task-12"; 0 for none


class TasksCounted(Observation):
    """A census of the pending tasks of a process; of those in a row without crowds, only the first."""

    at_ns: int
    pid: int
    pending: int
    cpu_ns: int  # of the process so far: how much it has worked
    descriptors: int  # open files and sockets, when there are crowds
    crowds: tuple[TaskCluster, ...]  # the largest; small ones are left out
    closing: bool = False  # a loop was being wound up, and its tasks had been cancelled


class WaitingTasks(Value):
    """Pending tasks of one coroutine that wait at one line."""

    coroutine: Coroutine
    count: int
    main: bool  # a loop runs until it is done


class NonDaemonThread(Value):
    """A thread that Python waits for before the process ends."""

    thread: str
    stack: tuple[Frame, ...]  # outermost first


class ShutdownStalled(Observation):
    """A handler of the process was called for a signal that asks it to end, and it runs some time later.

    Written at growing distances from the signal; the latest holds.
    """

    at_ns: int
    pid: int
    asked_ns: int  # when the handler was called
    signal: str  # "SIGTERM" or "SIGINT"
    before: Coroutine | None  # what the main thread's loop ran for, and where that waited, when it was asked
    pending: int  # tasks, 0 when no loop runs any more
    waiting: tuple[WaitingTasks, ...]  # some of them: those that a loop runs for, then the largest crowds
    stack: tuple[Frame, ...]  # of the main thread, outermost first
    threads: tuple[NonDaemonThread, ...] = ()


class ProcessExiting(Observation):
    """A process that was asked to end calls `os._exit`, or becomes another program."""

    at_ns: int
    pid: int


class CallsCounted(Observation):
    """Synchronous calls that were made on the thread of a running loop, at one place in the program.

    Written again as *count* grows; of those that differ in the figures alone, the latest holds.
    """

    at_ns: int
    pid: int
    call: str  # "open", "file.read", "socket.connect", "import"
    function: str  # the program's that made them, "module:qualified.name"; "" for all further places together
    file: str
    line: int
    caller: str  # the coroutine of the task they were made in, as *function*; "" for a plain callback
    argument: str  # a path, host or program, "" where there is none, and for all further ones of the place
    count: int
    total_ns: int
    max_ns: int


class ConsoleOpened(Observation):
    """A process has a console. Its token is not here: a record may be read by others."""

    at_ns: int
    pid: int
    card: str  # the file that tells its owner how to attach: see `card.py`
    port: int | None  # of loopback, for telnet; null when that was not asked for
    note: str = ""  # why it is not as asked


class ConsoleAudited(Observation):
    """Somebody came to the console, was refused, or did something there that is more than reading."""

    at_ns: int
    pid: int
    client: str  # "uid 1000, pid 4711", or an address
    line: str  # what was asked, "" for the connection itself
    outcome: str  # "connected", "done", "refused: wrong token", ...


class ConsoleCounted(Observation):
    """What the console was used for so far, and its cost. Written again as it grows; the latest holds."""

    at_ns: int
    pid: int
    connections: int
    refused: int  # connections: a wrong token, HTTP, one too many
    commands: dict[str, int]  # by name, those that only read as well
    unlisted: int  # audited events beyond the number that is kept
    cpu_ns: int  # of the console's threads
    process_cpu_ns: int


class ProbeClosed(Observation):
    """What the probe itself cost this process, written when it ends in good order."""

    at_ns: int
    turns: int
    turn_cost_ns: float  # per turn, measured in this process when the probe started
    threads_cpu_ns: int  # the probe's own threads
    process_cpu_ns: int
    spans_dropped: int
    calls_ns: int = 0  # spent on the loops' threads on counting synchronous calls
    sampler_ns: int = 0  # spent on a loop's thread on taking samples
    steps_ns: int = 0  # ... and on logging steps


class ProbeFailed(Observation):
    """Something inside the probe raised; it was contained, and that part may be missing."""

    at_ns: int
    where: str
    error: str


# --- what more than one of them writes ---------------------------------------------------------------


class ArtefactWritten(Observation):
    """A profiler or console left a file; *path* is relative to the run's folder."""

    at_ns: int
    tool: str  # "pyinstrument", "py-spy", ...
    path: str
    note: str = ""  # what it shows, or why there is none


# --- samples ------------------------------------------------------------------------------------------


class FrameTable(Observation):
    """Calls that samples of this process refer to by number: a stack is known by its innermost call."""

    at_ns: int
    pid: int
    first: int  # the number of the first one; the others follow
    callers: tuple[int, ...]  # of each: the number of the call that made it, 0 for none
    frames: tuple[Frame, ...]


class Sampled(Observation):
    """Ticks of the sampler, within about a second, that met the same thread in the same place."""

    at_ns: int  # of the first one
    pid: int
    thread: str
    way: str  # "signal": on the thread itself; "thread", "executor": by another one, biased; "outside"
    hz: float  # the rate of such ticks: each stands for so much time
    stack: int  # the innermost call, as numbered in `FrameTable`
    count: int  # one that took over the ticks that were missed before it, in the same turn, counts for all
    task: str
    coroutine: str
    span: str
    trace_id: str
    span_id: str
    # Of each look: µs since the first one, and for how many ticks it stands, in turn. Those beyond a hundred
    # are not listed; nothing stands for one look at `at_ns`.
    looks: tuple[int, ...] = ()


class SamplesCounted(Observation):
    """What the sampler of a process has reached so far; the latest holds."""

    at_ns: int
    pid: int
    hz: float  # ticks per second that were asked for, while a loop is in a turn
    looks: int  # how often a stack was taken
    ticks: int  # for how many ticks these looks stand
    lost: int  # ticks that met nobody, or found no more room in memory
    cost_ns: int  # what the looks took of the loop's thread


# --- waits --------------------------------------------------------------------------------------------

# Why a step of a loop was made ready: by the step of that number, by the work of an executor with the number
# `WORK - waker`, or by one of these. 0: it is not known.
TIMER, FILE, THREAD, WORK = -1, -2, -3, -16


class StepsTaken(Observation):
    """Steps of a loop, since the log of them was last emptied: callbacks, and tasks from wait to wait.

    Only those of chosen traces, those that woke one of them, and those that held the loop for long; what the
    others held it together is a row that is nobody's. The rows of numbers are packed (`column.py`).
    """

    at_ns: int
    pid: int
    loop: int  # as in `LoopStarted`
    # Number, ready, began, ended (ns), waker, runner: a task's number, or minus that of a callback's place. 0
    # is nobody: the waker of such a row is how long (ns) short steps held the loop between its times.
    steps: str
    # Of long ones: number, and the thread's CPU time (ns) until its end since, and that instant.
    long_steps: str
    tasks: str  # number, place
    # Of executors: number, the step that submitted it, submitted, began, ended (ns), place.
    works: str
    # The id's upper and lower half, where it began: a task's number, `WORK` minus that of work, 0: elsewhere;
    # and when.
    spans: str
    place_numbers: tuple[int, ...]
    places: tuple[Frame, ...]  # of these numbers: where a function begins
    share: float  # of the traces that is chosen
    taken: int = 0  # steps so far, logged or not
    dropped: int = 0  # of those to be logged: there was no room, or they were of no known kind


class StepLogUnavailable(Observation):
    """The steps of a loop cannot be logged."""

    at_ns: int
    pid: int
    kind: str  # "uvloop.Loop"
    reason: str
