"""What the program itself raises while the probe's code runs is the program's, by every signal."""

from __future__ import annotations

import signal
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any

import pytest

from harness.probe.hooks.hook import Hook, is_the_programs


class ReloadError(Exception):
    """What the handlers raise."""


def reload(number: int, frame: FrameType | None) -> None:
    raise ReloadError


class Reloader:
    def method(self, number: int, frame: FrameType | None) -> None:
        raise ReloadError

    def __call__(self, number: int, frame: FrameType | None) -> None:
        raise ReloadError


def with_more(more: str, number: int, frame: FrameType | None) -> None:
    raise ReloadError


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM, signal.SIGUSR1, signal.SIGRTMAX])
def test_what_a_handler_raises_travels_on(number: signal.Signals) -> None:
    """The hook that was interrupted stays on: it has not failed."""
    assert raised_in_hook(reload, number) == (True, True)


@pytest.mark.parametrize(
    "handler", [Reloader().method, Reloader(), partial(with_more, "x"), partial(partial(with_more), "x")]
)
def test_a_handler_may_be_any_callable(handler: Callable[..., Any]) -> None:
    """A bound method, an object that can be called, a partial of a partial."""
    assert raised_in_hook(handler, signal.SIGUSR2) == (True, True)


def test_an_error_of_the_same_class_that_no_handler_raised_is_the_hooks() -> None:
    """The control: the function that raises is no handler now."""
    hook = Hook("test of errors")
    hook.guarded(lambda: reload(1, None))()

    assert not hook.is_on


def raised_in_hook(handler: Callable[..., Any], number: int) -> tuple[bool, bool]:
    """A signal arrives in a hook: whether the handler's error was raised there, and the hook is still on."""
    hook = Hook("test of signals")
    before = signal.signal(number, handler)
    try:
        hook.guarded(lambda: signal.raise_signal(number))()
    except ReloadError as error:
        return is_the_programs(error), hook.is_on
    finally:
        signal.signal(number, before)
    return False, hook.is_on
