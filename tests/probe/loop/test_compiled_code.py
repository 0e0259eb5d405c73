"""Code without frames of its own is named: callbacks in C, compiled coroutines, what has just returned."""

from __future__ import annotations

import asyncio
import hashlib
import operator
import re
import time
import zlib
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import pytest

from harness import watch_loop
from harness.read.blocks.block import Block

ROUNDS = 800_000  # of a key derivation: some 300 ms
DERIVE = partial(hashlib.pbkdf2_hmac, "sha256", b"password", b"salt", ROUNDS)
DATA = bytes(range(256)) * 100_000
BACKTRACKS = re.compile("(a+)+$")  # holds the GIL


class Compiled(Coroutine[Any, Any, Any]):
    """A coroutine whose steps run in C, as one of Cython does."""

    send = staticmethod(DERIVE)
    throw = staticmethod(partial(operator.truediv, 1))
    close: Any = staticmethod(list)

    def __await__(self) -> Any:
        raise NotImplementedError


def nothing() -> None:
    pass


def large() -> bool:
    """Computes in C without a call, and holds the GIL: the first sample comes after its return."""
    return 7**700_000 > 0


async def larger() -> bool:
    return 7**700_000 > 0


def block_of(*schedule: Callable[[asyncio.AbstractEventLoop], object], debug: bool = False) -> Block:
    """The longest block of a loop with these callbacks."""

    async def main() -> None:
        await asyncio.sleep(0.02)
        for one in schedule:
            one(asyncio.get_running_loop())
        await asyncio.sleep(0.1)

    with watch_loop(50) as watch:
        asyncio.run(main(), debug=debug)
    return max(watch.blocks, key=lambda block: block.held_ms)


@pytest.mark.parametrize(
    ("schedule", "function", "cause"),
    [
        (lambda loop: loop.call_soon(time.sleep, 0.2), "time.sleep", "call"),
        (lambda loop: loop.call_soon(DERIVE), "hashlib.pbkdf2_hmac", "cpu"),
        (lambda loop: loop.call_later(0.01, zlib.compress, DATA, 9), "zlib.compress", "cpu"),
        (lambda loop: loop.call_soon(BACKTRACKS.match, "a" * 23 + "b"), "re.Pattern.match", "cpu"),
        (
            lambda loop: loop.run_in_executor(None, nothing).add_done_callback(range(8_000_000).count),
            "range.count",
            "cpu",
        ),
    ],
)
def test_a_callback_in_c_is_named(
    schedule: Callable[[asyncio.AbstractEventLoop], object], function: str, cause: str
) -> None:
    """By its module and name; whether it waited or computed is judged as for any other code."""
    block = block_of(schedule)

    assert (block.function, block.cause, block.file, block.library) == (function, cause, "", "")


def test_a_callback_in_c_has_the_line_that_scheduled_it_in_debug_mode() -> None:
    """asyncio records that line in debug mode only."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("logging.Logger.warning", lambda *_, **__: None)  # asyncio's own word on slow callbacks
        block = block_of(lambda loop: loop.call_soon(time.sleep, 0.2), debug=True)

    assert (block.function, block.where.rpartition("/")[2]) == (
        "time.sleep",
        f"test_compiled_code.py:{_line_of('time.sleep, 0.2), debug=True')}",
    )


def test_a_compiled_coroutine_is_named_with_its_task() -> None:
    """Its task is known, though it has no frame."""

    def start(loop: asyncio.AbstractEventLoop) -> None:
        task = loop.create_task(Compiled(), name="signer")
        task.add_done_callback(asyncio.Task.exception)

    block = block_of(start)

    assert (block.function, block.task, block.cause) == ("Compiled", "signer", "cpu")


@pytest.mark.parametrize("name", ["large", "larger"])
def test_code_that_has_returned_before_the_first_sample_is_named(name: str) -> None:
    """The callback that runs next is not blamed, though the sample may stand at its first line."""

    def start(loop: asyncio.AbstractEventLoop) -> None:
        if name == "large":
            loop.call_soon(large)
        else:
            asyncio.ensure_future(larger()).add_done_callback(asyncio.Task.result)
        for _ in range(3):
            loop.call_soon(nothing)

    block = block_of(start)

    assert block.function == name
    assert block.cause == "cpu"


def test_no_other_thread_of_the_probe_gets_the_gil_before_the_watchdog() -> None:
    """At the beginning they all look often; a turn that is over before the watchdog looks has no sample.

    That was one turn in four. A machine that gives the watchdog no processor costs one in a hundred.
    """

    def start(loop: asyncio.AbstractEventLoop) -> None:
        loop.run_in_executor(None, nothing)
        for one in (large, nothing, nothing):
            loop.call_soon(one)

    assert [block_of(start).function for _ in range(16)].count("large") >= 15


def _line_of(text: str) -> int:
    with open(__file__, encoding="utf-8") as file:
        return next(n for n, line in enumerate(file, 1) if text in line)
