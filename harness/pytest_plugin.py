"""The pytest plugin: fails tests that block their event loop, or get into other trouble, if requested.

It is loaded in every pytest run of an environment with the harness installed. So it imports and watches
nothing until a test requests it.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, ExitStack
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .watching import Watch

_BLOCKS, _TROUBLE = "no_blocks", "no_trouble"
_MARKERS = (
    "no_blocks(limit_ms=50): fail the test if an event loop turn takes longer while it runs; "
    "limit_ms=None exempts the test from --no-blocks.",
    "no_trouble(limit_ms=50, allow=()): fail the test if anything goes wrong while it runs that a report "
    "would warn of: blocks, deadlocks, spins, lost tasks, growing queues, full pools; allow names rules "
    "whose findings are no failure, such as 'growth'; limit_ms=None exempts the test from --no-trouble.",
)
_FAILS = {
    _BLOCKS: "in which an event loop turn takes longer than MS milliseconds",
    _TROUBLE: "in which a report would warn of anything, with MS milliseconds as the limit of a turn",
}
# The limit for every test, by the name of the marker; None when only marked tests are checked.
_EVERY_TEST_MS = pytest.StashKey[dict[str, float | None]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("harness")
    for name, when in _FAILS.items():
        option = _option(name)
        group.addoption(
            option,
            nargs="?",
            const="",
            metavar="MS",
            help=f"Fail every test {when} [default: {name}_ms, else 50].",
        )
        parser.addini(f"{name}_ms", f"The same as {option}=MS, in the configuration file.", default="")


def pytest_configure(config: pytest.Config) -> None:
    for marker in _MARKERS:
        config.addinivalue_line("markers", marker)
    config.stash[_EVERY_TEST_MS] = {
        name: _every_test_ms(name, config.getoption(name), config.getini(f"{name}_ms")) for name in _FAILS
    }


# Innermost, so that what other plugins do around the test does not count.
@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    checks = list(_checks(item))
    if not checks:
        return (yield)
    from .testing import LoopBlockedError, TroubleFoundError

    try:
        with ExitStack() as stack:
            for check in checks:
                stack.enter_context(check)
            return (yield)
    except (LoopBlockedError, TroubleFoundError) as exc:
        message = str(exc)
    # The traceback would show this plugin; the message has the relevant stack.
    pytest.fail(message, pytrace=False)


@pytest.fixture
def watch_loop(request: pytest.FixtureRequest) -> Iterator[Watch]:
    """A watch over the event loops of this test, with the limit of the test: see ``watch_loop.blocks``."""
    from .testing import LIMIT_MS
    from .watching import watch_loop

    item = request.node
    with watch_loop(_limit_ms(item, _BLOCKS) or _limit_ms(item, _TROUBLE) or LIMIT_MS) as watch:
        yield watch


def _checks(item: pytest.Item) -> Iterator[AbstractContextManager[Watch]]:
    """What is asked for of a test."""
    blocks_ms, trouble_ms = _limit_ms(item, _BLOCKS), _limit_ms(item, _TROUBLE)
    if blocks_ms is not None:
        from .testing import no_blocks

        yield no_blocks(blocks_ms)
    if trouble_ms is not None:
        from .testing import no_trouble

        yield no_trouble(trouble_ms, allow=_allowed(item))


def _limit_ms(item: pytest.Item, name: str) -> float | None:
    """The limit for a test: that of its closest marker, else the one for every test."""
    every_test_ms = item.config.stash[_EVERY_TEST_MS][name]
    mark = item.get_closest_marker(name)
    if mark is None:
        return every_test_ms
    from .testing import LIMIT_MS

    def no_blocks(limit_ms: float | None = every_test_ms or LIMIT_MS) -> float | None:
        return limit_ms

    def no_trouble(limit_ms: float | None = every_test_ms or LIMIT_MS, *, allow: object = ()) -> float | None:
        return limit_ms

    return (no_blocks if name == _BLOCKS else no_trouble)(*mark.args, **mark.kwargs)


def _allowed(item: pytest.Item) -> frozenset[str]:
    """The rules whose findings are no failure of a test; a misspelt one would allow nothing unnoticed."""
    mark = item.get_closest_marker(_TROUBLE)
    allow = mark.kwargs.get("allow", ()) if mark is not None else ()
    allowed = frozenset((allow,) if isinstance(allow, str) else allow)
    from .read.judge.rulebook import names

    if unknown := allowed - names():
        known = ", ".join(sorted(names()))
        raise pytest.UsageError(f"no_trouble: allow: no rule {', '.join(sorted(unknown))}; one of {known}")
    return allowed


def _every_test_ms(name: str, option: str | None, setting: str) -> float | None:
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
        where = f"{_option(name)}=MS" if option else f"{name}_ms"
        raise pytest.UsageError(f"{where}: expected a number of milliseconds, at least 1, got {text!r}")
    return limit_ms


def _option(name: str) -> str:
    """``--no-blocks``"""
    return f"--{name.replace('_', '-')}"
