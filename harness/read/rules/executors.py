"""Calls that stood behind a full pool of threads, while the loop had nothing to do."""

from __future__ import annotations

from collections.abc import Iterator

from ...stacks.ownership import CodeOwnership
from ..evidence import Evidence
from ..finding import Cost, CostUnit, Finding, Level
from ..place import blamed, line_of
from ..pools import standing as pools
from ..pools.standing import PoolStanding, WhyStanding
from ..units import duration, plural

ORDER = 75

# Functions of the calls that are named.
NAMED = 3


def findings(evidence: Evidence) -> Iterator[Finding]:
    """A warning where calls stood behind the work of others, a note on a queue that the program filled."""
    history = evidence.history
    for standing in pools.standing(history):
        ownership = history.ownership(standing.pid)
        if standing.why is not WhyStanding.QUEUE:
            yield Finding(
                "executors",
                Level.WARNING,
                f"{_calls(standing)} {_behind(standing, ownership)}{_given_up(standing)}",
                *blamed(standing),
                cost=Cost(standing.stood_s, CostUnit.STOOD_S),
                next=_next(standing),
                # Who awaits such a call keeps its lock and empties no queue, and more and more tasks wait.
                explains=("load", "standstills", "growth", "tasks"),
            )
        elif standing.waited_ms >= pools.NOTED_S * 1000:
            message = (
                f"{_calls(standing)} waited up to {duration(standing.waited_ms)} in the queue of "
                f"{standing.pool}, which the program has filled with the same work"
            )
            yield Finding("executors", Level.NOTE, message, *blamed(standing))


def _calls(standing: PoolStanding) -> str:
    names = list(standing.functions[:NAMED])
    if more := len(standing.functions) - len(names):
        names.append(f"{more} more")
    return plural(standing.calls, "call") + (f" ({', '.join(names)})" if names else "")


def _behind(standing: PoolStanding, ownership: CodeOwnership) -> str:
    inside = f"{standing.work}, in " if standing.work != standing.function else ""
    work = f"{inside}{standing.function} ({line_of(standing, ownership)})"
    stood = f"stood up to {duration(standing.waited_ms)}"
    if standing.circle is not None and standing.why is WhyStanding.CIRCLE:
        needed = standing.circle
        return (
            f"{stood} in a circle: {_threads(standing)} wait in {work} for {needed.name} "
            f"({line_of(needed, ownership)}) of the loop, which itself waits for one of them"
        )
    stood += f" behind {work}"
    return f"{stood}: {_threads(standing)} {'was' if standing.threads == 1 else 'were'} at work in it"


def _threads(standing: PoolStanding) -> str:
    if standing.kind == "thread":
        return f"{standing.pool}, which serves one call at a time,"
    if standing.threads == 1:
        return f"the only thread of {standing.pool}"
    if standing.working >= standing.threads:
        return f"all {standing.threads} threads of {standing.pool}"
    return f"{standing.working} of {standing.threads} threads of {standing.pool}"


def _given_up(standing: PoolStanding) -> str:
    if not standing.given_up:
        return ""
    return f"; {plural(standing.given_up, 'call')} {'was' if standing.given_up == 1 else 'were'} given up"


def _next(standing: PoolStanding) -> str:
    work = standing.work
    if standing.why is WhyStanding.CIRCLE:
        return f"Do not wait in {work} for the loop, or run what it waits for in another executor."
    if standing.kind == "thread":
        return f"Bound the time of {work}, or serve the calls by several threads or connections."
    if standing.why is WhyStanding.SAME:
        return f"Give {work} a time limit, and bound the number of calls that may wait for it."
    own = "a limiter" if standing.kind == "limiter" else "an executor"
    return f"Give {work} {own} of its own, so that no other call waits for its threads."
