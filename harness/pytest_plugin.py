"""The pytest plugin: fails tests that block their event loop, if requested.

It is loaded in every pytest run of an environment with the harness installed. So it imports and watches
nothing until a test requests it.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .watching import Watch

_MARKER = (
    "no_blocks(limit_ms=50): fail the test if an event loop turn takes longer while it runs; "
    "limit_ms=None exempts the test from --no-blocks."
)
# The limit for every test; None when only marked tests are checked.
_EVERY_TEST_MS = pytest.StashKey[float | None]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("harness").addoption(
        "--no-blocks",
        nargs="?",
        const="",
        metavar="MS",
        help="Fail every test in which an event loop turn takes longer than MS milliseconds "
        "[default: no_blocks_ms, else 50].",
    )
    parser.addini("no_blocks_ms", "The same as --no-blocks=MS, in the configuration file.", default="")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", _MARKER)
    config.stash[_EVERY_TEST_MS] = _every_test_ms(
        config.getoption("no_blocks"), config.getini("no_blocks_ms")
    )


# Innermost, so that blocks caused by other plugins around the test do not count.
@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    limit_ms = _limit_ms(item)
    if limit_ms is None:
        return (yield)
    from .testing import LoopBlockedError, no_blocks

    try:
        with no_blocks(limit_ms):
            return (yield)
    except LoopBlockedError as exc:
        message = str(exc)
    # The traceback would show this plugin; the message has the relevant stack.
    pytest.fail(message, pytrace=False)


@pytest.fixture
def watch_loop(request: pytest.FixtureRequest) -> Iterator[Watch]:
    """A watch over the event loops of this test, with the limit of the test: see ``watch_loop.blocks``."""
    from .testing import LIMIT_MS
    from .watching import watch_loop

    with watch_loop(_limit_ms(request.node) or LIMIT_MS) as watch:
        yield watch


def _limit_ms(item: pytest.Item) -> float | None:
    """The limit for a test: that of its closest marker, else the one for every test."""
    every_test_ms = item.config.stash[_EVERY_TEST_MS]
    mark = item.get_closest_marker("no_blocks")
    if mark is None:
        return every_test_ms
    from .testing import LIMIT_MS

    def no_blocks(limit_ms: float | None = every_test_ms or LIMIT_MS) -> float | None:
        return limit_ms

    return no_blocks(*mark.args, **mark.kwargs)


def _every_test_ms(option: str | None, setting: str) -> float | None:
    text = option or setting
    if option is None and not text:
        return None
    if not text:
        from .testing import LIMIT_MS

        return LIMIT_MS
    try:
        limit_ms = float(text)
    except ValueError:
        limit_ms = math.nan
    if not (math.isfinite(limit_ms) and limit_ms >= 1):
        # Without the equals sign, the option would take a following path as its number.
        name = "--no-blocks=MS" if option else "no_blocks_ms"
        raise pytest.UsageError(f"{name}: expected a number of milliseconds, at least 1, got {text!r}")
    return limit_ms
