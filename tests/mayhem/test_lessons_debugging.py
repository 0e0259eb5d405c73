"""Lessons on debug mode: one switch enables it, and these tests run in it."""

from __future__ import annotations

import asyncio
import signal

import pytest

from tests.mayhem.support.service_process import last_words, started, wait_line

# Prints whether its loop is in debug mode, and blocks it for longer than `slow_callback_duration`.
SLOW = """
import asyncio, runpy, sys, time
import harness.mayhem.operations.health
beat = harness.mayhem.operations.health.Health.beat
def hold_the_loop():
    time.sleep(0.25)
    print("held", asyncio.get_running_loop().get_debug(), file=sys.stderr, flush=True)
async def slow(self):
    asyncio.get_running_loop().call_later(0.2, hold_the_loop)
    await beat(self)
harness.mayhem.operations.health.Health.beat = slow
runpy.run_module("harness.mayhem", run_name="__main__", alter_sys=True)
"""


@pytest.mark.parametrize(
    ("options", "environment", "debug"),
    [
        (["--debug"], {}, True),
        ([], {"MAYHEM_DEBUG": "1"}, True),
        ([], {"PYTHONASYNCIODEBUG": "1"}, True),
        ([], {}, False),
    ],
)
def test_one_switch_turns_debug_mode_on(options: list[str], environment: dict[str, str], debug: bool) -> None:
    """An option or a variable enables debug mode, in which slow callbacks are logged by name."""
    program = ("-c", SLOW)
    with started("--broker", "memory:", *options, program=program, **environment) as process:
        held = wait_line(process, "held ")
        process.send_signal(signal.SIGTERM)
        said = last_words(process)

    assert held == f"held {debug}\n"
    assert process.returncode == 0
    assert ("Executing" in said and "hold_the_loop" in said) is debug


async def test_these_tests_run_in_debug_mode() -> None:
    """All of the service's tests run in debug mode."""
    assert asyncio.get_running_loop().get_debug()
