"""What is read of a loop's handles."""

from __future__ import annotations

import asyncio

import pytest

from harness.probe.hooks.state import loop_state


@pytest.mark.parametrize("kind", ["asyncio", "uvloop"])
def test_a_handle_has_its_function_and_its_arguments(kind: str) -> None:
    """Also a timer's; a handle that was cancelled has none any more."""
    module = pytest.importorskip(kind)
    loop: asyncio.AbstractEventLoop = module.new_event_loop()
    try:
        soon, timer = loop.call_soon(print, 1, 2), loop.call_later(60, print, 3)
        without = loop.call_soon(print)
        seen = [loop_state.arguments(handle) for handle in (soon, timer, without)]
        calls = [loop_state.callback(handle) for handle in (soon, timer, without)]
        soon.cancel()

        assert [tuple(each) for each in seen] == [(1, 2), (3,), ()]
        assert calls == [print] * 3
        assert (loop_state.callback(soon), tuple(loop_state.arguments(soon))) == (None, ())
        timer.cancel()
        without.cancel()
    finally:
        loop.close()
