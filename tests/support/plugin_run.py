"""Runs pytest with the plugin in a process of its own, on a module of tests that is given as text."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

PLUGINS = ("harness.pytest_plugin", "pytest_asyncio.plugin", "anyio.pytest_plugin")
# What every test module of these runs begins with.
HEAD = """
import asyncio, threading, time, unittest
import pytest

def pause(held_s):
    time.sleep(held_s)

async def hold(held_s=0.2):
    await asyncio.sleep(0.01)
    pause(held_s)
    await asyncio.sleep(0.01)
"""

Run = Callable[..., pytest.RunResult]


def runner(
    pytester: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
    *,
    plugins: Sequence[str] = PLUGINS,
    head: str = HEAD,
) -> Run:
    """A function that runs the tests in a text, with options of pytest."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("COLUMNS", "200")
    pytester.makeini("""
        [pytest]
        asyncio_mode = strict
        asyncio_default_fixture_loop_scope = function
    """)

    def run(tests: str, *options: str) -> pytest.RunResult:
        pytester.makepyfile(test_it=head + tests)
        loaded = [word for name in plugins for word in ("-p", name)]
        return pytester.runpytest_subprocess(*loaded, "--strict-markers", *options)

    return run
