"""Synchronous calls on the thread of a running loop: small ones that no clock calls a block, counted."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Call:
    """The calls of one kind that one line made in one kind of task, in all processes together."""

    call: str  # "open", "socket.connect"
    function: str  # "module:qualified.name"; "" for further places that were not told apart
    file: str
    line: int
    where: str  # file and line below the application's folder, for people
    caller: str  # the coroutine of the task, as *function*; "" for a plain callback
    arguments: tuple[str, ...]  # some of those it was called with: paths, hosts, programs
    count: int
    total_ms: float
    max_ms: float
    allowed: bool
    reason: str  # why it is allowed, by its rule
    known: bool  # the baseline has it

    @property
    def new(self) -> bool:
        """Whether it has a place that is neither allowed nor known, and so is worth a warning."""
        return bool(self.function) and not (self.allowed or self.known)
