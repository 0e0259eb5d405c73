"""The late turns, with the real length of those whose end is not in the record: their process was killed.

The loop's page outlives its process. It has the latest late turns that ended, of which the record may lack
those of the last 100 ms, and when the turn began in which the process ended; the runner saw when that was.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ...record.event import Blocked, DelayedStep, LoopSilent, ThreadsDumped
from ...record.page import LateTurn
from ...record.value import replace
from ..history import History, Loop


def late_turns(history: History) -> tuple[Blocked, ...]:
    """The late turns that are in the record or on the pages of the loops, each once, with its real length."""
    loops = {(loop.started.pid, loop.started.loop): loop for loop in history.loops}
    turns = [
        turn if turn.ended else _with_real_end(turn, loops.get((turn.pid, turn.loop)))
        for turn in _latest(history.of(Blocked))
    ]
    for of, loop in loops.items():
        for late in loop.page.late if loop.page is not None else ():
            if not any((t.pid, t.loop) == of and _overlap(t, late) for t in turns):
                turns.append(_only_on_page(of, late))
    return tuple(turns)


def last_turn_ns(loop: Loop, history: History) -> int:
    """How long a late turn had lasted when its process ended or the record was read; 0 for none.

    The page alone is no proof of a turn, because a healthy loop notes only now and then that it runs. The
    watchdog has seen the turn; or it could not run, and the runner saw that the loop was late and that its
    thread did not wait for events.
    """
    page = loop.page
    if page is None or not (began_ns := page.turn_ns or page.due_ns):
        return 0
    is_seen = page.looked_ns >= began_ns or _is_seen_outside(loop, history)
    return max(0, loop.ended_ns - began_ns) if is_seen else 0


def silences(loop: Loop, history: History) -> list[LoopSilent]:
    """The looks from outside at the thread of a loop in its last turn."""
    return [look for look in history.of(LoopSilent) if _is_in_last_turn(look, loop)]


def _is_seen_outside(loop: Loop, history: History) -> bool:
    if looks := silences(loop, history):
        return not any("poll" in look.waits_in or "select" in look.waits_in for look in looks)
    return any(_is_in_last_turn(dump, loop) for dump in history.of(ThreadsDumped))


def _is_in_last_turn(look: LoopSilent | ThreadsDumped, loop: Loop) -> bool:
    page = loop.page
    began_ns = page.turn_ns or page.due_ns if page is not None else 0
    of = loop.started.pid, loop.started.loop
    return (look.pid, look.loop) == of and look.at_ns >= began_ns > 0


def _latest(turns: list[Blocked]) -> Iterator[Blocked]:
    """One event per turn: the one written when the turn ended, else the provisional one."""
    by_turn: dict[tuple[int, int, int], Blocked] = {}
    for turn in turns:
        key = (turn.pid, turn.loop, turn.at_ns)
        known = by_turn.get(key)
        if known is None or (turn.ended, turn.held_ns) >= (known.ended, known.held_ns):
            by_turn[key] = turn
    yield from (turn for turn in by_turn.values() if turn.ended or not _is_covered(turn, by_turn.values()))


def _is_covered(provisional: Blocked, turns: Iterable[Blocked]) -> bool:
    """Whether a turn that ended covers the same time.

    A loop that lost the processor between two turns looks from outside as if the first one had gone on.
    """
    began_ns, over_ns = provisional.at_ns, provisional.at_ns + provisional.held_ns
    return any(
        turn.ended
        and (turn.pid, turn.loop) == (provisional.pid, provisional.loop)
        and turn.at_ns < over_ns
        and began_ns < turn.at_ns + turn.held_ns
        for turn in turns
    )


def _only_on_page(of: tuple[int, int], late: LateTurn) -> Blocked:
    return Blocked(
        at_ns=late.at_ns,
        held_ns=late.held_ns,
        ended=True,
        pid=of[0],
        loop=of[1],
        samples=(),
        victims=(),
        victims_total=late.delayed or 0,
    )


def _with_real_end(turn: Blocked, loop: Loop | None) -> Blocked:
    page = loop.page if loop is not None else None
    if loop is None or page is None:
        return turn
    late = next((late for late in page.late if _overlap(turn, late)), None)
    if late is not None:
        total = turn.victims_total if late.delayed is None else max(late.delayed, turn.victims_total)
        turn = _lengthened(turn, late.at_ns + late.held_ns - turn.at_ns)
        return replace(turn, at_ns=late.at_ns, held_ns=late.held_ns, ended=True, victims_total=total)
    began_ns = page.turn_ns or page.due_ns
    if not 0 < began_ns <= turn.at_ns + turn.held_ns:
        return turn
    return _lengthened(turn, loop.ended_ns - turn.at_ns)


def _lengthened(turn: Blocked, held_ns: int) -> Blocked:
    """The turn with its real length; who had waited until the last sample waited to its end."""
    further_ns = held_ns - turn.held_ns
    if further_ns <= 0:
        return turn
    victims: tuple[DelayedStep, ...] = tuple(
        replace(victim, delayed_ns=victim.delayed_ns + further_ns) for victim in turn.victims
    )
    return replace(turn, held_ns=held_ns, victims=victims)


def _overlap(turn: Blocked, late: LateTurn) -> bool:
    return turn.at_ns < late.at_ns + late.held_ns and late.at_ns < turn.at_ns + turn.held_ns
