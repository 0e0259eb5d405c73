"""A block: one stretch of time for which a loop was held, and the frame to blame for it."""

from __future__ import annotations

from dataclasses import dataclass, field

from ...record.event import Frame


@dataclass(frozen=True, slots=True)
class Culprit:
    """Somebody who had a share in a block that has no single frame to blame."""

    thread: str
    share: float
    stack: tuple[Frame, ...] = field(repr=False)
    queued: int = 0  # of many short callbacks: how many such were ready at the first look, about


@dataclass(frozen=True, slots=True)
class BlockVictim:
    """Somebody who was due and had to wait."""

    task: str
    span: str
    trace_id: str
    delayed_ms: float
    at_most: bool  # by a file or socket, which became ready at some time of the block


@dataclass(frozen=True, slots=True)
class Block:
    """One stretch of time for which a loop was held, and the frame to blame."""

    at_s: float
    held_ms: float
    count: int  # always 1: repeated blocks are grouped in `blockers`
    cause: str
    waits_for: str  # in a call: "sleep", "socket", "file", "dns", "subprocess", "lock", "queue" or "future"
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
    awaited_by: tuple[str, ...]  # the tasks that wait for this one, the next one first
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
    ended: bool  # false: the process ended inside this block, it held the loop at least so long
    pid: int
    loop: int
    span_path: tuple[str, ...] = ()  # the span below those around it, the outermost first
