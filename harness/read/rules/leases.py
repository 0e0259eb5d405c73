"""Messages delivered twice because a blocked loop could not extend their leases in time.

The span of each delivery has its number and the length of its lease as attributes; each successful ``extend``
span within it restarts the lease.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from ...record.event import SpanEnded
from ..blocks.block import Block
from ..evidence import Evidence
from ..finding import Finding, Level
from ..history import History
from ..place import blamed
from ..units import duration, plural, seconds

ORDER = 80

_MESSAGE, _DELIVERY, _LEASE_S = "messaging.message.id", "mayhem.delivery", "mayhem.lease_s"
_SHOWN = 5
# Share of the lease: extensions are due at each third, so a loop that runs for half of the lease sends one.
_HELD = 0.5

_Place = tuple[str, int, str]


@dataclass(frozen=True, slots=True)
class _Again:
    """A message that was delivered again, and the expired lease of the delivery before."""

    message: str
    from_s: float
    to_s: float
    saved: int  # how often the message was saved, in all deliveries together
    pid: int

    @property
    def lease_s(self) -> float:
        return self.to_s - self.from_s

    def held_s(self, block: Block) -> float:
        """How long during the lease the block held the loop that extends it."""
        over_s = block.at_s + block.held_ms / 1000
        return min(self.to_s, over_s) - max(self.from_s, block.at_s) if block.pid == self.pid else 0.0


def findings(evidence: Evidence) -> Iterator[Finding]:
    """A warning per place that held a loop until leases expired."""
    hurt: dict[_Place, list[_Again]] = defaultdict(list)
    worst: dict[_Place, Block] = {}
    for again in _handed_out_again(evidence.history):
        block = max(evidence.blocks, key=again.held_s, default=None)
        if block is not None and again.held_s(block) >= again.lease_s * _HELD:
            place = block.file, block.line, block.function
            hurt[place].append(again)
            worst[place] = max(worst.get(place, block), block, key=lambda one: one.held_ms)
    for place, messages in hurt.items():
        yield _finding({again.message: again for again in messages}, worst[place])


def _finding(hurt: dict[str, _Again], block: Block) -> Finding:
    ids = list(hurt)
    twice = sum(again.saved > 1 for again in hurt.values())
    whose = "its lease" if len(ids) == 1 else "their leases"
    shown = ", ".join(ids[:_SHOWN]) + (f" and {len(ids) - _SHOWN:,} more" if len(ids) > _SHOWN else "")
    return Finding(
        "leases",
        Level.WARNING,
        f"{plural(len(ids), 'message')} redelivered, and {twice:,} of them took effect twice: "
        f"{whose} of {duration(hurt[ids[0]].lease_s * 1000)} expired "
        f"while {block.function} ({block.where}) held the loop for up to {duration(block.held_ms)}: {shown}",
        *blamed(block),
    )


def _handed_out_again(history: History) -> Iterator[_Again]:
    """The deliveries that were followed by another one although they were not nacked."""
    handled: dict[str, dict[int, SpanEnded]] = defaultdict(dict)
    within: dict[str, list[SpanEnded]] = defaultdict(list)  # successful spans, by the delivery's span
    for span in history.of(SpanEnded):
        if _DELIVERY in span.attributes:
            handled[str(span.attributes.get(_MESSAGE, ""))][int(span.attributes[_DELIVERY])] = span
        elif span.name in ("extend", "nack", "save") and span.status != "error":
            within[span.parent_id].append(span)
    for message, deliveries in handled.items():
        steps = {number: within[span.span_id] for number, span in deliveries.items()}
        saved = sum(step.name == "save" for members in steps.values() for step in members)
        for number, span in sorted(deliveries.items()):
            after = deliveries.get(number + 1)
            if after is None or any(step.name == "nack" for step in steps[number]):
                continue
            lease_s = float(span.attributes.get(_LEASE_S, 0.0))
            extensions = (
                step for step in steps[number] if step.name == "extend" and step.end_ns < after.start_ns
            )
            begun_ns = max((step.start_ns for step in extensions), default=span.start_ns)
            # A blocked loop starts the span of a delivery late; the lease has ended by the next delivery.
            to_s = min(
                seconds(history.since_start_ns(begun_ns)) + lease_s,
                seconds(history.since_start_ns(after.start_ns)),
            )
            yield _Again(message, to_s - lease_s, to_s, saved, span.pid)
