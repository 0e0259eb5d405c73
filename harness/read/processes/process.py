"""The processes of the run: which were watched, and why the others were not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from ..history import History
from ..units import plural, seconds
from .program import Program, has_ended, programs
from .reason import reason

# A command is quoted up to this length.
LETTERS = 60


@dataclass(frozen=True, slots=True)
class WatchedLoop:
    """A loop of a process."""

    kind: str  # "asyncio.unix_events._UnixSelectorEventLoop"
    implementation: str  # "asyncio", "uvloop": the package that it comes from
    mechanism: str  # as in `LoopStarted`: "unseen" if its turns could not be timed


@dataclass(frozen=True, slots=True)
class ProcessFigures:
    """One process, or each program with a loop of one that called `exec`."""

    pid: int
    parent: int | None  # null if it was too short to be seen from outside
    command: tuple[str, ...]
    watched: bool  # a loop in it was timed
    why_not: str | None
    loops: tuple[WatchedLoop, ...]
    exit: int | None  # negative for a signal; null if unknown, or if it still runs
    entered_by: (
        str | None
    )  # how the probe came in: "sitecustomize", "usercustomize", "pth", "attach"; null if it did not
    python: str | None  # "3.12.1", or as far as it is known; null for no Python
    started_s: float
    ended_s: float | None
    outlived: bool  # it still ran when the run ended
    may_have_looped: bool  # an event loop may have run in it, of which nothing is known
    remedy: str  # what to do to have it watched

    @property
    def name(self) -> str:
        """``python -I worker.py (process 4711)``."""
        program, *arguments = self.command or ("",)
        text = " ".join((PurePath(program).name, *arguments))
        if len(text) > LETTERS:
            text = f"{text[: LETTERS - 1]}…"
        return f"`{text}` (process {self.pid})" if text else f"process {self.pid}"


def processes(history: History) -> tuple[ProcessFigures, ...]:
    """Every process of the run that is known, in the order of their start."""
    return tuple(_figures(history, program) for program in programs(history))


def not_watched(of: Sequence[ProcessFigures]) -> str:
    """One sentence on the processes whose loops are unknown, "" if there are none.

    ``2 of 5 processes were not watched: `python -I worker.py` (process 4711): it was started with -I ...``
    """
    lost = [process for process in of if process.may_have_looped]
    if not lost:
        return ""
    verb = "was" if len(lost) == 1 else "were"
    return f"{len(lost)} of {count(len(of))} {verb} not watched: {explained(lost)}"


def count(number: int) -> str:
    """``1 process``, ``5 processes``."""
    return f"{number:,} process" if number == 1 else f"{number:,} processes"


def explained(lost: Sequence[ProcessFigures]) -> str:
    """The processes by their reasons, the most frequent reason first, with what to do about it."""
    by_reason: dict[str, list[ProcessFigures]] = {}
    for process in lost:
        by_reason.setdefault(process.why_not or "", []).append(process)
    parts = []
    for why, those in sorted(by_reason.items(), key=lambda item: -len(item[1]))[:2]:
        more = f" and {len(those) - 1} more" if len(those) > 1 else ""
        remedy = f" ({those[0].remedy})" if those[0].remedy else ""
        parts.append(f"{those[0].name}{more}: {why}{remedy}")
    if len(by_reason) > 2:
        parts.append(f"{plural(len(by_reason) - 2, 'further reason')}")
    return "; ".join(parts)


def why_none(of: Iterable[ProcessFigures]) -> str:
    """Why no loop at all was watched; "" if one was."""
    known = list(of)
    if any(process.watched for process in known):
        return ""
    if lost := [process for process in known if process.may_have_looped]:
        return f"no process was watched: {explained(lost)}"
    entered = [process for process in known if process.entered_by is not None]
    pythons = [process for process in known if process.python is not None and process.entered_by is None]
    if entered and not pythons:
        return "the probe detected no event loop in the program"
    if pythons:
        return f"no process was watched: {explained(pythons)}"
    return f"no process was watched: {explained(known)}" if known else "the probe never entered the program"


def _figures(history: History, program: Program) -> ProcessFigures:
    why = reason(program)
    entered = program.fact("entered")
    python = program.fact("python")
    if not python and (known := program.opened or program.examined) is not None:
        python = [known.python]
    outlived = not has_ended(history, program)
    text = why.text if why is not None else None
    may_have_looped = why is not None and why.may_have_looped
    if why is not None and outlived and program.is_entered and not program.loops:
        text, may_have_looped = "no event loop had begun in it", True
    return ProcessFigures(
        pid=program.pid,
        parent=program.parent,
        command=program.command,
        watched=why is None,
        why_not=f"{text}; it outlived the run" if outlived and text else text,
        loops=tuple(
            WatchedLoop(loop.started.kind, loop.started.kind.partition(".")[0], loop.started.mechanism)
            for loop in program.loops
        ),
        exit=program.gone.status if program.gone else None,
        entered_by=entered[-1] if entered else "sitecustomize" if program.is_entered else None,
        python=python[-1] if python else None,
        started_s=seconds(history.since_start_ns(max(program.since_ns, history.run.started_ns))),
        ended_s=seconds(history.since_start_ns(program.until_ns)) if program.until_ns else None,
        outlived=outlived,
        may_have_looped=may_have_looped,
        remedy=why.remedy if why is not None else "",
    )
