"""What the program itself raises while the probe's code runs is the program's, by every signal."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import harness
from harness.probe.hooks.hook import Hook, is_the_programs
from tests.support.pythons import EACH, needs_python


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


FULL_STACK = """
from contextlib import suppress
from harness.probe.hooks.hook import Hook

observed, failed = Hook("test").guarded(lambda: None), []

def deepen():
    try:
        observed()
    except RecursionError as exc:
        failed.append(exc)
    deepen()

with suppress(RecursionError):
    deepen()
print(len(failed) <= 1)
"""


@pytest.mark.parametrize("version", EACH)
def test_a_stack_without_room_for_the_probe_is_no_error_of_the_program(version: str) -> None:
    """Only where the guard itself cannot be called, the call fails; so would any other of the program."""
    env = {"PYTHONPATH": str(Path(harness.__file__).parents[1])}
    ran = subprocess.run([needs_python(version), "-c", FULL_STACK], env=env, capture_output=True, text=True)

    assert (ran.stdout, ran.stderr) == ("True\n", "")
