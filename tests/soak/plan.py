"""What is done in a round of a soak: decided by the seed and the round's number, and by nothing else."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from random import Random

# What a round publishes, in seconds of the rate.
PUBLISH_S = 1.0
# Of the rounds, those in which the publisher is killed as well.
PUBLISHERS = 0.3
# Until a service in whose hands nothing ends is told to end; a memory's round has no other one.
UNDER_WAY_S = (0.1, 0.9)


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds for all rounds of a soak."""

    seed: int
    rate_per_s: float
    lease_s: float
    drain_s: float
    concurrency: int = 50
    hosts: int = 50
    # With these hosts some 450 messages per second: at the default rate, a queue gathers.
    host_latency: str = "lognormal:100ms,0.5"

    @property
    def messages(self) -> int:
        """How many a round publishes."""
        return max(1, round(self.rate_per_s * PUBLISH_S))


@dataclass(frozen=True, slots=True)
class Plan:
    """One round."""

    number: int
    signum: signal.Signals  # how the service ends
    after_s: float  # ... so long after it is ready
    publisher_after: int | None  # the publisher is killed when so many messages are confirmed


def plan(number: int, terms: Terms, *, signums: tuple[signal.Signals, ...]) -> Plan:
    """The round with this number; the same for the same seed."""
    random = Random(f"{terms.seed}:{number}")
    dies = random.random() < PUBLISHERS
    return Plan(
        number,
        random.choice(signums),
        random.uniform(*UNDER_WAY_S),
        random.randrange(terms.messages) if dies else None,
    )
