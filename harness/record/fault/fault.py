"""A fault: one function of the target that misbehaves on purpose, as one value for all who speak of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from . import catalogue
from .catalogue import FaultKind


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong, where, and how often; when is up to the one who injects it."""

    id: str
    kind: str  # as `catalogue.names` has it
    place: str  # the function that misbehaves, "module:qualified.name"
    effect: FaultKind
    probability: float = 1.0  # that a call is hit
    limit: int | None = None  # on the calls that are hit

    def describe(self) -> str:
        """The fault as people read it: ``time.sleep(0.3) in shop.cart:Cart.total, 20% of the calls``."""
        often = "" if self.probability == 1 else f", {self.probability:.0%} of the calls"
        often += "" if self.limit is None else f", at most {self.limit} times"
        return f"{self.effect.describe()} in {self.place}{often}"

    def to_request(self) -> dict[str, object]:
        """The fields of a request to inject it, for JSON."""
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
        """The fault that a request asks for; what is left out takes its default.

        Raises:
            ValueError: Its kind is not known.
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
