"""What every fault of a scenario has: its name, and its time."""

from __future__ import annotations

from typing import Any, Literal, TypeVar

from pydantic import Field, create_model

from ..fault import catalogue
from .table import Name, NotNegative, Place, Positive, ScenarioTable

M = TypeVar("M", bound="Planned")


class Planned(ScenarioTable):
    """The keys common to all faults."""

    id: Name
    """Name of the fault in the report; unique in the scenario."""
    at_s: NotNegative = 0.0
    """When it begins, in seconds since the start of the load."""
    for_s: Positive | None = None
    """How long it lasts; by default to the end of the load."""
    kind: str

    def window_ns(self, start_ns: int, end_ns: int) -> tuple[int, int]:
        """When it begins and when it is undone, for a load from *start_ns* to *end_ns*."""
        began_ns = start_ns + round(self.at_s * 1e9)
        over_ns = end_ns if self.for_s is None else start_ns + round((self.at_s + self.for_s) * 1e9)
        return began_ns, min(over_ns, end_ns)


def with_parameters(base: type[M], name: str, kind: type[object]) -> type[M]:
    """The model of one kind: the keys of *base* and its parameters."""
    fields: dict[str, Any] = {"kind": (Literal[name], ...)}
    for key, parameter in catalogue.parameters(kind).items():
        constraints = Field(parameter.default, description=parameter.help, gt=parameter.above)
        fields[key] = (Place if parameter.is_place else parameter.type, constraints)
    return create_model(
        kind.__name__, __base__=base, __module__=base.__module__, __doc__=kind.__doc__, **fields
    )
