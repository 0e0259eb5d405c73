"""What a scenario says about proxies, and the faults of the connections through them."""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, create_model

from ..fault import catalogue, toxic
from .table import Name, NotNegative, Positive, ScenarioTable

Address = Annotated[str, Field(pattern=r"^[^\s:/]+:\d{1,5}$", examples=["127.0.0.1:6379"])]


class ProxyOptions(ScenarioTable):
    """A TCP proxy between the target and a service that it talks to."""

    name: Name
    """What faults call it."""
    listen: Annotated[int, Field(ge=1, le=65535)]
    """The port on loopback to which the target connects."""
    upstream: Address
    """The service, as host and port."""


class PlannedToxic(ScenarioTable):
    """The keys common to all faults of a network; the model of each kind adds its parameters."""

    id: Name
    """Name of the fault in the report; unique in the scenario."""
    proxy: Name
    """The proxy whose connections are affected."""
    stream: Literal["downstream", "upstream", "both"] = "downstream"
    """Which data: that from the service to the target, that to the service, or both."""
    at_s: NotNegative = 0.0
    """When it begins, in seconds since the start of the load."""
    for_s: Positive | None = None
    """How long it lasts; by default to the end of the load."""
    kind: str

    def describe(self) -> str:
        """Describe the effect briefly."""
        kind = toxic.find(self.kind)
        return kind(**{name: getattr(self, name) for name in catalogue.parameters(kind)}).describe()


def _planned(name: str) -> type[PlannedToxic]:
    kind = toxic.find(name)
    fields: dict[str, Any] = {"kind": (Literal[name], ...)}
    for key, parameter in catalogue.parameters(kind).items():
        constraints = Field(parameter.default, description=parameter.help, gt=parameter.above)
        fields[key] = (parameter.type, constraints)
    return create_model(
        kind.__name__, __base__=PlannedToxic, __module__=__name__, __doc__=kind.__doc__, **fields
    )


if TYPE_CHECKING:
    AnyToxic = PlannedToxic
else:
    AnyToxic = reduce(or_, map(_planned, toxic.names()))
