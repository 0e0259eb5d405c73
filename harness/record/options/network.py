"""What a scenario says about proxies, and the faults of the connections through them."""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from ..fault import catalogue, toxic
from .planned import Planned, with_parameters
from .table import Name, ScenarioTable

Address = Annotated[str, Field(pattern=r"^[^\s:/]+:\d{1,5}$", examples=["127.0.0.1:6379"])]


class ProxyOptions(ScenarioTable):
    """A TCP proxy between the target and a service that it talks to."""

    name: Name
    """What faults call it."""
    listen: Annotated[int, Field(ge=1, le=65535)]
    """The port on loopback to which the target connects."""
    upstream: Address
    """The service, as host and port."""


class PlannedToxic(Planned):
    """The keys common to all faults of a network; the model of each kind adds its parameters."""

    proxy: Name
    """The proxy whose connections are affected."""
    stream: Literal["downstream", "upstream", "both"] = "downstream"
    """Which data: that from the service to the target, that to the service, or both."""

    def describe(self) -> str:
        """Describe the effect briefly."""
        kind = toxic.find(self.kind)
        return kind(**{name: getattr(self, name) for name in catalogue.parameters(kind)}).describe()


if TYPE_CHECKING:
    AnyToxic = PlannedToxic
else:
    AnyToxic = reduce(or_, (with_parameters(PlannedToxic, name, toxic.find(name)) for name in toxic.names()))
