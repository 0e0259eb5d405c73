"""What a frame's instructions say: whether its function has begun, and what it calls."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from harness.probe.hooks.state.frame_state import called_by, is_entering


def caller() -> Any:
    """What the caller calls, by its instructions."""
    frame = sys._getframe(1)
    assert frame is not None
    return called_by(frame)


class Holder:
    @staticmethod
    def apart() -> Any:
        return caller_of_caller()

    def method(self) -> Any:
        return caller_of_caller()

    def __getattr__(self, name: str) -> Any:
        raise AssertionError("no code of the program runs")


def caller_of_caller() -> Any:
    return called_by(sys._getframe(2))


HOLDER = SimpleNamespace(caller=caller)


def test_what_is_called_is_found_by_its_name() -> None:
    """A global, a local, and attributes of modules, objects and classes."""
    local = caller
    holder = Holder()

    # Not in `assert`, whose calls pytest rewrites.
    found = [caller(), local(), HOLDER.caller(), holder.method(), Holder.apart(), max(1, 0) and caller()]

    assert found == [caller, caller, caller, Holder.method, Holder.apart, caller]


def test_what_is_called_by_another_expression_is_unknown() -> None:
    """A wrong name would be worse than none."""
    made: Callable[[], Callable[[], Any]] = lambda: caller  # noqa: E731

    found = [made()(), [caller][0](), {"a": caller}["a"]()]

    assert found == [None, None, None]


def test_a_function_that_has_just_been_called_is_entering() -> None:
    """Not one that has begun, nor a generator that goes on after a ``yield``."""
    begun = []

    def traced(frame: Any, event: str, argument: object) -> None:
        if frame.f_code in (plain.__code__, steps.__code__):
            begun.append((event, is_entering(frame)))

    def plain() -> None:
        pass

    def steps() -> Any:
        yield sys._getframe()

    sys.setprofile(traced)
    try:
        plain()
    finally:
        sys.setprofile(None)
    frame = next(generator := steps())

    assert begun[0] == ("call", True)
    assert begun[-1] == ("return", False)
    assert not is_entering(frame)
    generator.close()
