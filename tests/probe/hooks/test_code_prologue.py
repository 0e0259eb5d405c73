"""A function with a prologue is the same function, but for one call at its beginning."""

from __future__ import annotations

import asyncio
import contextlib
import dis
import inspect
import traceback
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import pairwise
from types import CodeType, FunctionType
from typing import Any

import pytest

from harness.probe.hooks.code_prologue import with_awaited_prologue, with_prologue


class Base:
    def name(self) -> str:
        return "base"


class Derived(Base):
    def name(self) -> str:
        try:
            return super().name() + " and derived"
        finally:
            pass


def closing_over(x: int) -> Callable[..., tuple[int, int, int]]:
    def inner(a: int, *, k: int = 3) -> tuple[int, int, int]:
        def innermost() -> tuple[int, int, int]:
            return x, a, k

        return innermost()

    return inner


def numbers(count: int) -> Iterator[object]:
    try:
        yield from range(count)
    except ValueError as exc:
        yield f"caught {exc}"


async def waiting(value: int) -> int:
    async with contextlib.AsyncExitStack():
        await asyncio.sleep(0)
        return value


async def streaming(count: int) -> AsyncIterator[int]:
    for number in range(count):
        await asyncio.sleep(0)
        yield number


def looping() -> int:
    count = 0
    while True:
        count += 1
        if count > 5:
            return count


def handling() -> str:
    try:
        return str(1 / 0)
    except ZeroDivisionError:
        return "handled"


async def _all(source: AsyncIterator[int]) -> list[int]:
    return [number async for number in source]


USES: list[tuple[Any, Callable[[], object], object]] = [
    (Derived.name, lambda: Derived().name(), "base and derived"),
    (inner := closing_over(1), lambda: inner(2), (1, 2, 3)),
    (numbers, lambda: list(numbers(3)), [0, 1, 2]),
    (waiting, lambda: asyncio.run(waiting(7)), 7),
    (streaming, lambda: asyncio.run(_all(streaming(3))), [0, 1, 2]),
    (looping, looping, 6),
    (handling, handling, "handled"),
]


@contextlib.contextmanager
def planted(function: Any, call: Callable[[], object]) -> Iterator[CodeType]:
    own = function.__code__
    function.__code__ = with_prologue(own, call)
    try:
        yield function.__code__
    finally:
        function.__code__ = own


@pytest.mark.parametrize(("function", "use", "result"), USES, ids=[use[0].__qualname__ for use in USES])
def test_a_function_of_any_kind_calls_first_and_does_the_same(
    function: FunctionType, use: Callable[[], object], result: object
) -> None:
    """Once per call, whether it is a method, a closure, a generator or a coroutine; it looks the same."""
    calls: list[str] = []
    looks = _looks(function)

    with planted(function, lambda: calls.append("called")):
        assert use() == result
        assert calls == ["called"]
        assert _looks(function) == looks
    assert use() == result
    assert calls == ["called"]


def _looks(function: Any) -> list[object]:
    code = function.__code__
    kinds = (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction)
    return [
        *(kind(function) for kind in kinds),
        inspect.signature(function),
        inspect.getsource(function),
        *(code.co_name, code.co_qualname, code.co_filename, code.co_firstlineno),
        *(code.co_flags, code.co_freevars, code.co_cellvars, code.co_varnames),
        sorted({line for _, _, line in code.co_lines() if line is not None}),
    ]


def test_callers_that_run_often_meet_the_new_code_at_once() -> None:
    """Python has adapted their instructions to the function that they call."""
    calls: list[str] = []

    def use() -> None:
        for _ in range(1000):
            looping()
            Derived().name()
            for _ in numbers(1):
                pass

    use()
    with (
        planted(looping, lambda: calls.append("looping")),
        planted(Derived.name, lambda: calls.append("name")),
    ):
        with planted(numbers, lambda: calls.append("numbers")):
            use()
    use()

    assert Counter(calls) == {"looping": 1000, "name": 1000, "numbers": 1000}


def test_an_exception_is_thrown_into_a_generator_as_before() -> None:
    """Where the generator waits, its handler catches."""
    with planted(numbers, lambda: None):
        generator = numbers(3)
        next(generator)

        assert generator.throw(ValueError("it")) == "caught it"  # type: ignore[attr-defined]


def _fail() -> None:
    raise ZeroDivisionError("on purpose")


def test_what_the_call_raises_is_not_handled_by_the_function() -> None:
    """It leaves the function from its first line."""
    with planted(handling, _fail), pytest.raises(ZeroDivisionError, match="on purpose") as caught:
        handling()

    frame = traceback.extract_tb(caught.value.__traceback__)[1]
    assert (frame.name, frame.lineno) == ("handling", handling.__code__.co_firstlineno)


def test_a_generator_cannot_be_ended_by_what_the_call_raises() -> None:
    """A `StopIteration` becomes a `RuntimeError`, as anywhere in its body."""

    def stop() -> None:
        raise StopIteration

    with planted(numbers, stop), pytest.raises(RuntimeError):
        next(numbers(3))


def test_every_position_and_jump_of_the_standard_library_is_kept() -> None:
    """Lines, columns, targets of jumps and exception tables, only moved."""
    import argparse
    import asyncio.base_events
    import dataclasses
    import typing

    codes = [
        code
        for module in (argparse, asyncio.base_events, dataclasses, typing, dis)
        for code in _codes(compile(inspect.getsource(module), "module.py", "exec"))
    ]
    assert len(codes) > 500
    for code in codes:
        changed = with_prologue(code, _fail)
        added = (len(changed.co_code) - len(code.co_code)) // 2
        before, after = list(code.co_positions()), list(changed.co_positions())
        steps = pairwise(dis.get_instructions(code))  # without the caches that an instruction may have
        at = next(step.offset for last, step in steps if last.opname == "RESUME") // 2
        assert after[:at] + after[at + added :] == before, code
        assert _moved(_labels(code), at, added) == _labels(changed)
        assert [_moved(handled, at, added) for handled in _handlers(code)] == _handlers(changed)


def _labels(code: CodeType) -> list[int]:
    """The offsets that jumps lead to."""
    return sorted(each.offset for each in dis.get_instructions(code) if each.is_jump_target)


def _handlers(code: CodeType) -> list[list[int]]:
    """For each range of code with a handler: where it begins and ends, and where the handler is."""
    table = dis._parse_exception_table(code)  # type: ignore[attr-defined]  # `dis` itself shows it as text only
    return [sorted((entry.start, entry.end, entry.target)) for entry in table]


def _moved(offsets: list[int], at: int, added: int) -> list[int]:
    return sorted(offset + 2 * added if offset >= 2 * at else offset for offset in offsets)


def _codes(module: CodeType) -> Iterator[CodeType]:
    for constant in module.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _codes(constant)


# --- what is awaited ------------------------------------------------------------------------------------


async def saves(seen: list[str]) -> str:
    """Has handlers of its own, and constants enough that the new ones need a long instruction."""
    try:
        await asyncio.sleep(0)
        seen.append("saved")
        return "done"
    except asyncio.CancelledError:
        seen.append("cancelled inside")
        raise
    finally:
        seen.append("over")


MANY = "async def many():\n" + "".join(f"    x = {n}.5\n" for n in range(400)) + "    return x\n"


@contextlib.contextmanager
def delayed(function: Any, call: Callable[[], Any]) -> Iterator[None]:
    own = function.__code__
    function.__code__ = with_awaited_prologue(own, call)
    try:
        yield
    finally:
        function.__code__ = own


async def test_a_coroutine_awaits_first_and_does_the_same() -> None:
    """The loop goes on meanwhile, and whoever looks at the task sees what it waits for."""
    seen: list[str] = []
    looks, ready = _looks(saves), asyncio.Event()
    names: dict[str, Any] = {}
    exec(MANY, names)
    with delayed(saves, ready.wait), delayed(names["many"], lambda: asyncio.sleep(0)):
        assert _looks(saves) == looks
        task = asyncio.create_task(saves(seen))
        for _ in range(3):
            await asyncio.sleep(0)
        assert (task.done(), seen) == (False, [])
        work: Any = task.get_coro()
        assert work.cr_await.__qualname__ == "Event.wait"
        ready.set()
        assert await task == "done"
        assert await names["many"]() == 399.5

    assert seen == ["saved", "over"]


async def test_a_cancellation_while_it_awaits_leaves_the_body_unentered() -> None:
    """No handler of the function's own covers that, as if the caller had been cancelled before the call."""
    seen: list[str] = []
    with delayed(saves, asyncio.Event().wait):
        task = asyncio.create_task(saves(seen))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        closed = saves(seen)
        closed.send(None)
        closed.close()

    assert seen == []


async def test_what_is_awaited_may_raise() -> None:
    """It leaves the coroutine, with the line of the function."""

    async def fails() -> None:
        await asyncio.sleep(0)
        raise ValueError("injected")

    with delayed(saves, fails), pytest.raises(ValueError, match="injected") as caught:
        await saves([])
    assert [entry.name for entry in traceback.extract_tb(caught.value.__traceback__)][-2:] == [
        "saves",
        "fails",
    ]


@pytest.mark.parametrize("function", [looping, numbers, streaming], ids=lambda each: each.__name__)
def test_only_a_coroutine_function_can_await(function: FunctionType) -> None:
    """Any other is refused."""
    with pytest.raises(TypeError, match=f"{function.__name__} is no coroutine function"):
        with_awaited_prologue(function.__code__, asyncio.Event().wait)
