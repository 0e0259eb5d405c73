"""What is known of a turn while it lasts: by the probe's record of it, else by a look from outside."""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from pathlib import Path

from ...record.codec import decode
from ...record.event import (
    Blocked,
    Event,
    Frame,
    HungProcessEnded,
    LoopStarted,
    ThreadDump,
    ThreadsDumped,
)
from ...record.run_folder import RunFolder
from ...stacks.cause import Cause
from ...stacks.diagnosis import diagnose
from ...stacks.hang_exemption import at_debugger
from ...stacks.ownership import CodeOwnership
from ...stacks.turn_stack import TurnStack


@dataclass(frozen=True, slots=True)
class Sighting:
    """The place of a turn that lasts."""

    place: str  # "shop.py:12 load"; "" if it is not known
    cause: str  # "call: dns"
    task: str = ""
    span: str = ""
    at_debugger: bool = False

    def __str__(self) -> str:
        text = f"at {self.place or 'an unknown line'}"
        text += f" ({self.cause})" if self.cause else ""
        text += f", task {self.task}" if self.task else ""
        return text + (f", span {self.span}" if self.span else "")


UNSEEN = Sighting("", "")


class ProcessRecord:
    """What the probe of one process has written last."""

    def __init__(self, folder: RunFolder, pid: int) -> None:
        self._folder = folder
        self._pid = pid

    def sighting(self, number: int, began_ns: int) -> Sighting | None:
        """The turn of loop *number* that began then, as the probe saw it last; `None` if it has not."""
        turn = self._last(Blocked, f'"at_ns":{began_ns},', number)
        if not isinstance(turn, Blocked) or not turn.samples:
            return None
        started = self._last(LoopStarted, '"at_ns":', number)
        ownership, limit_ns = CodeOwnership(), turn.held_ns
        if isinstance(started, LoopStarted):
            ownership = CodeOwnership(started.application, started.libraries, started.harness)
            limit_ns = started.limit_ns
        found = list(diagnose(turn, ownership, limit_ns=limit_ns))[-1]
        waits_for = f": {found.waits_for}" if found.waits_for else ""
        return Sighting(
            place=_place(found.frame, ownership),
            cause=f"{found.cause}{waits_for}",
            task=found.sample.task,
            span=found.sample.span,
            at_debugger=at_debugger(turn.samples[-1].stack),
        )

    def end(self) -> HungProcessEnded | None:
        """How the probe ended the process; `None` if it did not."""
        end = self._last(HungProcessEnded, '"at_ns":')
        return end if isinstance(end, HungProcessEnded) else None

    def from_outside(self, seen: ThreadsDumped) -> Sighting | None:
        """What a look from outside shows: the thread that has the GIL, else the loop's."""
        holder = holder_of(seen)
        if holder is None:
            return None
        started = self._last(LoopStarted, '"at_ns":', seen.loop)
        ownership = CodeOwnership()
        if isinstance(started, LoopStarted):
            ownership = CodeOwnership(started.application, started.libraries, started.harness)
        is_own = holder.native_id == seen.native_id
        if holder.has_gil:
            cause = f"{Cause.CPU}, holds the GIL" if is_own else f"{Cause.GIL}, held by thread {holder.name}"
        else:
            cause = ""
        return Sighting(_place(TurnStack(holder.stack, ownership).blamed, ownership), cause)

    def _last(self, kind: type[Event], then: str, number: int | None = None) -> Event | None:
        """The latest event of a kind, of one loop if given; *then* is how its fields begin."""
        begins = f'{{"e":"{kind.__name__}",{then}'.encode()
        for path in sorted(self._folder.events.glob(f"target-{self._pid}-*.jsonl"), reverse=True):
            for line in _lines_from_end(path, begins):
                try:
                    event = decode(line.decode())
                except ValueError:
                    continue
                if event is not None and number in (None, getattr(event, "loop", None)):
                    return event
        return None


def holder_of(seen: ThreadsDumped) -> ThreadDump | None:
    """The thread that has the GIL, else the loop's; `None` if neither was read.

    A thread of the probe that has it is about to sample the loop: it is not what holds it.
    """
    ownership = CodeOwnership()
    own = [one for one in seen.threads if one.stack and not ownership.is_harness(one.stack[0])]
    by_gil = (thread for thread in own if thread.has_gil)
    by_loop = (thread for thread in own if thread.native_id == seen.native_id)
    return next(by_gil, None) or next(by_loop, None)


def _lines_from_end(path: Path, begins: bytes) -> list[bytes]:
    """The complete lines with this beginning, the latest first; at most a few of them."""
    found: list[bytes] = []
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
            at = len(text)
            while len(found) < 8 and (at := text.rfind(b"\n" + begins, 0, at)) >= 0:
                end = text.find(b"\n", at + 1)
                if end > 0:
                    found.append(text[at + 1 : end])
    except (OSError, ValueError):  # it has gone, or is empty
        pass
    return found


def _place(frame: Frame | None, ownership: CodeOwnership) -> str:
    if frame is None:
        return ""
    return ownership.place(frame) if frame.file else frame.function
