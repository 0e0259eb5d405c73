"""What the measurement cost and lost; measured in the target, not estimated."""

from __future__ import annotations

from dataclasses import dataclass

from ...record.event import ArtefactWritten, Blocked, ProbeClosed, SamplesCounted
from ..history import History
from ..units import seconds


@dataclass(frozen=True, slots=True)
class Overhead:
    """*cpu_ratio* is the target's CPU time with the probe as a multiple of that without; null: unknown."""

    cpu_ratio: float | None
    probe_cpu_s: float | None
    events_dropped: int


@dataclass(frozen=True, slots=True)
class Artefact:
    """A file that a profiler left in the run's folder."""

    tool: str
    path: str
    note: str


@dataclass(frozen=True, slots=True)
class ProfileFigures:
    """What the samplers achieved; without `--sample`, *samples* counts those of late turns."""

    sampler_hz: float | None
    reached_hz: float | None
    samples: int
    lost: int | None
    artefacts: tuple[Artefact, ...]


def overhead(history: History) -> Overhead:
    """The total cost in all processes that exited cleanly."""
    closed = history.of(ProbeClosed)
    dropped = sum(source.closed.dropped for source in history.sources if source.closed)
    if not closed:
        return Overhead(None, None, dropped)
    probe_ns = sum(
        e.threads_cpu_ns + e.calls_ns + e.sampler_ns + e.steps_ns + e.turns * e.turn_cost_ns for e in closed
    )
    process_ns = sum(event.process_cpu_ns for event in closed)
    ratio = round(process_ns / (process_ns - probe_ns), 4) if process_ns > probe_ns else None
    return Overhead(ratio, seconds(probe_ns), dropped)


def profile(history: History) -> ProfileFigures:
    """The samples, and the files of other profilers."""
    artefacts = tuple(Artefact(event.tool, event.path, event.note) for event in history.of(ArtefactWritten))
    counted = {event.pid: event for event in history.of(SamplesCounted)}.values()
    samples, ticks = sum(event.stacks for event in counted), sum(event.ticks for event in counted)
    lost = sum(event.lost for event in counted)
    if not samples:
        late = sum(sample.count for turn in history.of(Blocked) if turn.ended for sample in turn.samples)
        return ProfileFigures(None, None, late, None, artefacts)
    hz = max(event.hz for event in counted)
    return ProfileFigures(hz, round(hz * samples / (ticks + lost), 1), samples, lost, artefacts)
