"""A block: a length of time for which a loop was held, and the frame to blame for it."""

from __future__ import annotations

from dataclasses import dataclass, field

from ...record.event import Frame
from ...stacks.cause import Cause
from ...stacks.diagnosis import Culprit
from ...stacks.wait_kind import WaitKind


@dataclass(frozen=True, slots=True)
class BlockVictim:
    """A task or callback that was due and had to wait."""

    task: str
    span: str
    trace_id: str
    delayed_ms: float
    at_most: bool  # it waited for a file or socket, which became ready at an unknown time during the block


@dataclass(frozen=True, slots=True)
class Block:
    """A length of time for which a loop was held, and the frame to blame."""

    at_s: float
    held_ms: float
    count: int  # always 1: repeated blocks are grouped in `blockers`
    cause: Cause
    waits_for: WaitKind  # in a call; "" for the other causes
    hint: str  # what usually helps, in one sentence
    help: str  # where the guide says more
    function: str
    file: str
    line: int
    where: str  # file and line below the application's folder, for people
    leaf: str  # the library call that was going on, or "import NAME"; "" for none
    library: str  # the frame of an installed package that was called, with its place; "" for none
    task: str
    coroutine: str
    awaited_by: tuple[str, ...]  # the tasks that await this one, the nearest first
    created: tuple[Frame, ...]  # where the task's coroutine was made, if that was kept; innermost last
    span: str
    trace_id: str
    span_id: str
    labels: dict[str, str]
    stack: tuple[Frame, ...] = field(repr=False)
    own: tuple[int, ...] = field(repr=False)  # which frames of the stack are the program's own code
    samples: int
    culprits: tuple[Culprit, ...] = field(repr=False)
    victims: tuple[BlockVictim, ...] = field(repr=False)
    victims_total: int
    fault: str | None
    ended: bool  # false: the process ended inside this block; *held_ms* is a lower bound
    pid: int
    loop: int
    span_path: tuple[str, ...] = ()  # the enclosing spans and the span itself, outermost first
