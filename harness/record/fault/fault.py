"""A fault in one function of the target, as the value that scenario, runner, probe and console share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from . import catalogue
from .catalogue import FaultKind


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong, where and how often; its schedule is not included."""

    id: str
    kind: str  # one of `catalogue.names`
    place: str  # the function that is replaced, "module:qualified.name"
    effect: FaultKind
    probability: float = 1.0  # that a call is affected
    limit: int | None = None  # maximum number of affected calls

    def describe(self) -> str:
        """Describe it in one line: ``time.sleep(0.3) in shop.cart:Cart.total, 20 % of the calls``."""
        often = "" if self.probability == 1 else f", {self.probability * 100:.3g} % of the calls"
        often += "" if self.limit is None else f", at most {self.limit} time{'' if self.limit == 1 else 's'}"
        return f"{self.effect.describe()} in {self.place}{often}"

    def to_request(self) -> dict[str, object]:
        """The fields of an injection request, as JSON values."""
        return {
            "id": self.id,
            "kind": self.kind,
            "in": self.place,
            "probability": self.probability,
            "limit": self.limit,
            **{name: getattr(self.effect, name) for name in catalogue.parameters(type(self.effect))},
        }

    @classmethod
    def from_request(cls, request: Mapping[str, Any]) -> Fault:
        """The fault that a request describes; missing fields take their defaults.

        Raises:
            ValueError: The kind is unknown.
        """
        kind = catalogue.find(request["kind"])
        given = {name: request[name] for name in catalogue.parameters(kind) if name in request}
        return cls(
            id=request["id"],
            kind=request["kind"],
            place=request["in"],
            effect=kind(**given),
            probability=request.get("probability", 1.0),
            limit=request.get("limit"),
        )
