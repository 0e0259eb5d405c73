"""The parameters of the load driver, which the runner sends it as one line of JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class DriverConfig:
    """One run of the driver."""

    events: str  # the folder for its record
    start_at_ns: int  # monotonic: the zero of the schedule; with `ready_fd`, the next line of stdin has it
    sender: str  # a module of `senders/`
    parameters: dict[str, object]  # of that sender's `connect`
    arrival: str
    plan: tuple[tuple[float, float, float], ...]  # as `RatePiece`; empty in a closed model
    duration_s: float
    seed: int
    drain_s: float  # how long to wait for answers after the schedule
    warm_up_s: float = 0.0
    users: int = 0  # of a closed model
    visits: tuple[dict[str, Any], ...] = ()  # what users do; empty where each request is a message
    data: str = ""  # the file with the values of the visits
    ready_fd: int = -1  # to which the driver writes when it is ready
    secrets: dict[str, str] = field(default_factory=dict)  # what to hide in the record: see `redact.learn`

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> DriverConfig:
        given = json.loads(text)
        plan = tuple((for_s, first, last) for for_s, first, last in given.pop("plan"))
        return cls(plan=plan, visits=tuple(given.pop("visits")), **given)
