"""The calls that every part of the probe can receive; `session.py` makes them, and guards each."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Mapping
    from typing import Any

    from ..record.event import Event
    from .loop.turns import Turns


class Feature:
    """A part of the probe: a subclass overrides the calls that it needs; the others do nothing.

    Calls that begin something reach the features in the order in which they were opened, calls that end
    something in the reverse order. An exception from a call is recorded as `ProbeFailed` and goes no further.
    """

    name = ""  # of the part, in `ProbeFailed`

    def loop_begins(self, loop: AbstractEventLoop) -> None:
        """Called when *loop* is about to run in this thread; its turns are not timed yet."""

    def turns_begin(self, turns: Turns, number: int) -> None:
        """Called after `loop_begins`, on the same thread: the turns of loop *number* are timed from here on.

        A loop may begin twice without stopping in between.
        """

    def turns_end(self, turns: Turns) -> None:
        """Called when the loop of this thread has stopped, before the timing of its turns ends."""

    def loop_stopped(self) -> None:
        """Called after `turns_end`, on the same thread: the turns are no longer timed."""

    def span_began(self, span: Any) -> None:
        """Called when an OpenTelemetry span begins, in its own task."""

    def span_ended(self, span: Any) -> None:
        """Called when an OpenTelemetry span ends, with a copy of the object that began."""

    def take(self, event: Event) -> None:
        """Called with each event that is written to the record; in any thread, and from finalizers."""

    def leave(self) -> None:
        """Called when the process is about to end without `close`: write what would be lost.

        In the thread that ends it, and it may go on after all: an `exec` can fail.
        """

    def close(self) -> None:
        """Called when the process exits normally: stop, and write what is left."""

    def abandon(self) -> None:
        """Called in a child after `fork`: release what is the parent's, and write nothing."""

    def cpu_ns(self) -> int:
        """The CPU time of the feature's own threads so far."""
        return 0

    def cost(self) -> Mapping[str, int]:
        """The feature's cost on the threads of loops so far, as fields of `ProbeClosed`."""
        return {}
