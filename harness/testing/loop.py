"""Assertions about the event loop, for test suites of any framework."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ..read.blocks.advice import advice
from ..read.blocks.block import Block
from ..read.units import duration, percent, plural
from ..record.event import Frame
from ..stacks.ownership import CodeOwnership
from ..stacks.turn_stack import TurnStack
from ..watching import Watch, watch_loop

# Half of what people perceive as instant, and still far above a healthy turn on a shared build machine.
LIMIT_MS = 50.0

# In a suite, garbage collection hits whichever test is running and traverses the heap of all tests; a busy
# machine hits any test. Neither can be fixed in the code under test.
NOBODYS_FAULT = ("gc", "descheduled")

# How much a message shows: the longest blocks, and for each the innermost frames and the longest waits.
BLOCKS = 5
FRAMES = 8
VICTIMS = 5


class LoopBlockedError(AssertionError):
    """An event loop was blocked for longer than the limit; the message is that of `explain`."""

    def __init__(self, blocks: tuple[Block, ...], limit_ms: float) -> None:
        super().__init__(explain(blocks, limit_ms))
        self.blocks = blocks


@contextmanager
def no_blocks(limit_ms: float = LIMIT_MS) -> Iterator[Watch]:
    """Fail if a turn of an event loop takes longer than the limit inside the ``with`` block.

    The same loops are watched as by `watch_loop`. Pauses of the garbage collector do not count, nor do turns
    in which the process got no CPU. Another exception from the block is raised as it is, with the loop's
    blocks as a note.

    Raises:
        LoopBlockedError: A loop was blocked.
        RuntimeError: No loop was blocked as far as is known, but a part of the watch has failed.
        ValueError: *limit_ms* is out of range.
    """
    watch = watch_loop(limit_ms, only_blocks=True)
    try:
        with watch:
            yield watch
    except Exception as exc:
        if held := counted(watch):
            exc.add_note(explain(held, limit_ms))
        raise
    if held := counted(watch):
        raise LoopBlockedError(held, limit_ms)
    if watch.failed:
        raise RuntimeError(f"blocks may be missing: {', '.join(watch.failed)} failed, as the log says")


def explain(blocks: Sequence[Block], limit_ms: float) -> str:
    """Describe each block, longest first: what held the loop, where, how long, in which task; and victims."""
    longest = sorted(blocks, key=lambda block: block.held_ms, reverse=True)
    parts = ["\n".join(_lines(block, limit_ms)) for block in longest[:BLOCKS]]
    if len(blocks) > BLOCKS:
        parts.append(f"and {plural(len(blocks) - BLOCKS, 'more block')}")
    return "\n\n".join(parts)


def counted(watch: Watch) -> tuple[Block, ...]:
    """The blocks that the code under test is to blame for."""
    return tuple(block for block in watch.blocks if _is_the_codes(block, watch.limit_ms))


def _is_the_codes(block: Block, limit_ms: float) -> bool:
    """Whether the code under test held the loop, also without the garbage collection in that time."""
    return block.cause not in NOBODYS_FAULT and block.held_ms - block.gc_ms >= limit_ms


def _lines(block: Block, limit_ms: float) -> Iterator[str]:
    about = advice(block.cause)
    call = f" ({block.leaf})" if block.leaf else ""
    held = f"held the event loop for {duration(block.held_ms)} (limit {duration(limit_ms)})"
    yield f"{block.function} {held}: {about.label}{call}"
    if block.file:
        yield f"    at {place(block.file, block.line)}"
    if block.task or block.coroutine:
        coroutine = f", coroutine {block.coroutine}" if block.coroutine else ""
        span = f", span {block.span}, trace {block.trace_id}" if block.span else ""
        yield f"    in task {block.task}{coroutine}{span}"
    own = {block.stack[index] for index in block.own}
    turn = TurnStack(block.stack, CodeOwnership()).frames
    for frame in [frame for frame in turn if frame in own][-FRAMES:]:
        yield f"    through {_frame(frame)}"
    for culprit in block.culprits:
        innermost = f" in {_frame(culprit.stack[-1])}" if culprit.stack else ""
        yield f"    {percent(culprit.share)} of it{innermost}, thread {culprit.thread}"
    for victim in block.victims[:VICTIMS]:
        span = f", span {victim.span}, trace {victim.trace_id}" if victim.span else ""
        yield f"    delayed {victim.task} by {duration(victim.delayed_ms)}{span}"
    if (more := block.victims_total - len(block.victims[:VICTIMS])) > 0:
        yield f"    delayed {more:,} more"
    yield f"    {about.remedy}"


def _frame(frame: Frame) -> str:
    return f"{frame.function} at {place(frame.file, frame.line)}"


def place(file: str, line: int) -> str:
    """File and line below the working directory, as test runners name places."""
    return f"{file.removeprefix(f'{Path.cwd()}/')}:{line}"
