"""The parameters of the load driver, which the runner sends it as one line of JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field


@dataclass(frozen=True, slots=True)
class DriverConfig:
    """One run of the driver."""

    events: str  # the folder for its record
    start_at_ns: int  # monotonic: the zero of the schedule
    sender: str  # a module of `senders/`
    parameters: dict[str, object]  # of that sender's `connect`
    arrival: str
    rate_per_s: float
    duration_s: float
    seed: int
    drain_s: float  # how long to wait for answers after the schedule
    secrets: dict[str, str] = field(default_factory=dict)  # what to hide in the record: see `redact.learn`

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> DriverConfig:
        return cls(**json.loads(text))
