"""Synchronous calls on the thread of a running loop, including those too short to be a block."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Call:
    """The calls of one kind from one line in one coroutine, in all processes together."""

    call: str  # "open", "socket.connect"
    function: str  # the caller, "module:qualified.name"; "" for other places, counted together
    file: str
    line: int
    where: str  # file relative to the application's folder, and line
    caller: str  # the coroutine of the task, like *function*; "" for a plain callback
    arguments: tuple[str, ...]  # examples: paths, hosts, programs
    count: int
    total_ms: float
    max_ms: float
    allowed: bool
    reason: str  # why it is allowed
    known: bool  # in the baseline

    @property
    def new(self) -> bool:
        """Whether its place is neither allowed nor in the baseline, which is a warning."""
        return bool(self.function) and not (self.allowed or self.known)
