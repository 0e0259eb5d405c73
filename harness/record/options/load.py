"""What a scenario says about its load."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from .table import NotNegative, Positive, ScenarioTable, Url, wrong

# No machine lets one Python process send more.
MOST_PER_S = 50_000


def _sendable(rate_per_s: float) -> float:
    if rate_per_s > MOST_PER_S:
        note = "The load driver is one process, and sends some thousands of requests per second."
        raise wrong(f"expected at most {MOST_PER_S:,} requests per second, got {rate_per_s:,.10g}", note=note)
    return rate_per_s


class _Load(ScenarioTable):
    rate_per_s: Annotated[Positive, AfterValidator(_sendable)]
    """Mean requests per second. They do not wait for the target."""
    duration_s: Positive
    """Duration of the schedule."""
    arrival: Literal["poisson", "constant"] = "poisson"
    """Random arrivals of independent users, or evenly spaced requests."""
    max_late_ms: Positive = 50.0
    """If the driver itself sends later than this at the 99th percentile, the measurement is invalid."""
    drain_s: NotNegative = 10.0
    """How long to wait for answers after the schedule."""

    def parameters(self) -> dict[str, object]:
        """The parameters of the sender, without the schedule."""
        return self.model_dump(mode="json", exclude={"sender", *_Load.model_fields})


class SqliteLoad(_Load):
    """Messages to the SQLite broker of the built-in chaos service."""

    sender: Literal["sqlite"]


class NatsLoad(_Load):
    """Messages to the NATS broker of the built-in chaos service."""

    sender: Literal["nats"]


class RedisLoad(_Load):
    """Messages to the Redis broker of the built-in chaos service."""

    sender: Literal["redis"]


class HttpLoad(_Load):
    """HTTP requests."""

    sender: Literal["http"]
    url: Url
    """The address of the requests."""
    method: Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] = "GET"
    """The request's method."""
    headers: dict[str, str] = Field(default={})
    """Headers, in addition to `traceparent`, which every request carries."""
    body: str = ""
    """The request's body."""
    timeout_s: Positive = 30.0
    """A request that takes longer has failed."""
    expect_status: Annotated[tuple[int, ...], Field(strict=False)] = ()
    """Statuses that count as success; if empty, all below 400."""


Load = Annotated[SqliteLoad | NatsLoad | RedisLoad | HttpLoad, Field(discriminator="sender")]
