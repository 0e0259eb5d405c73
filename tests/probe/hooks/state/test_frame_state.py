"""What a frame's instructions say: whether its function has begun, and what it calls."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from harness.probe.hooks.state.frame_state import called_by, is_entering, lazily_imported, name_used


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


class Lookups(dict[str, Any]):
    """A namespace that notes which name the code that looks one up is at."""

    def __init__(self) -> None:
        self.at: list[str] = []

    def __missing__(self, name: str) -> int:
        self.at.append(name_used(sys._getframe(1)))
        return 0


def test_the_name_that_is_looked_up_is_told() -> None:
    """Also where it is not among the first 256 names of the code; nothing for a call."""
    spaces = Lookups()
    many = "; ".join(f"n{number}" for number in range(300))
    exec(f"{many}; last", {"__builtins__": {}}, spaces)

    assert spaces.at == [*(f"n{number}" for number in range(300)), "last"]
    assert name_used(sys._getframe()) == ""


def test_a_name_whose_use_imports_is_told() -> None:
    """Not a call that imports, nor an import around the call that is asked about."""

    def imports(*_: object) -> None:
        found.append(lazily_imported(sys._getframe(), until.__code__))

    def until() -> None:
        exec("unloaded", {"__builtins__": {}}, spaces)
        imports()

    found: list[str] = []
    imports.__code__ = imports.__code__.replace(co_filename="<frozen importlib._bootstrap>")
    spaces = type("Spaces", (dict,), {"__missing__": imports})()
    until()
    exec("unloaded", {"__builtins__": {}}, spaces)

    assert found == ["unloaded", "", "unloaded"]


class Thing:
    """Something of the program."""


def test_a_variable_that_is_read_leaves_no_copy_of_all_variables_behind() -> None:
    """Before Python 3.13 a frame keeps what it has shown, and with it everything that the function has."""
    called = []

    def look() -> None:
        called.append(called_by(sys._getframe(1)))

    def work() -> list[object]:
        thing, inner = Thing(), look
        inner()
        return gc.get_referrers(thing)

    assert work() == []
    assert called == [look]


def test_a_copy_that_the_program_has_is_left_as_it_is() -> None:
    """Before Python 3.13 `locals()` gives the program the frame's own copy."""

    def look() -> None:
        called_by(sys._getframe(1))

    def work() -> dict[str, object]:
        thing, inner = 1, look
        mine = locals()
        inner()
        assert thing == 1
        return mine

    assert {"thing", "inner"} <= set(work())
