"""What a user at the console's prompt has not been told yet about loops that hang."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ...record.observation import LoopHung, LoopReturned
from ...stacks.diagnosis import diagnose

if TYPE_CHECKING:
    from .process import ProcessView

# Older news is left out; `blocks` has it.
LINES = 3


class HangNews:
    """The news of one session."""

    def __init__(self, process: ProcessView) -> None:
        self._process = process
        self._told_ns = 0

    def lines(self) -> list[str]:
        """One line for each hang that was told since the previous call, and for each that is over."""
        kinds = (LoopHung, LoopReturned)
        events = [event for event in self._process.recent.others() if isinstance(event, kinds)]
        fresh = [event for event in events if event.at_ns > self._told_ns]
        if fresh:
            self._told_ns = fresh[-1].at_ns
        # Of one hang, the latest is enough.
        latest = {(event.loop, event.began_ns): event for event in fresh}
        return list(self._told(list(latest.values())[-LINES:]))

    def _told(self, events: list[LoopHung | LoopReturned]) -> Iterator[str]:
        for event in events:
            held = f"{event.held_ns / 1e9:.1f} s"
            place = self._place(event)
            if isinstance(event, LoopHung):
                yield f"loop {event.loop} hangs, held for {held} when this was told{place}"
            else:
                yield f"loop {event.loop} came back after {held}{place}"

    def _place(self, event: LoopHung | LoopReturned) -> str:
        for turn in self._process.recent.blocks():
            if (turn.loop, turn.at_ns) == (event.loop, event.began_ns):
                found = list(diagnose(turn, self._process.ownership, limit_ns=self._process.limit_ns))[-1]
                return f": {self._process.ownership.place(found.frame)}"
        return ""
