"""The verdict: the whole run in one sentence of plain text."""

from __future__ import annotations

from collections.abc import Sequence

from ...record.event import describe_status
from ...stacks.starvation import Starvation
from ..blocks.advice import advice
from ..blocks.block import Block
from ..blocks.blocker import Blocker, is_at
from ..evidence import Evidence
from ..figures.lasting_thread import lasting_threads
from ..figures.target import crash, hung, unwatched
from ..finding import Finding
from ..history import History
from ..place import function_at
from ..processes.process import not_watched
from ..units import duration, ms, percent, plural
from .expectation import ExpectationResult
from .outcome import OutcomeName, RunOutcome
from .rulebook import gravest

# Garbage collection that took less of a block than this is not mentioned.
MENTIONED = 0.1
# Where the frame alone would mislead, because other code took the time.
_HOW = {"gil": "another thread held the GIL in", "many": "many short callbacks ran, most of the time"}

# A block that is not over after this time when its process or the record ends is likely to last for ever.
NEVER_RETURNED_MS = 1_000.0

# A loop that ran for less than this share of the run leaves time that is not the loop's.
MOST_OF_IT = 0.8


def sentence(
    evidence: Evidence,
    outcome: RunOutcome,
    findings: Sequence[Finding],
    judged: Sequence[ExpectationResult] = (),
) -> str:
    """The gravest trouble, preceded by what failed or by any doubt about the measurement.

    The findings are in the order of the report.
    """
    unseen = unwatched(evidence.history)
    # A condition has the reason in short: see `unmeasured.py`.
    short = unseen.partition(": ")[0]
    if unseen and outcome.name == OutcomeName.INVALID and short in outcome.reason:
        reason = outcome.reason if unseen in outcome.reason else outcome.reason.replace(short, unseen)
        return f"Invalid measurement: {reason}."
    before, happened = _caveat(evidence.history, outcome), _happened(evidence, gravest(findings))
    if before:
        return f"{before}: {happened}"
    # Where nothing was watched, the sentence itself says so.
    lost = "" if unseen else not_watched(evidence.processes)
    happened = f"{lost}. {happened}" if lost else happened
    return f"{_failure(judged)} {happened}" if outcome.name == OutcomeName.FAILED else happened


def _failure(judged: Sequence[ExpectationResult]) -> str:
    """``Failed: blocks.count is 0, expected >= 1, and 1 more expectation.``"""
    missed = [one for one in judged if not one.passed]
    text = f"Failed: {missed[0].sentence}" if missed else "Failed"
    return f"{text}, and {plural(len(missed) - 1, 'more expectation')}." if len(missed) > 1 else f"{text}."


def _caveat(history: History, outcome: RunOutcome) -> str:
    match outcome.name:
        case OutcomeName.CRASHED if (end := hung(history)) is not None:
            limit_s = end.limit_ns / 1e9
            return f"The target was ended by {end.signal}, its loop not having come back for {limit_s:g} s"
        case OutcomeName.CRASHED if (crashed := crash(history)) is not None:
            return f"The target died on its own {describe_status(crashed.status)}"
        case OutcomeName.CRASHED:
            return f"No measurement ({outcome.reason})"
        case OutcomeName.ABORTED:
            return f"Partial record ({outcome.reason})"
        case OutcomeName.INVALID:
            return f"Invalid measurement ({outcome.reason})"
    return ""


def _happened(evidence: Evidence, worst: Finding | None) -> str:
    if worst is None or worst.rule == "blocks":
        return _happened_to_the_loop(evidence)
    message = f"{worst.message[0].upper()}{worst.message[1:]}."
    if evidence.blocks:
        return f"{message} Besides, the loop was blocked {_how_much(evidence)}."
    return message


def _happened_to_the_loop(evidence: Evidence) -> str:
    history, loop = evidence.history, evidence.loop
    if evidence.blocks:
        return _blocked(evidence)
    if reason := unwatched(history):
        return f"{reason[0].upper()}{reason[1:]}, so no loop was measured."
    limit = duration(ms(history.run.block_limit_ns))
    if loop.blocked_turns:
        turns = plural(loop.blocked_turns, "turn")
        return f"Loop blocked by {turns} of up to {duration(loop.lag_ms.max)}; no details were recorded."
    ran = f"{loop.ran_s or 0.0:.1f} s"
    lag = f"p99 lag {duration(loop.lag_ms.p99)} over {ran}"
    if loop.untimed:
        lag = f"the loop was watched for {ran}; its lag cannot be measured under {loop.untimed}"
    lasting = next(iter(lasting_threads(history)), None)
    if lasting is not None:
        lag += f"; then {lasting.who} kept the process running for {duration(lasting.after_ms)}"
        if lasting.is_placed:
            frame, ownership = lasting.frame, history.ownership(lasting.pid)
            lag += f" in {function_at(frame, ownership)}"
    return f"No block: no turn of the loop took longer than {limit}; {lag}."


def _blocked(evidence: Evidence) -> str:
    blocks, places, total_ms = evidence.blocks, evidence.blockers, evidence.held_ms
    # However long a busy machine did not run the program, what the program itself does comes first.
    worst = next((place for place in places if place.cause != "descheduled"), places[0])
    text = f"Loop blocked {_how_much(evidence)}"
    # A loop that never came back is the graver trouble, however long others have held it before.
    # Its last turn may have several.
    last = max((block for block in blocks if not block.ended), key=_held_ms, default=None)
    if last is not None and last.held_ms >= NEVER_RETURNED_MS and not is_at(last, worst):
        place = next(place for place in places if is_at(last, place))
        happened = _what_happened(place)
        happened = f", {happened}" if happened.startswith("in ") else f": {happened}"
        text = f"Loop held to the end, for {duration(last.held_ms)}{happened}; blocked {_how_much(evidence)}"
        return f"{text}, the longest time {_what_happened(worst)}."
    happened = _what_happened(worst)
    if len(places) > 1:
        text += f", {worst.total_ms / total_ms * 100:.0f} % of the time {happened}"
    elif len(blocks) > 1:
        text += f", each time {happened}"
    else:
        text += f" {happened}" if happened.startswith("in ") else f": {happened}"
    waits = sum(block.victims_total for block in blocks)
    longest = max((victim.delayed_ms for block in blocks for victim in block.victims), default=None)
    if waits and longest is not None:
        text += f"; tasks waited {plural(waits, 'time')}, for up to {duration(longest)}"
    return text + "."


def _held_ms(block: Block) -> float:
    return block.held_ms


def _how_much(evidence: Evidence) -> str:
    """``13 % of the run: 4 blocks``"""
    ran_ms = (evidence.loop.ran_s or evidence.duration_s) * 1000
    share = percent(min(1.0, evidence.held_ms / ran_ms))
    return f"{share} of {_whole(evidence)}: {plural(len(evidence.blocks), 'block')}"


def _whole(evidence: Evidence) -> str:
    """What a share of the loops' time is a share of."""
    if (loops := evidence.loop.loops) > 1:
        return f"the time its {loops} loops ran"
    most_s = MOST_OF_IT * evidence.duration_s
    return "the run" if (evidence.loop.ran_s or 0.0) > most_s else "the time it ran"


def _what_happened(place: Blocker) -> str:
    """``main slept (prog.py:5)``, or ``in main (prog.py:5)`` without a known verb."""
    text = place.title
    if place.cause == "descheduled" and place.leaf not in ("", Starvation.BUSY):
        text = f"the process was {place.leaf} in {place.function}"
    elif place.cause == "descheduled":
        text = f"the machine was too busy to run {place.function}"
    elif place.cause == "gc":
        text = f"a {place.leaf or 'garbage collection'} ran{_of_which(place)} in {place.function}"
    elif place.cause == "unknown":
        text = f"for an unknown reason in {place.function}"
    elif place.cause in _HOW:
        text = f"{_HOW[place.cause]} {text}"
    elif place.waits_for:
        text += f" {advice(place.cause, place.waits_for).past}"
    else:
        text = f"in {text}"
    if place.where:
        text += f" ({place.where})"
    if place.cause != "gc" and (collected := _of_which(place)):
        text += f", of which{collected} garbage collection"
    if place.spans:
        text += f' in span "{place.spans[0]}"'
    return text + "".join(f", fault {fault}" for fault in place.faults)


def _of_which(place: Blocker) -> str:
    """The share of garbage collection, `` 48 %``, if it mattered; else ""."""
    share = place.gc_ms / place.total_ms if place.total_ms else 0.0
    return f" {percent(share)}" if share >= MENTIONED else ""
