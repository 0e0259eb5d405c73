"""Restarts are serial per host, and the fleet starts, ends and bounds its hosts."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest

from harness.mayhem import fleet as fleet_module
from harness.mayhem.errors import HostUnavailableError
from harness.mayhem.fleet import Fleet
from harness.mayhem.hosts.simulated import SimulatedHost
from harness.mayhem.process.thread_pool import ThreadPool

PATIENCE_S = 20


class Host:
    """The minimum of a host."""

    def __init__(self, restart: Callable[..., Any] | None) -> None:
        self._restart = restart

    async def restart(self) -> None:
        assert self._restart is not None
        await self._restart()


class Startable(Host):
    """A host that records when it is started and ended."""

    def __init__(self, name: str, told: list[Any], *, complaint: Any = None) -> None:
        self.name = name
        self.told = told
        self.complaint = complaint

    async def restart(self) -> None:
        self.told.append(f"restart {self.name}")

    async def __aenter__(self) -> Startable:
        self.told.append(f"start {self.name}")
        if self.complaint:
            raise self.complaint
        return self

    async def __aexit__(self, *_: Any) -> None:
        self.told.append(f"end {self.name}")


def fleet_of(host: Any, threads: ThreadPool, **options: Any) -> Fleet:
    return Fleet(lambda name: host, threads, **options)


async def test_two_restarts_of_a_host_never_overlap() -> None:
    """Concurrent restarts of the same host run one after the other."""
    inside, most = 0, 0

    async def restart() -> None:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        for _ in range(5):
            await asyncio.sleep(0)
        inside -= 1

    async with ThreadPool(4) as threads:
        fleet = Fleet(lambda name: Host(restart), threads)
        await asyncio.gather(*(fleet.restart("web-1") for _ in range(5)))

    assert (inside, most) == (0, 1)
    assert fleet.restarts("web-1") == 5


async def test_different_hosts_are_restarted_at_the_same_time() -> None:
    """Control: restarts of two hosts overlap."""
    both = asyncio.Barrier(2)
    async with ThreadPool(2) as threads:
        fleet = Fleet(lambda name: Host(both.wait), threads)
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.gather(fleet.restart("web-1"), fleet.restart("web-2"))


async def test_cancelled_restart_gives_the_host_free() -> None:
    """A cancelled restart does not block the next one."""
    started, hang = asyncio.Event(), asyncio.Event()

    async def restart() -> None:
        started.set()
        await hang.wait()

    async with ThreadPool(2) as threads:
        fleet = fleet_of(Host(restart), threads)
        hanging = asyncio.create_task(fleet.restart("web-1"))
        await started.wait()
        hanging.cancel()
        await asyncio.wait({hanging})
        assert hanging.cancelled()
        hang.set()
        async with asyncio.timeout(PATIENCE_S):
            await fleet.restart("web-1")

    assert fleet.restarts("web-1") == 1


async def test_host_that_hangs_is_given_up() -> None:
    """A restart that takes too long fails, is not counted, and does not block the next one."""
    hang = asyncio.Event()
    async with ThreadPool(1) as threads:
        fleet = fleet_of(Host(hang.wait), threads, within_s=0.05)
        with pytest.raises(HostUnavailableError, match=r"web-1: not back within 0\.05 s"):
            await fleet.restart("web-1")
        assert fleet.restarts("web-1") == 0
        hang.set()
        await fleet.restart("web-1")

    assert fleet.restarts("web-1") == 1


async def test_health_check_that_blocks_has_a_thread_and_one_that_waits_has_none() -> None:
    """A blocking health check runs in a thread; an awaitable one does not."""
    asked_in = {}

    class Blocking(Host):
        def check_health(self) -> None:
            asked_in["blocking"] = threading.current_thread()

    class Awaiting(Host):
        async def health(self) -> None:
            asked_in["awaiting"] = threading.current_thread()

    async with ThreadPool(1) as threads:
        for kind in (Blocking, Awaiting):
            await fleet_of(kind(lambda: asyncio.sleep(0)), threads).restart("web-1")

    assert asked_in["awaiting"] is threading.main_thread()
    assert asked_in["blocking"].name == "mayhem-blocking_0"


async def test_host_that_is_not_well_has_not_been_restarted() -> None:
    """An error of the health check is raised by the restart."""

    class Unwell(Host):
        async def health(self) -> None:
            raise HostUnavailableError("web-1: still down")

    async with ThreadPool(1) as threads:
        fleet = fleet_of(Unwell(lambda: asyncio.sleep(0)), threads)
        with pytest.raises(HostUnavailableError, match="still down"):
            await fleet.restart("web-1")

    assert fleet.restarts("web-1") == 0


async def test_fleet_starts_its_hosts_in_order_and_ends_them_in_reverse() -> None:
    """Hosts are started in order and ended in reverse; unlisted hosts are neither."""
    told: list[Any] = []
    async with ThreadPool(1) as threads:
        make = {name: Startable(name, told) for name in ("a", "b", "c")}.__getitem__
        async with Fleet(make, threads, names=["a", "b"]) as fleet:
            await fleet.restart("b")

    assert told == ["start a", "start b", "restart b", "end b", "end a"]


async def test_host_that_is_down_at_the_start_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    """A host that is down does not prevent the others from starting, and is ended like them."""
    told: list[Any] = []
    hosts = {
        "a": Startable("a", told, complaint=HostUnavailableError("a: no licence")),
        "b": Startable("b", told),
    }
    async with ThreadPool(1) as threads, Fleet(hosts.__getitem__, threads, names=["a", "b"]) as fleet:
        await fleet.restart("a")

    assert told == ["start a", "start b", "restart a", "end b", "end a"]
    warnings = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert warnings == ["host down at the start: a: no licence"]


@pytest.mark.parametrize("error", [asyncio.CancelledError(), ZeroDivisionError()])
async def test_start_that_is_broken_off_ends_what_was_started(error: Any) -> None:
    """A cancelled start or a bug in a host leaves nothing running."""
    told: list[Any] = []
    hosts = {"a": Startable("a", told), "b": Startable("b", told, complaint=error), "c": Startable("c", told)}
    async with ThreadPool(1) as threads:
        with pytest.raises(type(error)):
            async with Fleet(hosts.__getitem__, threads, names=["a", "b", "c"]):
                pass

    assert told == ["start a", "start b", "end b", "end a"]


async def test_strangers_are_forgotten_while_they_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of unlisted hosts is bounded; one in use is never forgotten."""
    monkeypatch.setattr(fleet_module, "MAX_UNLISTED", 10)
    hang = asyncio.Event()
    made: list[Any] = []

    class Named(Host):
        async def restart(self) -> None:
            if made[0] is self:
                await hang.wait()

    def make(name: str) -> Any:
        made.append(Named(None))
        return made[-1]

    async with ThreadPool(1) as threads:
        fleet = Fleet(make, threads)
        in_use = [asyncio.create_task(fleet.restart("web-0")) for _ in range(2)]
        await asyncio.sleep(0)
        for number in range(1, 100):
            await fleet.restart(f"web-{number}")
        hang.set()
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.gather(*in_use, fleet.restart("web-0"))

    assert fleet.restarts("web-0") == 3
    assert fleet.restarts("web-1") == 0
    assert sum(fleet.restarts(f"web-{number}") for number in range(1, 100)) <= 10
    assert len(made) == 100


async def test_simulated_host_can_be_replaced_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Patching the class's `restart` takes effect at once, even for existing hosts."""
    restarted = []

    async def patched(self: SimulatedHost) -> None:
        restarted.append(self.name)

    async with ThreadPool(1) as threads:
        fleet = Fleet(lambda name: SimulatedHost(name, seed=1), threads)
        await fleet.restart("web-1")
        monkeypatch.setattr("harness.mayhem.hosts.simulated.SimulatedHost.restart", patched)
        await fleet.restart("web-1")

    assert restarted == ["web-1"]
