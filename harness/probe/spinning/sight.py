"""What runs in a loop, and what is about to, at one moment.

The sampling thread gets the GIL where the loop's thread lets it go, and a busy loop does so when it polls.
Then all its tasks are suspended, and its queue has what the next turn will run.
"""

from __future__ import annotations

from asyncio import AbstractEventLoop, Handle, Task, TimerHandle, current_task
from itertools import islice
from types import CodeType, FrameType
from typing import Any
from weakref import ref

from ...record import page
from ...record.value import Row
from ..hooks.state import loop_state, task_state
from ..loop.turns import Turns
from ..tasks import coroutine, identity
from . import spinner
from .spinner import Spinner
from .stuck_file import FileState, state_of
from .work_state import WorkState, of_coroutines, state_of_parts

# Of a long queue, the head. A loop that spins has a short one.
HANDLES, FILES, TIMERS = 64, 8, 256
# Longer chains of tasks that wait for each other are no sign of a spin.
CHAIN = 10
FRAMES = 200

# What runs: a task, the code of a callback, or its name if it is written in C.
Key = ref[Task[Any]] | CodeType | str


class Runner(Row):
    """One that runs or is about to. It keeps nothing of the program alive."""

    is_woken: bool  # by something else, such as a future; otherwise it has scheduled itself
    place: object = None  # states at different places are not compared
    state: WorkState | FileState | None = None  # `None` where it is unknown, as while it runs
    times: int = 1  # its handles that are ready
    spinner: Spinner | None = None  # its description, if that was asked for
    root: Key | None = None  # the task that waits for the one that runs
    is_timer: bool = False  # of which, on a busy machine, some are due at most sights

    def again(self) -> Runner:
        """The same, with one more of its handles."""
        return Runner(
            self.is_woken, self.place, self.state, self.times + 1, self.spinner, self.root, self.is_timer
        )


class QueueSight(Row):
    """One look at a loop."""

    runners: dict[Key, Runner]
    strangers: int  # files that are ready because something has come, or can be sent
    at_ns: int
    turns: int  # of the loop so far
    is_whole: bool  # the loop has made no turns meanwhile, as it may on a busy machine


def take(turns: Turns, frame: FrameType | None, now_s: float, *, describes: bool) -> QueueSight | None:
    """Look at the loop of *turns*, whose thread is in *frame*; `None` if it runs no more.

    *describes* says whether to describe the runners as well.
    """
    if (loop := turns.loop) is None or frame is None:
        return None
    runners: dict[Key, Runner] = {}
    at_ns, number = int(now_s * 1e9), _number(turns)
    # No reference to anything of the program is left when the GIL is released to ask for the files: whoever
    # drops the last one runs its finalizer.
    _add_running(runners, loop, frame)
    del frame
    _add_queue(runners, loop, now_s, describes)
    is_whole = _number(turns) - number <= 1
    if turns.is_looked_at:
        return QueueSight(runners, len(turns.waiting_files(at_ns)), at_ns, number, is_whole)
    return QueueSight(runners, _add_files(runners, turns, describes), at_ns, number, is_whole)


def _number(turns: Turns) -> int:
    """How many turns the loop has made so far."""
    turns.write_page()
    return turns.words[page.TURNS]


def _add_running(runners: dict[Key, Runner], loop: AbstractEventLoop, frame: FrameType | None) -> None:
    if (task := current_task(loop)) is not None:
        root = _root(task)
        runners[ref(task)] = Runner(False, root=ref(root) if root is not task else None)
    elif (code := _called(frame)) is not None:
        runners[code] = Runner(False)


def _add_queue(runners: dict[Key, Runner], loop: AbstractEventLoop, now_s: float, describes: bool) -> None:
    ready = list(islice(loop_state.ready_now(loop), HANDLES))
    ready += [timer for timer in loop_state.timers(loop)[:TIMERS] if timer.when() <= now_s]
    for handle in ready:
        if loop_state.is_housekeeping(handle, loop) or handle.cancelled():
            continue
        key, runner = _of_handle(handle, describes)
        if (known := runners.get(key)) is not None:
            runner = known.again()
        runners[key] = runner


def _of_handle(handle: Handle, describes: bool) -> tuple[Key, Runner]:
    called, is_timer = loop_state.callback(handle), isinstance(handle, TimerHandle)
    if (task := identity.behind(handle) or _resumed_by(called)) is None:
        key = _callback_key(handle)
        parts = (
            getattr(called, "__self__", None),
            *getattr(called, "args", ()),
            *loop_state.arguments(handle),
        )
        said = spinner.of_callback(handle, is_timer=is_timer) if describes else None
        state = state_of_parts(parts, [identity.function_of(handle)])
        return key, Runner(False, key, state, spinner=said, is_timer=is_timer)
    is_bare = _is_step(handle, task) and not _is_new(task)
    root = task if is_bare else _root(task)
    said = spinner.of_task(root, is_timer=is_timer) if describes else None
    # With what was given to a task that is made at each turn.
    links = [link for one in dict.fromkeys((root, task)) for link in coroutine.links(task_state.work_of(one))]
    # The whole way to where it waits: the innermost line may be the same of two.
    frames = list(map(coroutine.frame_of, links))
    place = tuple((frame.f_code, frame.f_lasti) for frame in frames if frame is not None)
    state = of_coroutines(links)
    return ref(root), Runner(not is_bare, place, state, spinner=said, is_timer=is_timer)


def _is_step(handle: Handle, task: Task[Any]) -> bool:
    """Whether the handle runs the task because it has let the others run, as ``sleep(0)`` does, or is new."""
    called = loop_state.callback(handle)
    is_own = getattr(called, "__self__", None) is task
    return is_own and not getattr(called, "__name__", "").endswith("wakeup")


def _is_new(task: Task[Any]) -> bool:
    """Whether the task has not begun."""
    work = task_state.work_of(task)
    return getattr(work, "cr_frame", None) is not None and not getattr(work, "cr_suspended", True)


def _root(task: Task[Any]) -> Task[Any]:
    """The task at the end of the chain of those that wait for *task*."""
    for _ in range(CHAIN):
        if (waiter := next(identity.waiters_of(task), None)) is None:
            break
        task = waiter
    return task


def _callback_key(handle: Handle) -> Key:
    code = getattr(identity.function_of(handle), "__code__", None)
    return code if isinstance(code, CodeType) else identity.callback_name(handle)


def _called(frame: FrameType | None) -> CodeType | None:
    """The callback that runs; `None` for one in C, and between callbacks."""
    run, inner = loop_state.run_code(), None
    for _ in range(FRAMES):
        if frame is None or frame.f_code is loop_state.RUN_ONCE:
            return None
        if frame.f_code is run:
            return inner
        inner, frame = frame.f_code, frame.f_back
    return None


def _resumed_by(called: object) -> Task[Any] | None:
    """The task that waits for a future which the callback holds, as those of `wait_for` do."""
    waiters = (task for future in task_state.futures_in(called) for task in identity.waiters_of(future))
    return next(waiters, None)


def _add_files(runners: dict[Key, Runner], turns: Turns, describes: bool) -> int:
    """Add the callbacks of files that are ready, and count the files that asyncio itself serves."""
    strangers = 0
    waiting: list[tuple[int, int, Key, Spinner | None]] = []
    for file, events in turns.ready_files(elsewhere=True)[:FILES]:
        handles = file.data if isinstance(file.data, tuple) else ()
        asked = [
            one for event, one in zip((1, 2), handles, strict=False) if one is not None and events & event
        ]
        if not asked or _is_asyncios(asked[0], turns.loop):
            strangers += 1
        else:
            said = spinner.of_callback(asked[0]) if describes else None
            waiting.append((file.fd, events, _callback_key(asked[0]), said))
    for fd, events, key, said in waiting:
        state = state_of(fd, events, turns.native_thread_id)
        if said is not None and state is not None:
            said = said.of_file(state.describe(events))
        runners[key] = Runner(False, fd, state, spinner=said)
    return strangers


def _is_asyncios(handle: Handle, loop: AbstractEventLoop | None) -> bool:
    """Whether asyncio, or a task that waits for the file, takes what has come."""
    if loop is None or loop_state.is_housekeeping(handle, loop) or identity.behind(handle) is not None:
        return True
    return task_state.is_asyncios_transport(getattr(loop_state.callback(handle), "__self__", None))
