"""The verdict: the whole run in one sentence of plain text."""

from __future__ import annotations

from ...record.event import describe_status
from ..blocks.advice import advice
from ..blocks.blocker import Blocker
from ..blocks.starvation import Starvation
from ..evidence import Evidence
from ..figures.target import crash, unwatched
from ..history import History
from ..units import duration, ms, percent, plural
from .outcome import OutcomeName, RunOutcome

# Where the frame alone would mislead: it was not this code that took the time.
_HOW = {
    "gc": "the garbage collector in",
    "gil": "another thread that held the GIL during",
    "many": "many short callbacks, most of the time",
}


def sentence(evidence: Evidence, outcome: RunOutcome) -> str:
    """What happened to the loop; before it, what makes the record less than whole."""
    before, happened = _caveat(evidence.history, outcome), _happened(evidence)
    return f"{before}: {happened}" if before else happened


def _caveat(history: History, outcome: RunOutcome) -> str:
    match outcome.name:
        case OutcomeName.CRASHED if (crashed := crash(history)) is not None:
            return f"The target died on its own {describe_status(crashed.status)}"
        case OutcomeName.CRASHED:
            return f"No measurement ({outcome.reason})"
        case OutcomeName.ABORTED:
            return f"Partial record ({outcome.reason})"
        case OutcomeName.INVALID:
            return f"Invalid measurement ({outcome.reason})"
    return ""


def _happened(evidence: Evidence) -> str:
    history, loop = evidence.history, evidence.loop
    if evidence.blocks:
        return _blocked(evidence)
    if reason := unwatched(history):
        return f"{reason[0].upper()}{reason[1:]}, so nothing is known of its loop."
    limit = duration(ms(history.run.block_limit_ns))
    if loop.blocked_turns:
        turns = plural(loop.blocked_turns, "turn")
        return f"Loop blocked by {turns} of up to {duration(loop.lag_ms.max)}, of which nothing was recorded."
    lag = f"p99 lag {duration(loop.lag_ms.p99)} over {loop.ran_s:.1f} s"
    return f"No block: no turn of the loop took longer than {limit}; {lag}."


def _blocked(evidence: Evidence) -> str:
    blocks, places, total_ms = evidence.blocks, evidence.blockers, evidence.held_ms
    ran_ms = (evidence.loop.ran_s or evidence.duration_s) * 1000
    worst = places[0]
    share = "all" if len(places) == 1 else f"{worst.total_ms / total_ms * 100:.0f} % of it"
    text = f"Loop blocked {percent(min(1.0, total_ms / ran_ms))} of the run: {plural(len(blocks), 'block')}"
    text += f", {share} by {_place(worst)}" if len(blocks) > 1 else f" by {_place(worst)}"
    waits = sum(block.victims_total for block in blocks)
    longest = max((victim.delayed_ms for block in blocks for victim in block.victims), default=None)
    if waits and longest is not None:
        text += f"; tasks waited {plural(waits, 'time')}, for up to {duration(longest)}"
    return text + "."


def _place(place: Blocker) -> str:
    text = place.function
    if place.cause == "descheduled":
        starved = place.leaf == Starvation.BUSY or not place.leaf
        text = f"a machine too full to run {text}" if starved else f"a process {place.leaf} in {text}"
    elif place.leaf:
        text = f"{place.leaf} <- {text}"
    if place.cause in _HOW:
        text = f"{_HOW[place.cause]} {text}"
    if place.waits_for:
        text += f" {advice(place.cause, place.waits_for).label}"
    if place.where:
        text += f" ({place.where})"
    if place.spans:
        text += f' in span "{place.spans[0]}"'
    return text + "".join(f", fault {fault}" for fault in place.faults)
