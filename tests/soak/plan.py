"""The plan of a round, which depends only on the seed and the round's number."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from random import Random

# Seconds for which a round publishes at its rate.
PUBLISH_S = 1.0
# Share of rounds in which the publisher is killed as well.
PUBLISHERS = 0.3
# Range of times from readiness until the service is ended.
UNDER_WAY_S = (0.1, 0.9)


@dataclass(frozen=True, slots=True)
class Terms:
    """The parameters of all rounds."""

    seed: int
    rate_per_s: float
    lease_s: float
    drain_s: float
    concurrency: int = 50
    hosts: int = 50
    # Handles some 450 messages per second, so a queue forms at the default rate.
    host_latency: str = "lognormal:100ms,0.5"

    @property
    def messages(self) -> int:
        """Number of messages a round publishes."""
        return max(1, round(self.rate_per_s * PUBLISH_S))


@dataclass(frozen=True, slots=True)
class Plan:
    """One round."""

    number: int
    signum: signal.Signals  # ends the service
    after_s: float  # ... this long after it is ready
    publisher_after: int | None  # confirmed messages after which the publisher is killed


def plan(number: int, terms: Terms, *, signums: tuple[signal.Signals, ...]) -> Plan:
    """Plan the round with this number."""
    random = Random(f"{terms.seed}:{number}")
    is_killed = random.random() < PUBLISHERS
    return Plan(
        number,
        random.choice(signums),
        random.uniform(*UNDER_WAY_S),
        random.randrange(terms.messages) if is_killed else None,
    )
