"""The hosts, and the kind of each."""

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
    """The kind of a host. Hosts of one kind share a circuit."""

    SIMULATED = "simulated"
    PROCESS = "process"
    SDK = "sdk"


@dataclass(frozen=True, slots=True)
class Inventory:
    """Hosts ``host-0`` and so on: first simulated ones, then processes, then those driven by an SDK.

    Args:
        hosts: Total number.
        processes: Number of them that are child processes.
        sdk: Number of them that are driven by a blocking SDK.
        latency: Duration of restarts, except those of child processes.
        failure: Failures of simulated hosts.

    Raises:
        SettingsError: Processes and SDK hosts are more than *hosts*.
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
            real = f"{self.processes} processes and {self.sdk} SDK hosts"
            raise SettingsError(f"{real} are more than {self.hosts} hosts")
        kinds = [Kind.PROCESS] * self.processes + [Kind.SDK] * self.sdk
        object.__setattr__(self, "_real", dict(zip(self.names[simulated:], kinds, strict=True)))

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"host-{number}" for number in range(self.hosts))

    def kind_of(self, name: str) -> Kind:
        """The kind of a host; one outside of the inventory is simulated."""
        return self._real.get(name, Kind.SIMULATED)

    def maker(self, threads: ThreadPool) -> Callable[[str], Host]:
        """Return a function that makes a host by its name; hosts that block use *threads*."""

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
