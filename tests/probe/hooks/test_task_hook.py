"""Where each task is made: kept raw, beside whatever factory there is, and gone without a trace."""

from __future__ import annotations

import asyncio
import gc
import sys
import traceback
import weakref
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import pytest

from harness.probe.hooks import task_hook
from harness.probe.hooks.task_hook import TaskHook, TaskOrigin, origin_of
from harness.record.observation import Frame

T = TypeVar("T")

BEFORE_3_12 = pytest.mark.skipif(sys.version_info < (3, 12), reason="no eager tasks before 3.12")


def run(main: Callable[[], Coroutine[Any, Any, T]], *, loop: str) -> T:
    """Run *main* with the births of its loop kept."""
    factory = pytest.importorskip("uvloop").new_event_loop if loop == "uvloop" else asyncio.new_event_loop

    async def kept() -> T:
        here = TaskHook()
        here.begin(asyncio.get_running_loop())
        try:
            return await main()
        finally:
            here.end()

    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(kept())


@pytest.fixture(params=["asyncio", "uvloop"])
def loop(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def nothing() -> None:
    pass


def current() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None
    return task


def known_origin(task: asyncio.Task[Any]) -> TaskOrigin:
    origin = origin_of(task)
    assert origin is not None
    return origin


def source_line(function: Callable[..., object], text: str) -> int:
    """The line of a function's source that has *text* in it."""
    code = function.__code__
    with open(code.co_filename) as file:
        return next(n for n, line in enumerate(file, 1) if n > code.co_firstlineno and text in line)


def test_a_task_knows_the_line_that_made_it_and_its_makers(loop: str) -> None:
    """However it was made, it is the program's line; then comes the line that made the task that made it."""

    async def child() -> list[asyncio.Task[None]]:
        return [
            asyncio.create_task(nothing()),  # one
            asyncio.ensure_future(nothing()),  # two
            asyncio.get_running_loop().create_task(nothing()),  # three
        ]

    async def main() -> tuple[asyncio.Task[list[asyncio.Task[None]]], list[TaskOrigin]]:
        async with asyncio.TaskGroup() as group:
            made = group.create_task(child())  # four
        return made, [known_origin(task) for task in await made]

    made, found = run(main, loop=loop)

    at = {n: source_line(child, f"# {n}") for n in ("one", "two", "three")}
    four = source_line(main, "# four")
    file, name = __file__, test_a_task_knows_the_line_that_made_it_and_its_makers.__qualname__
    maker = Frame(file, four, f"{name}.<locals>.main")
    assert known_origin(made).places == (maker,)
    assert [birth.places for birth in found] == [
        (Frame(file, line, f"{name}.<locals>.child"), maker) for line in at.values()
    ]
    assert [birth.parent for birth in found] == [made] * 3


def test_a_task_from_before_is_not_known(loop: str) -> None:
    """Nothing is said of a task that nobody saw being made."""

    async def main() -> TaskOrigin | None:
        return origin_of(current())

    assert run(main, loop=loop) is None


def test_the_factory_is_the_programs_own(loop: str) -> None:
    """What the program sets is what it finds, is called with what it was given, and is left in place."""
    calls = []

    def factory(loop: asyncio.AbstractEventLoop, coro: Any, **kwargs: Any) -> asyncio.Task[Any]:
        calls.append(kwargs)
        return asyncio.Task(coro, loop=loop, **kwargs)

    async def main() -> tuple[object, str, bool]:
        here = asyncio.get_running_loop()
        assert here.get_task_factory() is None
        here.set_task_factory(factory)
        task = asyncio.create_task(nothing(), name="named", context=None)
        await task
        return here.get_task_factory(), task.get_name(), origin_of(task) is not None

    assert run(main, loop=loop) == (factory, "named", True)
    assert calls


@BEFORE_3_12
def test_an_eager_task_has_its_birth_too() -> None:
    """It has ended when it is made, and libraries that look for the eager factory go on to find it."""
    # On asyncio's loop alone: uvloop hands the factory a keyword that Python's own does not take.

    async def main() -> tuple[bool, bool, bool]:
        eager_task_factory = vars(asyncio)["eager_task_factory"]  # mypy reads the stubs of 3.11
        here = asyncio.get_running_loop()
        here.set_task_factory(eager_task_factory)
        task = asyncio.create_task(nothing())
        return task.done(), origin_of(task) is not None, here.get_task_factory() is eager_task_factory

    assert run(main, loop="asyncio") == (True, True, True)


def test_a_keyword_that_only_the_factory_knows_reaches_it() -> None:
    """Keywords differ from version to version: none is checked on the way."""

    class Loop(asyncio.SelectorEventLoop):
        def create_task(self, coro: Any, **kwargs: Any) -> asyncio.Task[Any]:
            assert kwargs == {"eager_start": True, "of_the_future": 1}
            return super().create_task(coro)

    loop, here = Loop(), TaskHook()
    here.begin(loop)
    task = loop.create_task(nothing(), eager_start=True, of_the_future=1)
    loop.run_until_complete(task)
    here.end()
    loop.close()

    assert known_origin(task).places[0].function == "test_a_keyword_that_only_the_factory_knows_reaches_it"


def test_an_error_and_a_debug_traceback_do_not_show_us(loop: str) -> None:
    """What `create_task` raises, and what debug mode keeps, reads as without."""

    async def main() -> tuple[traceback.StackSummary, traceback.StackSummary]:
        asyncio.get_running_loop().set_debug(True)
        task: Any = asyncio.create_task(nothing())
        wrong: Any = "no coroutine"
        try:
            asyncio.get_running_loop().create_task(wrong)
        except TypeError as exc:
            return task._source_traceback, traceback.extract_tb(exc.__traceback__)
        raise AssertionError("a text was made a task")

    found = run(main, loop=loop)

    for stack in found:
        assert stack
        assert task_hook.__file__ not in [frame.filename for frame in stack]


def test_what_is_kept_goes_with_the_task(loop: str) -> None:
    """Ended tasks are not held, and a task that makes its own successor keeps a few places only."""
    ended = []

    async def link(left: int) -> asyncio.Task[Any] | TaskOrigin | None:
        ended.append(weakref.ref(current()))
        if left:
            return asyncio.create_task(link(left - 1))
        return origin_of(current())

    async def main() -> TaskOrigin | None:
        last: asyncio.Task[Any] | TaskOrigin | None = asyncio.create_task(link(50))
        while isinstance(last, asyncio.Task):
            last = await last
        await asyncio.sleep(0)
        gc.collect()
        return last

    last = run(main, loop=loop)

    assert last is not None
    assert len(last.places) == task_hook.PLACES
    assert [ref for ref in ended if ref() is not None] == []


def test_the_loop_is_left_as_it_was(loop: str) -> None:
    """At the end its method is its own again; a wrapper that somebody put around ours only passes on."""

    async def main() -> tuple[asyncio.AbstractEventLoop, bool, bool, bool]:
        here, first, second = asyncio.get_running_loop(), TaskHook(), TaskHook()
        # `run` has begun already: what is replaced is another's.
        before = vars(here)["create_task"]
        first.begin(here)
        first.begin(here)
        during = vars(here)["create_task"]
        first.end()
        after = vars(here)["create_task"]
        second.begin(here)
        ours = vars(here)["create_task"]
        vars(here)["create_task"] = theirs = lambda coro, **kwargs: ours(coro, **kwargs)
        second.end()
        kept = vars(here)["create_task"] is theirs
        await asyncio.create_task(nothing())
        vars(here)["create_task"] = before
        return here, during is not before, after is before, kept

    here, *found = run(main, loop=loop)

    assert found == [True, True, True]
    assert "create_task" not in vars(here)
