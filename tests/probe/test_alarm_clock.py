"""The probe's threads are woken by one that keeps the time for all of them."""

from __future__ import annotations

import select
import threading
import time
from collections.abc import Iterator

import pytest

from harness.probe.alarm_clock import Alarm, AlarmClock, rounded_up

NEVER_S = 600.0


class Keeper:
    """Rings the clock when its descriptor says so, as the watchdog does, until it is told to stop."""

    def __init__(self) -> None:
        self.clock = AlarmClock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._keep)
        self._thread.start()

    def _keep(self) -> None:
        with select.epoll() as poll:
            poll.register(self.clock.fd, select.EPOLLIN | select.EPOLLET)
            while not self._over.is_set():
                if poll.poll(0.01):
                    self.clock.ring()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()


@pytest.fixture
def keeper() -> Iterator[Keeper]:
    made = Keeper()
    yield made
    made.stop()
    made.clock.close()


@pytest.mark.parametrize("order", [(0.3, 0.1, 0.2), (0.1, 0.2, 0.3)])
def test_each_alarm_wakes_its_thread_at_its_time(keeper: Keeper, order: tuple[float, ...]) -> None:
    """Whichever was set first; none early, and none lost."""
    took: dict[float, float] = {}

    def wait(seconds: float) -> None:
        began = time.monotonic()
        assert not Alarm(keeper.clock).wait(seconds)
        took[seconds] = time.monotonic() - began

    threads = [threading.Thread(target=wait, args=(seconds,)) for seconds in order]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert all(seconds <= took[seconds] < seconds + 5 for seconds in order)


def test_until_its_clock_rings_a_thread_does_not_wake() -> None:
    """Else it would wait for the GIL beside the watchdog."""
    clock = AlarmClock()
    waiting = threading.Thread(target=Alarm(clock).wait, args=(0.01,))
    waiting.start()
    waiting.join(timeout=0.3)
    still_waits = waiting.is_alive()
    clock.ring()
    waiting.join()
    clock.close()

    assert still_waits


@pytest.mark.parametrize("state", ["kept", "closed", "none"])
def test_a_wait_is_ended_from_outside(keeper: Keeper, state: str) -> None:
    """Now and later, with a clock and without one."""
    alarm = Alarm(keeper.clock if state != "none" else None)
    if state == "closed":
        keeper.stop()
        keeper.clock.close()
    waiting = threading.Thread(target=alarm.wait, args=(NEVER_S,))
    waiting.start()
    alarm.set()
    waiting.join()

    assert alarm.is_set()
    assert alarm.wait(NEVER_S)


def test_without_a_clock_a_thread_wakes_by_itself() -> None:
    """As where the system has no such timer."""
    clock = AlarmClock()
    clock.close()

    assert [Alarm(one).wait(0.01) for one in (None, clock)] == [False, False]


@pytest.mark.parametrize(("wait_s", "longest", "times"), [(0.1, 1.125, 13), (2, 1.125, 16), (20, 1.5, 4)])
def test_waits_that_begin_apart_end_together(wait_s: float, longest: float, times: int) -> None:
    """A wake-up costs as much as the look; a long wait may be longer, and ends with more of the others."""
    wait_ns = int(wait_s * 1e9)
    begun = [int(number * wait_ns / 500) for number in range(500)]
    due = [rounded_up(now_ns, wait_ns) for now_ns in begun]

    assert all(wait_ns <= at - now <= longest * wait_ns for now, at in zip(begun, due, strict=True))
    assert len(set(due)) <= times
