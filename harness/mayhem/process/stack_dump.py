"""What every thread and task is doing right now, as text: the answer to SIGQUIT.

It is made in the calling thread, so it also shows where a loop is blocked. Tasks at the same place are
listed together; what exceeds the limits is counted.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import islice
from traceback import extract_stack
from types import AsyncGeneratorType, CoroutineType, FrameType, GeneratorType

from opentelemetry.trace import format_trace_id

from ..operations.tracing import span_of

# Maximum frames of a stack, different chains of awaits, and task names per chain.
FRAMES = 20
CHAINS = 50
NAMES = 5


def stack_dump(loop: asyncio.AbstractEventLoop) -> str:
    """The stack of every thread, and the chain of awaits of every task in *loop*, innermost last."""
    return "\n".join((*_threads(), *_tasks(loop)))


def _frames() -> dict[int, FrameType]:
    # On Python 3.11 a garbage collection that begins meanwhile may wait for ever (cpython#106883).
    collects = gc.isenabled()
    gc.disable()
    try:
        return sys._current_frames()
    finally:
        if collects:
            gc.enable()


def _threads() -> Iterator[str]:
    frames = _frames()
    # Without this thread's own frame, which would form a reference cycle.
    del frames[threading.get_ident()]
    for thread in threading.enumerate():
        if (frame := frames.get(thread.ident or 0)) is not None:
            yield f"thread {thread.name}:"
            for entry in extract_stack(frame, limit=FRAMES):
                yield f"  {entry.filename}:{entry.lineno} {entry.name}"


def _tasks(loop: asyncio.AbstractEventLoop) -> Iterator[str]:
    chains: dict[tuple[str, ...], list[asyncio.Task[object]]] = defaultdict(list)
    for task in asyncio.all_tasks(loop):
        chains[tuple(_chain(task))].append(task)
    yield f"{sum(map(len, chains.values()))} tasks at {len(chains)} places:"
    ranked = sorted(chains.items(), key=lambda item: len(item[1]), reverse=True)
    for chain, tasks in ranked[:CHAINS]:
        names = sorted(map(_named, tasks))
        more = f" and {len(names) - NAMES} more" if len(names) > NAMES else ""
        yield f"task {', '.join(names[:NAMES])}{more}:"
        yield from chain
    if left := Counter(len(tasks) for _, tasks in ranked[CHAINS:]):
        yield f"left out: {left.total()} places with {sum(n * m for n, m in left.items())} tasks"


def _named(task: asyncio.Task[object]) -> str:
    span = span_of(task).get_span_context()
    return f"{task.get_name()} (trace {format_trace_id(span.trace_id)})" if span.is_valid else task.get_name()


def _chain(task: asyncio.Task[object]) -> list[str]:
    return [
        f"  {frame.f_code.co_filename}:{frame.f_lineno} {frame.f_code.co_name}"
        for frame in islice(awaiting(task.get_coro()), FRAMES)
    ]


def awaiting(awaited: object) -> Iterator[FrameType]:
    """Yield the frames from a coroutine to the innermost one it awaits."""
    while awaited is not None:
        frame: FrameType | None = None
        inner: object = None
        match awaited:
            case CoroutineType(cr_frame=frame, cr_await=inner):
                pass
            case GeneratorType(gi_frame=frame, gi_yieldfrom=inner):
                pass
            case AsyncGeneratorType(ag_frame=frame, ag_await=inner):
                pass
            case _:
                # A step of an asynchronous generator reveals its generator to the garbage collector only.
                generators = (one for one in gc.get_referents(awaited) if isinstance(one, AsyncGeneratorType))
                inner = next(generators, None)
        if frame is not None:
            yield frame
        awaited = inner
