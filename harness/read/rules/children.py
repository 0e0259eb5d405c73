"""Child processes that stand because nobody reads what they write, and those that nobody waits for."""

from __future__ import annotations

from collections.abc import Iterator

from ..evidence import Evidence
from ..finding import Cost, CostUnit, Finding, Level
from ..gauges import child
from ..place import blamed, function_at
from ..units import duration

ORDER = 52

# What the kernel keeps for a process that has ended: about its kernel stack and its entry.
_ZOMBIE_MEGABYTES = 0.02


def findings(evidence: Evidence) -> Iterator[Finding]:
    """Warnings for children that stood, and for zombies that became more and more; a note for a few."""
    history = evidence.history
    for stuck in child.stuck(history):
        yield _stuck(stuck, evidence)
    for zombies in child.zombies(history):
        names = ", ".join(zombies.names)
        message = (
            f"{zombies.count} {'children' if zombies.count > 1 else 'child'} of process {zombies.pid} ended "
            f"and {'were' if zombies.count > 1 else 'was'} never waited for: {names}"
        )
        yield Finding(
            "children",
            Level.WARNING if zombies.grew else Level.NOTE,
            message,
            cost=Cost(zombies.count * _ZOMBIE_MEGABYTES, CostUnit.MEGABYTES),
            next="Wait for the end of each child: await process.wait(), or communicate().",
        )


def _stuck(stuck: child.StuckChildren, evidence: Evidence) -> Finding:
    ownership = evidence.history.ownership(stuck.pid)
    who = f"child `{stuck.command}` stands"
    if stuck.count > 1:
        who = f"{stuck.count} children, the first `{stuck.command}`, stand"
    message = (
        f"{who} in a write to {'its' if stuck.count == 1 else 'their'} {stuck.pipe}, a full pipe that nobody "
        f"reads, for at least {duration(stuck.stood_s * 1000)}"
    )
    place = stuck.place
    if place is not None:
        by = f" on thread {stuck.thread}" if stuck.thread else ""
        at = function_at(place, ownership)
        message += f": {at}{by} waits for {'its' if stuck.count == 1 else 'their'} end and does not read"
    return Finding(
        "children",
        Level.WARNING,
        message,
        *blamed(place),
        cost=Cost(stuck.stood_s, CostUnit.STOOD_S),
        next="Read both pipes while the child runs, as communicate() does, or send them to a file.",
        explains=_symptoms(stuck),
    )


def _symptoms(stuck: child.StuckChildren) -> tuple[str, ...]:
    if stuck.on_loop:
        # The loop itself waits for the child.
        return "blocks", "hangs"
    # Whoever waits for the child's end does nothing else meanwhile.
    return ("growth", "tasks") if stuck.place is not None else ()
