"""A record, read back: the manifest and all events, in order of time.

A record can be read while it is written and after any of its writers was killed; `History.sources` shows
which writers were cut off.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from ..errors import RecordError
from ..record import page
from ..record.event import (
    Blocked,
    Completed,
    Event,
    LoadStarted,
    LoopSampled,
    LoopSilent,
    LoopStarted,
    PartLeftOut,
    ProbeClosed,
    ProbeFailed,
    ProcessGone,
    RequestFailure,
    RunEnded,
    Sent,
    SpanEnded,
    TargetExited,
    TargetStarted,
    ThreadsDumped,
)
from ..record.process.mark import parse
from ..record.reader import Follower, Source
from ..record.run import Run, read_manifest
from ..record.run_folder import RunFolder
from ..stacks.ownership import HARNESS, CodeOwnership

E = TypeVar("E", bound=Event)

_KINDS = {str(kind): kind for kind in RequestFailure}


@dataclass(frozen=True, slots=True)
class Request:
    """One request of the load driver, from its due time to its result."""

    intended_ns: int | None  # None: never sent, so its due time is not known
    sent_ns: int | None
    done_ns: int | None  # None: no answer was recorded
    ok: bool
    error: str
    trace_id: str
    kind: RequestFailure | None = None  # of the failure, if it is one of these
    tags: tuple[str, ...] = ()  # of the step of a visit
    counts: bool = True  # false for one that was due in the warm-up


@dataclass(frozen=True, slots=True)
class Loop:
    """The loops that ran one after the other in one process, with the last state of their counters."""

    started: LoopStarted  # the newest
    page: page.Page | None
    ended_ns: int  # when the probe left it, else when its process ended, else the last sign of its life
    is_gone: bool = False  # its process is known to have ended

    @property
    def ran_ns(self) -> int:
        """The time for which loops ran; the time between them and after the last one does not count."""
        if self.page is None:
            return 0
        page, since_ns = self.page, self.page.since_ns
        if not since_ns and not page.ran_ns:  # an earlier version did not note when its loops ran
            since_ns = page.started_ns
        return page.ran_ns + (max(0, self.ended_ns - since_ns) if since_ns else 0)


@dataclass(frozen=True, slots=True)
class Mark:
    """What the probe noted when it entered a process, or later; see `record/process/mark.py`."""

    pid: int
    at_ns: int
    facts: dict[str, list[str]]
    command: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class History:
    """Everything that was recorded about a run, not yet judged."""

    run: Run
    sources: tuple[Source, ...]
    marks: tuple[Mark, ...]  # of the processes that the probe entered, with a loop or without
    loops: tuple[Loop, ...]
    requests: tuple[Request, ...]
    ended_ns: int  # the runner's last event, else the latest time in the record
    _events: dict[type, list[Event]] = field(repr=False)
    is_own: bool = False  # what a process knows about itself, without a run
    is_live: bool = False  # ... which goes on

    def of(self, kind: type[E]) -> list[E]:
        """The events of one kind, oldest first."""
        return self._events.get(kind, [])  # type: ignore[return-value]  # keyed by the class of its values

    def last(self, kind: type[E]) -> E | None:
        """The newest event of one kind, or `None`."""
        events = self.of(kind)
        return events[-1] if events else None

    @property
    def cut_off(self) -> bool:
        """Whether a process of the target was killed before it could write its totals."""
        targets = [one for one in self.sources if one.opened is not None and one.opened.role == "target"]
        return any(one.closed is None for one in targets)

    def left_out(self, part: str) -> str:
        """Why that part of the probe did not work, or not to the end, in a process; "" if it did in all."""
        reasons = [one.reason for one in self.of(PartLeftOut) if one.part == part]
        errors = [one.error for one in self.of(ProbeFailed) if one.where == part]
        return next(iter((*reasons, *errors)), "")

    def ownership(self, pid: int | None = None) -> CodeOwnership:
        """Whose code a file is, as process *pid* reported it; without one, in all processes together."""
        started = [loop.started for loop in self.loops if pid in (None, loop.started.pid)]
        return CodeOwnership(
            tuple(dict.fromkeys(prefix for one in started for prefix in one.application)),
            tuple(dict.fromkeys(prefix for one in started for prefix in one.libraries)),
            next((one.harness for one in started if one.harness), HARNESS),
        )

    def since_start_ns(self, at_ns: int) -> int:
        """The time from the run's start to an instant of the record's clock."""
        return at_ns - self.run.started_ns


def load(folder: RunFolder) -> History:
    """Read the record in *folder*, as far as it is written.

    Raises:
        RecordError: There is no record, it is empty, its manifest is damaged, or its format is newer.
    """
    run = read_manifest(folder)
    follower = Follower(folder.events)
    events: dict[type, list[Event]] = defaultdict(list)
    sent: dict[tuple[Path, int], Sent] = {}
    completed: dict[tuple[Path, int], Completed] = {}
    plans: dict[Path, LoadStarted] = {}  # by driver
    loops: dict[tuple[Path, int, int], tuple[Path, LoopStarted]] = {}  # a pid lives on after an `exec`
    heard_ns: dict[Path, int] = {}  # by writer: the latest time in its events
    sampled_ns: dict[int, int] = {}  # by process: when the runner last saw it
    closed: dict[Path, ProbeClosed] = {}  # a process that does not leave after all writes it again
    for source, event in follower.new_events():
        events[type(event)].append(event)
        heard_ns[source.path] = max(heard_ns.get(source.path, 0), _last_ns(event))
        match event:
            case Sent():
                sent[source.path, event.n] = event
            case Completed():
                completed[source.path, event.n] = event
            case LoadStarted():
                plans[source.path] = event
            case LoopStarted():
                loops[source.path, event.pid, event.loop] = (source.path, event)
            case LoopSampled() | LoopSilent() | ThreadsDumped():
                sampled_ns[event.pid] = max(event.at_ns, sampled_ns.get(event.pid, 0))
            case ProbeClosed():
                closed[source.path] = event
    if closed:
        events[ProbeClosed] = list(closed.values())
    if not follower.sources:
        exc = RecordError(f"{folder.events}: the record is empty: expected one file per process, found none")
        exc.add_note("The run was stopped before it began, or the files were removed.")
        raise exc
    for happened in events.values():
        happened.sort(key=_first_ns)
    ended = events.get(RunEnded)
    return History(
        run=run,
        sources=tuple(follower.sources),
        marks=tuple(_marks(folder)),
        loops=tuple(
            _loop(folder, started, max(heard_ns[path], sampled_ns.get(started.pid, 0)), events)
            for path, started in loops.values()
        ),
        requests=tuple(
            _request(sent.get(key), completed.get(key), plans.get(key[0])) for key in {**sent, **completed}
        ),
        ended_ns=_last_ns(ended[-1]) if ended else max(heard_ns.values(), default=run.started_ns),
        _events=dict(events),
    )


def in_memory(
    run: Run,
    events: Iterable[Event],
    pages: Mapping[int, page.Page] | None = None,
    *,
    now_ns: int = 0,
    is_live: bool = False,
) -> History:
    """What a process knows about itself: its events, and the counters of its loops by their numbers.

    *now_ns* is when the counters were read; without it, the time of the newest event.
    """
    by_kind: dict[type, list[Event]] = defaultdict(list)
    for event in events:
        by_kind[type(event)].append(event)
    for of_kind in by_kind.values():
        of_kind.sort(key=_first_ns)
    happened = [event for of_kind in by_kind.values() for event in of_kind]
    started = {event.loop: event for event in happened if isinstance(event, LoopStarted)}
    read = pages or {}
    return History(
        run=run,
        sources=(),
        marks=(),
        loops=tuple(Loop(e, read.get(n), now_ns or _last_ns(e)) for n, e in started.items()),
        requests=(),
        ended_ns=now_ns or max(map(_last_ns, happened), default=run.started_ns),
        _events=dict(by_kind),
        is_own=True,
        is_live=is_live,
    )


def _marks(folder: RunFolder) -> Iterator[Mark]:
    for path in sorted(folder.processes.glob("*-*")):
        pid, _, at = path.name.partition("-")
        try:
            yield Mark(int(pid), int(at, 16), *parse(path.read_text(errors="replace")))
        except (OSError, ValueError):
            continue


def _loop(
    folder: RunFolder, started: LoopStarted, heard_ns: int, events: Mapping[type, Sequence[Event]]
) -> Loop:
    counters = page.read(folder.path / started.page)
    stopped_ns = counters.stopped_ns if counters else 0
    gone_ns = _gone_ns(started, events)
    return Loop(started, counters, stopped_ns or gone_ns or heard_ns, is_gone=gone_ns > 0)


def _gone_ns(started: LoopStarted, events: Mapping[type, Sequence[Event]]) -> int:
    """When the process of a loop ended; 0 if that is not known."""
    for gone in events.get(ProcessGone, ()):
        # The pid of an earlier or a later process may be the same.
        assert isinstance(gone, ProcessGone)
        if gone.pid == started.pid and gone.began_ns <= started.at_ns <= gone.at_ns:
            return gone.at_ns
    targets = [event for event in events.get(TargetStarted, ()) if isinstance(event, TargetStarted)]
    if targets and targets[-1].pid == started.pid:
        return next((e.at_ns for e in events.get(TargetExited, ()) if isinstance(e, TargetExited)), 0)
    return 0


def _request(sent: Sent | None, completed: Completed | None, plan: LoadStarted | None) -> Request:
    due_ns = sent.intended_ns if sent else completed.due_ns if completed else 0
    step = sent.step if sent else completed.step if completed else -1
    tags = plan.tags if plan is not None else ()
    return Request(
        intended_ns=sent.intended_ns if sent else None,
        sent_ns=sent.sent_ns if sent else None,
        done_ns=completed.done_ns if completed else None,
        ok=completed.ok if completed else False,
        error=completed.error if completed else "no answer",
        trace_id=sent.trace_id if sent else "",
        kind=_KINDS.get(completed.kind) if completed else None,
        tags=tags[step] if 0 <= step < len(tags) else (),
        counts=plan is None or not 0 < due_ns < plan.at_ns + round(plan.warm_up_s * 1e9),
    )


def _first_ns(event: Event) -> int:
    match event:
        case Sent():
            return event.intended_ns
        case Completed():
            return event.done_ns
        case SpanEnded():
            return event.start_ns
    at_ns: int = event.at_ns  # type: ignore[attr-defined]  # every other kind has it
    return at_ns


def _last_ns(event: Event) -> int:
    match event:
        case Sent():
            return event.sent_ns
        case SpanEnded():
            return event.end_ns
        case Blocked():
            return event.at_ns + event.held_ns
    return _first_ns(event)
