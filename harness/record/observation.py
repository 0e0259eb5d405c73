"""The events that the probe writes from inside a target, and those that every writer writes.

The others are in `event.py`, which also has these: a target does not need them, and making a class is time at
its start. Times and ids are described there.
"""

from __future__ import annotations

from collections.abc import Mapping

from .value import Row, Value

# Readers accept records up to this number; writers put it into the first line of every file.
FORMAT = 1


class Frame(Row):
    """One line of a stack."""

    file: str
    line: int
    function: str  # qualified, as `co_qualname` says


class Cadence(Row):
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
    lazy: str = ""  # the name whose first use began the import that runs; "" for any other import


# Threads wait so for the GIL, and seldom for a lock.
FUTEX_WITH_LIMIT = "futex with a time limit"


class OtherThread(Value):
    """Another thread of the process that may have held the GIL while a loop was late."""

    thread: str
    stack: tuple[Frame, ...]  # outermost first
    cpu_ns: int  # its CPU time so far
    used_ns: int  # the part of it between the first and the last sample
    syscall: str = ""  # as in `Sample`, or `FUTEX_WITH_LIMIT`


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


class LoopHung(Observation):
    """A turn still lasts after the time from which it is called a hang; told again at growing intervals.

    The probe writes it right after the `Blocked` of the same turn. The runner writes it if the probe cannot,
    because code holds the GIL: with *seen_by* as the `ThreadsDumped` beside it, else with "kernel".
    """

    at_ns: int
    pid: int
    loop: int
    began_ns: int  # of the turn, as in `Blocked.at_ns`
    held_ns: int  # so far
    seen_by: str  # "probe", "py-spy", "profiling.sampling", "kernel"


class LoopReturned(Observation):
    """The turn of a `LoopHung` of this process ended."""

    at_ns: int
    pid: int
    loop: int
    began_ns: int  # as in `LoopHung`
    held_ns: int


class TasksAtPlace(Value):
    """The pending tasks of one coroutine that wait at one line, with their names."""

    coroutine: Coroutine
    tasks: tuple[str, ...]
    count: int  # of them; more than *tasks* if there were too many to list


class ThreadState(Value):
    """One thread of a process that is about to be ended."""

    thread: str
    native_id: int
    daemon: bool | None  # null if it was seen from outside
    stack: tuple[Frame, ...]  # outermost first; empty if it was not known


class HungProcessEnded(Observation):
    """A process was ended because its loop did not come back for the time of `--hang-exit`.

    By the probe; or, if that could not run, by the runner, which cannot list the tasks.
    """

    at_ns: int
    pid: int
    loop: int
    began_ns: int  # as in `LoopHung`
    held_ns: int
    limit_ns: int
    by: str  # "probe" or "runner"
    signal: str  # "SIGABRT" or "SIGKILL"
    pending: int | None = None  # tasks; null where they could not be counted
    tasks: tuple[TasksAtPlace, ...] = ()  # all of them, the largest groups first
    threads: tuple[ThreadState, ...] = ()
    error: str = ""  # why something of it is missing


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
    waits_for_another: bool = False  # for a lock without a time limit: only another thread can end that


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
    """The main thread of a process has ended, and the process has not.

    Python waits for other threads first; when there are none any more, it calls the exit handlers on the main
    thread. Written at growing intervals; the latest is valid.
    """

    at_ns: int
    pid: int
    since_ns: int  # when the main thread ended
    threads: tuple[NonDaemonThread, ...]
    exit_handler: tuple[Frame, ...] = ()  # the stack of the one that runs, outermost first; with no *threads*


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


class StandingCalls(Value):
    """Calls of one function, from tasks of one coroutine, that waited a second or longer for a thread."""

    function: Frame  # the submitted one, at its first line; "" if it is not known
    asker: Frame  # the coroutine of the task that awaits the call, likewise
    count: int
    waited_ns: int  # the longest wait, a lower bound
    late: int  # of *count*: came when all threads had been at work for a while, and none had become free
    late_times: int  # looks at which such calls had come
    stood_ns: int  # how long some late one of them waited while no thread took a call
    behind_ns: int  # how long some one of them, come while all threads were at work, waited beyond a second
    given_up: int  # of *count*: their task stopped waiting


class PoolWorkers(Value):
    """Threads of a pool at the same work while calls waited."""

    function: Frame  # as in `StandingCalls`
    asker: Frame
    stack: tuple[Frame, ...]  # of one of them, outermost first
    threads: int  # the most at a time


class CallsStood(Observation):
    """Calls that loops awaited stood behind a pool of threads that were all at work.

    It begins with the first such call and ends when no call waits any more. Written again as it grows; of
    events with the same *pool* and *began_ns* the latest is valid.
    """

    at_ns: int
    pid: int
    pool: int  # a number
    began_ns: int
    name: str  # "the default executor"
    kind: str  # "executor", "limiter" (of AnyIO), "thread" (one with a queue of its own)
    threads: int  # the most that may work at a time
    waiting: int  # the most calls that waited at a time
    stood_ns: int  # the time in which calls waited and no thread took one
    longest_ns: int  # the longest such time
    calls: tuple[StandingCalls, ...]  # the largest groups
    workers: tuple[PoolWorkers, ...]
    ended: bool
    # The coroutine for whose result threads of the pool wait, while it waits for a thread of the pool; null
    # without such a circle.
    circle: Coroutine | None = None
    circled: int = 0  # the threads that wait so


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
    losses_dropped: int = 0  # tasks, exceptions and coroutines lost, of more kinds than are told apart
    # CPU time in the program's own threads beside its turns: entering, as loops begin and stop, at the end.
    beside_ns: int = 0


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

    _is_packed = True

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
    dropped: int = 0  # steps, and beginnings of spans, to be logged: no room, or of an unknown kind


class StepLogUnavailable(Observation):
    """The steps of a loop cannot be logged."""

    at_ns: int
    pid: int
    kind: str  # "uvloop.Loop"
    reason: str


# --- tasks that nobody serves, and tasks that died ------------------------------------------------------


class Standstill(Observation):
    """Tasks wait for one thing, and none of them was served for long.

    Written again as it lasts and when it has ended; of those with the same *pid* and *number*, the latest is
    valid.
    """

    at_ns: int
    pid: int
    number: int
    what: str  # where they wait: "Lock.acquire", "Semaphore.acquire", "Queue.get", "Queue.put", "future", ...
    thing: str  # the class of what they wait for; "" where only their place is known
    waiting: TasksAtPlace | None  # the task that waits longest, some names, and the number of all
    since_ns: int  # since when none was served, at the latest
    arrived: int  # tasks that came since then ...
    arrived_ns: int  # ... and when the newest of them was first seen; 0 for none
    gap_ns: int  # the longest earlier time in which none was served; 0 if none is known
    holders: tuple[TasksAtPlace, ...]  # tasks that are inside of the lock, where they wait
    held_by: int | None  # how many are; null where that cannot be known
    # Why nobody ever will be: "itself", "circle", "gone", "feeders", "undone"; "" if that is not known.
    cause: str
    works: bool  # the tasks inside have moved on meanwhile, or a task lives that gets from the queue
    ended: bool  # some were served, or gave up
    timed: bool = False  # a timer, or a task that sleeps, may serve them


class TaskDied(Observation):
    """A task ended with an exception that nobody has looked at, and something still refers to the task.

    Written again while that lasts; of those with the same *pid* and *number*, the latest is valid.
    """

    at_ns: int
    pid: int
    number: int
    died_ns: int  # when it was first found dead
    coroutine: Coroutine
    task: str
    error: str  # "ValueError: no such host"
    stack: tuple[Frame, ...]  # of the traceback; the line that raised it is last
    retrieved: bool  # somebody has looked at it meanwhile
    # Who may look at it some day: a "variable" of a waiting task, a "collection" that it has, or a "watcher",
    # which has its owner and looks at tasks; "" for none.
    keeper: str
    queue: str  # the class of a queue that it served, and from which nobody gets; "" for none
    queued: int | None  # the items in it
    putters: int | None  # tasks that wait for room in it ...
    putter: Coroutine | None = None  # ... and where
    # The task was deleted since: if asyncio did not report its exception then, somebody had looked at it.
    gone: bool = False
    at_barrier: int = 0  # tasks that wait for it at a barrier ...
    party: Coroutine | None = None  # ... and one of them, of the same coroutine


# --- traces -------------------------------------------------------------------------------------------


class SpansCutOff(Observation):
    """Spans that began without a parent in work which a span had handed over, while that span was open.

    Written again as *count* grows, with the same *at_ns*.
    """

    at_ns: int  # of the first one
    pid: int
    how: str  # "run_in_executor", "submit", "Thread.start"
    span: str  # the name of the span that handed the work over
    stack: tuple[Frame, ...]  # where it did, outermost first; the inner end of the stack
    work: Frame  # the first line of the function that was handed over
    root: str  # the name of the spans without a parent
    count: int  # of these spans
    works: int  # how many times work with such a span was handed over


# --- what piles up, and what stands still ---------------------------------------------------------------


class BufferFound(Observation):
    """A transport, or a queue without a limit, that holds much; written when it is first found so."""

    at_ns: int
    pid: int
    number: int  # in the levels of this process
    kind: str  # "transport" or "queue"
    name: str  # of its class: "_SelectorSocketTransport", "Queue"


class BufferFed(Observation):
    """A call that added to a buffer while it grew; a few different ones of each buffer are recorded."""

    at_ns: int
    pid: int
    number: int  # as in `BufferFound`
    thread: str
    stack: tuple[Frame, ...]  # outermost first


class BufferLevel(Value):
    """How much a buffer holds."""

    number: int  # as in `BufferFound`
    items: int | None  # of a queue
    size_bytes: int  # of the data in a transport; of a queue, an estimate from some of its items
    fed_per_s: float | None = None  # calls that add to it, when they were last counted


class GaugesRead(Observation):
    """What a process holds; consecutive readings without buffers are written at growing intervals."""

    at_ns: int
    pid: int
    cpu_ns: int  # of the process so far
    rss_bytes: int | None
    descriptors: int | None  # open files and sockets; null where counting them is not cheap
    buffers: tuple[BufferLevel, ...] = ()


class CollectionLevel(Value):
    """How much the collections hold that the program has under one name."""

    kind: str  # its class: "dict", "OrderedDict"; of a function's results "cache", "lru_cache" with a limit
    holder: str  # "global", "attribute", "object" if the attribute is not known, or "variable"
    name: str  # "_seen"; "Cache.pages"; "Cache", the class of the object; the function that has the variable
    file: str  # the source in which the name is
    items: int
    size_bytes: int  # estimated from some of the items


class CollectionsRead(Observation):
    """The large collections of a process, found while its memory grew; largest first."""

    at_ns: int
    pid: int
    rss_bytes: int
    serves: bool  # a socket of the process accepts connections
    collections: tuple[CollectionLevel, ...]


class ChildStuck(Observation):
    """A child process stands in a write to a pipe that only this process could read, and does not.

    Written again while it lasts, with the same *began_ns*; the latest is valid.
    """

    at_ns: int
    pid: int
    child: int  # its pid
    command: tuple[str, ...]  # a long one is cut
    descriptor: int  # of the pipe in the child: 1 is its stdout, 2 its stderr
    began_ns: int  # when it was first found there
    coroutine: Coroutine | None  # of the task that waits for the child's end
    thread: str = ""  # or the thread that does, ...
    stack: tuple[Frame, ...] = ()  # ... and where, outermost first
    on_loop: bool = False  # that thread runs a loop


class ZombiesFound(Observation):
    """Children that have ended and were not waited for; the latest is valid."""

    at_ns: int
    pid: int
    count: int
    oldest_ns: int  # since it was first found ended
    children: tuple[int, ...]  # some of their pids
    names: tuple[str, ...]  # of their programs, as the kernel cuts them


class WakeupMissed(Observation):
    """A loop slept although a callback was ready, because whoever made it ready did not wake the loop.

    Written again while it lasts, with the same *began_ns*; the latest is valid.
    """

    at_ns: int
    pid: int
    loop: int
    began_ns: int  # when it was first found so
    ready: int  # callbacks
    label: str  # the name of the first one's coroutine, or of its function
    coroutine: Coroutine | None


class ForeignCall(Observation):
    """A call of a loop, or of an object that its tasks wait for, on a thread that is not the loop's own."""

    at_ns: int
    pid: int
    loop: int
    thread: str
    stack: tuple[Frame, ...]  # outermost first


# --- spins --------------------------------------------------------------------------------------------


class LoopSpun(Observation):
    """A loop burns a processor in short turns that wait for nothing, and the same work runs in each of them.

    Written again while it lasts; of those with the same *pid*, *loop* and *at_ns* the latest is valid.
    """

    at_ns: int  # since when
    until_ns: int
    pid: int
    loop: int  # as in `LoopStarted`
    name: str  # of the coroutine or callback that runs again and again
    is_timer: bool  # it is a timer that is due at once
    count: int  # of its steps or calls in a turn
    turns: int
    cpu_ns: int  # of the loop's thread
    alone: float  # the share of the turns in which nothing else ran
    looks: int  # closer looks that found it
    coroutine: Coroutine | None  # of a task, where it lets the others run
    callback: Frame | None  # the first line of the callback; null for a task, and in C
    about: tuple[Coroutine, ...] = ()  # pending tasks that the callback refers to
    file: str = ""  # why the file of the callback is always ready; "" for anything else
