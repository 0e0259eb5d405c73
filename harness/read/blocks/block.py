"""A block: an interval in which a loop was held, and the frame to blame for it."""

from __future__ import annotations

from dataclasses import dataclass, field

from ...record.event import Frame
from ...stacks.cause import Cause
from ...stacks.diagnosis import Culprit
from ...stacks.wait_kind import WaitKind


@dataclass(frozen=True, slots=True)
class BlockVictim:
    """A task or callback that was due during a block and had to wait."""

    task: str
    span: str
    trace_id: str
    delayed_ms: float
    at_most: bool  # an upper bound: its file or socket became ready at an unknown time within the block


@dataclass(frozen=True, slots=True)
class Block:
    """One interval in which a loop was held, and the frame to blame."""

    at_s: float
    held_ms: float
    count: int  # always 1: repeated blocks are grouped in `blockers`
    cause: Cause
    waits_for: WaitKind  # in a call; "" for the other causes
    hint: str  # what usually helps, one sentence
    help: str  # the section of the guide
    function: str
    file: str
    line: int
    where: str  # file relative to the application's folder, and line
    leaf: str  # the library call in progress, or "import NAME", and whose first use began it; "" for none
    library: str  # the innermost frame of an installed package, with its place; "" for none
    task: str
    coroutine: str
    awaited_by: tuple[str, ...]  # the chain of tasks that wait for this one, nearest first
    created: tuple[Frame, ...]  # where the task's coroutine was created, if recorded; innermost last
    span: str
    trace_id: str
    span_id: str
    labels: dict[str, str]
    stack: tuple[Frame, ...] = field(repr=False)
    own: tuple[int, ...] = field(repr=False)  # indices of the frames that are the program's own code
    samples: int
    culprits: tuple[Culprit, ...] = field(repr=False)
    victims: tuple[BlockVictim, ...] = field(repr=False)
    victims_total: int
    fault: str | None
    ended: bool  # false: the process ended inside this block, and `held_ms` is a lower bound
    pid: int
    loop: int
    gc_ms: float = 0.0  # the part of `held_ms` that was garbage collection, whatever the cause
    span_path: tuple[str, ...] = ()  # the names of the enclosing spans and the span, outermost first
