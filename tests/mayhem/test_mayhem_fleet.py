"""Restarts are serial per host, and only per host."""

from __future__ import annotations

import asyncio

from harness.mayhem.fleet import Fleet
from harness.mayhem.hosts.simulated import SimulatedHost
from harness.mayhem.threads import Threads

PATIENCE_S = 20


async def test_two_restarts_of_a_host_never_overlap():
    """However many messages name the same host, it is restarted once at a time."""
    inside, most = 0, 0

    class CountingHost:
        async def restart(self):
            nonlocal inside, most
            inside += 1
            most = max(most, inside)
            for _ in range(5):
                await asyncio.sleep(0)
            inside -= 1

        def check_health(self):
            pass

    async with Threads(4) as threads:
        fleet = Fleet(lambda name: CountingHost(), threads)
        await asyncio.gather(*(fleet.restart("web-1") for _ in range(5)))

    assert (inside, most) == (0, 1)


async def test_different_hosts_are_restarted_at_the_same_time():
    """The control: restarts of two hosts do meet."""
    both = asyncio.Barrier(2)

    class MeetingHost:
        async def restart(self):
            await both.wait()

        def check_health(self):
            pass

    async with Threads(2) as threads:
        fleet = Fleet(lambda name: MeetingHost(), threads)
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.gather(fleet.restart("web-1"), fleet.restart("web-2"))


async def test_cancelled_restart_gives_the_host_free():
    """A restart that was cancelled does not keep the next one waiting."""
    started, hang = asyncio.Event(), asyncio.Event()

    class HangingHost:
        async def restart(self):
            started.set()
            await hang.wait()

        def check_health(self):
            pass

    async with Threads(2) as threads:
        fleet = Fleet(lambda name: HangingHost(), threads)
        hanging = asyncio.create_task(fleet.restart("web-1"))
        await started.wait()
        hanging.cancel()
        await asyncio.wait({hanging})
        hang.set()
        async with asyncio.timeout(PATIENCE_S):
            await fleet.restart("web-1")


async def test_simulated_host_can_be_replaced_by_name(monkeypatch):
    """A restart patched into the class takes effect at once, also for hosts that exist already."""
    restarted = []

    async def patched(self):
        restarted.append(self.name)

    async with Threads(1) as threads:
        fleet = Fleet(lambda name: SimulatedHost(name, seed=1), threads)
        await fleet.restart("web-1")
        monkeypatch.setattr("harness.mayhem.hosts.simulated.SimulatedHost.restart", patched)
        await fleet.restart("web-1")

    assert restarted == ["web-1"]


async def test_same_seed_same_latency(monkeypatch):
    """A simulated host takes the same times in the same order whenever it has the same seed and name."""

    async def times(name, seed):
        slept = []

        async def sleep(delay_s):
            slept.append(delay_s)

        monkeypatch.setattr("harness.mayhem.hosts.simulated.asyncio.sleep", sleep)
        host = SimulatedHost(name, seed=seed)
        for _ in range(5):
            await host.restart()
        monkeypatch.undo()
        return slept

    assert await times("web-1", 1) == await times("web-1", 1)
    assert await times("web-1", 1) != await times("web-1", 2)
    assert await times("web-1", 1) != await times("web-2", 1)
