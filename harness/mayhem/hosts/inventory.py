"""Which hosts there are, and what is behind each of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from ..errors import SettingsError
from ..ports import Host
from ..process.thread_pool import ThreadPool
from .failure import NEVER, FailureModel
from .latency import Latency
from .simulated import LATENCY, SimulatedHost


class Kind(StrEnum):
    """What is behind a host, and so what it fails with."""

    SIMULATED = "simulated"
    PROCESS = "process"
    SDK = "sdk"


@dataclass(frozen=True, slots=True)
class Inventory:
    """``host-0`` and so on: first the simulated ones, then real processes, then those driven by an SDK.

    Args:
        hosts: How many in all.
        processes: How many of them are child processes.
        sdk: How many are driven by a blocking SDK.
        latency: Of restarts; those of processes take what they take.
        failure: Of simulated hosts.

    Raises:
        SettingsError: More are asked for than there are.
    """

    hosts: int
    processes: int = 0
    sdk: int = 0
    latency: Latency = LATENCY
    failure: FailureModel = NEVER
    seed: int = 0
    _real: Mapping[str, Kind] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        simulated = self.hosts - self.processes - self.sdk
        if simulated < 0:
            raise SettingsError(
                f"{self.processes} processes and {self.sdk} SDK hosts are more than {self.hosts} hosts"
            )
        kinds = [Kind.PROCESS] * self.processes + [Kind.SDK] * self.sdk
        object.__setattr__(self, "_real", dict(zip(self.names[simulated:], kinds, strict=True)))

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"host-{number}" for number in range(self.hosts))

    def kind_of(self, name: str) -> Kind:
        """What is behind a host. A name that is not in the inventory is that of a simulated one."""
        return self._real.get(name, Kind.SIMULATED)

    def maker(self, threads: ThreadPool) -> Callable[[str], Host]:
        """What makes a host by its name; those that block use *threads*."""

        def make(name: str) -> Host:
            match self.kind_of(name):
                case Kind.PROCESS:
                    from .process import ProcessHost

                    return ProcessHost(name)
                case Kind.SDK:
                    from .sdk import SdkHost

                    return SdkHost(name, threads, self.latency, seed=self.seed)
                case Kind.SIMULATED:
                    return SimulatedHost(name, seed=self.seed, latency=self.latency, failure=self.failure)

        return make
