"""The process as commands see it. All of it may be called from any thread, while the loop is blocked."""

from __future__ import annotations

import threading
from asyncio import AbstractEventLoop
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from ...record.observation import Blocked, SpanEnded
from ...record.run import RunFolder

if TYPE_CHECKING:
    from ...probe.loop.turns import Turns
    from ...record.event import Event
    from .blame import Territory
    from .temporary_changes import TemporaryChanges

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class LoopView:
    """One loop that runs now."""

    number: int
    loop: AbstractEventLoop
    thread_ident: int
    native_thread_id: int
    words: memoryview  # its page of counters (`record/page.py`), brought up to date
    turns: Turns = field(repr=False)  # for a profiler; what commands read is in *words*


@dataclass(frozen=True, slots=True)
class Holding:
    """A loop that is late, and where its thread stands."""

    since_ns: int
    file: str  # of the frame to blame: the innermost of the program's own code, else the innermost
    line: int
    function: str

    def __str__(self) -> str:
        return f"{self.function} ({self.file}:{self.line})"


class Recent(Protocol):
    """The latest of what the probe wrote into the record, bounded; the oldest goes first."""

    def blocks(self) -> Sequence[Blocked]:
        """Oldest first, one for each block: the finished one where there are both."""
        ...

    def spans(self) -> Sequence[SpanEnded]: ...

    def in_flight(self) -> Sequence[Any]:
        """The OpenTelemetry spans that have begun and not ended."""
        ...

    def events(self) -> Sequence[Event]:
        """All the others: what the task watch found, faults, artefacts."""
        ...


class Target(Protocol):
    """The process with the probe inside."""

    @property
    def folder(self) -> RunFolder | None: ...

    @property
    def recent(self) -> Recent: ...

    @property
    def territory(self) -> Territory:
        """Whose code a file is, and so which frame to name."""
        ...

    @property
    def allowed(self) -> frozenset[str]:
        """Those of `PERMISSIONS` that this console has."""
        ...

    @property
    def limits(self) -> TemporaryChanges:
        """What is in force for a limited time, of all clients."""
        ...

    def dropped(self) -> Mapping[str, int]:
        """How much of what could not be kept: ``{"events": 0, "spans": 3}``."""
        ...

    def loops(self) -> Sequence[LoopView]: ...

    def holding(self, view: LoopView) -> Holding | None:
        """What holds the loop up now; `None` while it is on time."""
        ...

    def on_loop(self, view: LoopView, step: Callable[[], T], *, within_s: float = 1.0) -> T:
        """Run *step* on the loop's own thread, between two of its callbacks.

        What it raises is raised here.

        Raises:
            CommandError: The loop did not come to it in time; the message names what holds it. *step* is then
                not run later either.
        """
        ...

    def write(self, event: Event) -> bool:
        """Put an event into the record."""
        ...

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """What the runner can ask of the probe as well: ``{"do": "inject", ...}``, ``{"do": "heal", ...}``.

        Raises:
            CommandError: There is no such service in this process, or it said no.
        """
        ...

    def ignore(self, thread: threading.Thread) -> None:
        """A loop that runs in *thread* is the console's own, not the program's."""
        ...

    def run_beside(self, work: Callable[[], object]) -> None:
        """Run *work* in a thread of the console's own, which outlives the client; its CPU time is counted."""
        ...

    def wait_closed(self, *, within_s: float) -> bool:
        """Wait for at most so long; true as soon as the console closes. For what runs beside."""
        ...
