"""What each cause of a block means, and what usually helps."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Advice:
    """One cause in words."""

    label: str  # two or three words
    meaning: str
    remedy: str


CAUSES = {
    "call": Advice(
        "waiting in a call",
        "The loop's thread was off the processor, inside a call that waits.",
        "Use the asynchronous form of the call, or give it a thread: await asyncio.to_thread(...).",
    ),
    "cpu": Advice(
        "computing",
        "The loop's thread was on the processor the whole time.",
        "Do less at once, or move the work to a process; a thread helps only where the GIL is released.",
    ),
    "gil": Advice(
        "the GIL was held",
        "Another thread held the GIL, and the loop's thread could not run.",
        "Move that thread's work to a process, or to code that releases the GIL.",
    ),
    "gc": Advice(
        "garbage collection",
        "The collector stopped the loop.",
        "Call gc.freeze() after start, keep fewer long-lived containers, or collect at quiet moments.",
    ),
    "import": Advice(
        "an import",
        "A module was loaded while the loop waited for it.",
        "Import it when the program starts.",
    ),
    "many": Advice(
        "many short callbacks",
        "No single step was long, but the loop ran so many in one turn that everything else waited.",
        "Start fewer at once (a semaphore, a bounded queue), or do their work in larger pieces elsewhere.",
    ),
    "descheduled": Advice(
        "no processor",
        "The thread could run, but the machine gave it no processor. The line is only where it stood.",
        "Not this code's fault: give the process more CPU, and measure on a quieter machine.",
    ),
}


def advice(cause: str) -> Advice:
    """The words for *cause*; its own name for one that this version does not know."""
    return CAUSES.get(cause, Advice(cause, "", ""))
