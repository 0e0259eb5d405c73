"""Reads what asyncio keeps about loops and handles in private attributes.

uvloop's are read by other means (`uvloop_state.py`). Other loops have none of these: each function then
returns `None` or an empty result.
"""

from __future__ import annotations

from asyncio import AbstractEventLoop, BaseEventLoop, Handle, TimerHandle, _get_running_loop
from collections.abc import Mapping, Sequence
from contextlib import suppress
from contextvars import Context
from selectors import SelectorKey
from types import CodeType
from typing import Any

from . import reference_state, uvloop_state

# The loop that runs in this thread, or `None`. Unlike `asyncio.get_running_loop`, it does not raise.
running_loop = _get_running_loop

# The package of every module of the probe, or a prefix of it.
_PROBE = (__package__ or "").partition(".hooks")[0] or "harness"

# How often it is tried to copy a queue that changes meanwhile.
COPIES = 3

# The function that runs one turn of a loop.
RUN_ONCE: CodeType = BaseEventLoop._run_once.__code__  # type: ignore[attr-defined]


def ready(loop: AbstractEventLoop) -> Sequence[Handle]:
    """The handles to run in the next turn, oldest first: the loop's own queue, which other threads change."""
    if (own := getattr(loop, "_ready", None)) is not None:
        return own  # type: ignore[no-any-return]
    return uvloop_state.ready(loop) if uvloop_state.is_uvloops(loop) else ()


def ready_now(loop: AbstractEventLoop) -> tuple[Handle, ...]:
    """The same, copied; empty if it could not be, because the queue changed meanwhile."""
    for _ in range(COPIES):
        # No other thread runs meanwhile, but the collector may, and a finalizer may schedule a callback.
        with suppress(RuntimeError):
            return tuple(ready(loop))
    return ()


def timers(loop: AbstractEventLoop) -> Sequence[TimerHandle]:
    """The handles of `call_later` and `call_at`: the loop's heap, which its thread may change any time."""
    if (own := getattr(loop, "_scheduled", None)) is not None:
        return own  # type: ignore[no-any-return]
    return uvloop_state.timers(loop) if uvloop_state.is_uvloops(loop) else ()


def selector(loop: AbstractEventLoop | None) -> Any:
    """The loop's selector; `None` if it has none in Python."""
    return getattr(loop, "_selector", None)


def has_selector(loop: AbstractEventLoop | None) -> bool:
    """Whether the loop waits in a selector that Python code can replace."""
    return hasattr(loop, "_selector")


def epoll(selector: Any) -> tuple[Any, Mapping[int, SelectorKey]]:
    """The `poll` of an `EpollSelector`'s epoll object, and its keys by file descriptor."""
    return selector._selector.poll, selector._fd_to_key


def signal_handlers(loop: AbstractEventLoop | None) -> Mapping[int, Handle] | None:
    """The handlers of `add_signal_handler`, by signal; `None` for a loop that does not show them."""
    return getattr(loop, "_signal_handlers", None)


def callback(handle: object) -> Any:
    """The function that *handle* calls; `None` once the handle is cancelled."""
    if uvloop_state.is_uvloops(handle):
        return uvloop_state.callback(handle)
    return getattr(handle, "_callback", None)


def arguments(handle: object) -> Sequence[Any]:
    """The positional arguments of the callback of *handle*."""
    if uvloop_state.is_uvloops(handle):
        return uvloop_state.arguments(handle)
    return getattr(handle, "_args", None) or ()


def context(handle: object) -> Context | None:
    """The context in which the callback of *handle* runs."""
    if uvloop_state.is_uvloops(handle):
        return uvloop_state.context(handle)
    return getattr(handle, "_context", None)


def forgets(handle: object) -> bool:
    """Whether a handle that has run shows no more what it called, and looks as if it were cancelled."""
    return uvloop_state.is_uvloops(handle)


def run_first(loop: AbstractEventLoop) -> None:
    """Run the oldest ready handle, as a turn of the loop does."""
    loop._ready.popleft()._run()  # type: ignore[attr-defined]


def run_code() -> CodeType:
    """The code that now runs handles: `Handle._run` may be replaced while steps are logged or counted."""
    return Handle._run.__code__


def is_housekeeping(handle: object, loop: AbstractEventLoop) -> bool:
    """Whether the handle calls a method of the loop itself, or of the probe, for which no task waits."""
    called = callback(handle)
    if called is None and uvloop_state.is_uvloops(handle):
        return any(part is loop for part in uvloop_state.arguments(handle)[:1])
    owner = reference_state.attribute(called, "__self__")
    return owner is loop or type(owner).__module__.startswith(_PROBE)


def wakes_loop(handle: object) -> bool:
    """Whether the handle reads the pipe by which another thread wakes the loop."""
    return bool(reference_state.attribute(callback(handle), "__name__") == "_read_from_self")


def accepts_connections(handle: object) -> bool:
    """Whether the handle accepts the connections of a listening socket."""
    return bool(reference_state.attribute(callback(handle), "__name__") == "_accept_connection")


def protocol(handle: object) -> object:
    """The protocol of the transport for which the handle is called; `None` for any other callback."""
    return getattr(reference_state.attribute(callback(handle), "__self__"), "_protocol", None)
