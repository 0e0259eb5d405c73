"""The real length of late turns whose end is not in the record, because their process was killed.

The loop's page outlives its process. It has the latest late turns that ended, of which the record may lack
those of the last 100 ms, and when the turn began in which the process ended; the runner saw when that was.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ...record.event import Blocked, DelayedStep, LoopSilent, ThreadsDumped
from ...record.page import LateTurn
from ...record.value import replace
from ..history import History, Loop


def with_real_ends(turns: Iterable[Blocked], history: History) -> Iterator[Blocked]:
    """The late turns, each with its real length, and those that only the pages know."""
    loops = {(loop.started.pid, loop.started.loop): loop for loop in history.loops}
    recorded = [
        turn if turn.ended else _with_real_end(turn, loops.get((turn.pid, turn.loop))) for turn in turns
    ]
    yield from recorded
    for of, loop in loops.items():
        for late in loop.page.late if loop.page is not None else ():
            if not any((t.pid, t.loop) == of and _overlap(t, late) for t in recorded):
                yield Blocked(
                    at_ns=late.at_ns,
                    held_ns=late.held_ns,
                    ended=True,
                    pid=of[0],
                    loop=of[1],
                    samples=(),
                    victims=(),
                    victims_total=late.delayed or 0,
                )


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


def _with_real_end(turn: Blocked, loop: Loop | None) -> Blocked:
    page = loop.page if loop is not None else None
    if loop is None or page is None:
        return turn
    late = next((late for late in page.late if _overlap(turn, late)), None)
    if late is not None:
        held_ns = late.at_ns + late.held_ns - turn.at_ns
        total = turn.victims_total if late.delayed is None else max(late.delayed, turn.victims_total)
        return replace(_lengthened(turn, held_ns), ended=True, victims_total=total)
    began_ns = page.turn_ns or page.due_ns
    if not 0 < began_ns <= turn.at_ns + turn.held_ns:
        return turn
    return _lengthened(turn, loop.ended_ns - turn.at_ns)


def _lengthened(turn: Blocked, held_ns: int) -> Blocked:
    """The turn with its real length; who had waited until the last sample waited to its end."""
    further_ns = held_ns - turn.held_ns
    if further_ns <= 0:
        return replace(turn, held_ns=max(held_ns, 0)) if turn.ended else turn
    victims: tuple[DelayedStep, ...] = tuple(
        replace(victim, delayed_ns=victim.delayed_ns + further_ns) for victim in turn.victims
    )
    return replace(turn, held_ns=held_ns, victims=victims)


def _overlap(turn: Blocked, late: LateTurn) -> bool:
    return turn.at_ns < late.at_ns + late.held_ns and late.at_ns < turn.at_ns + turn.held_ns
