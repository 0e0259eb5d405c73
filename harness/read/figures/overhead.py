"""What the measurement cost and lost; measured in the target, not estimated."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from ...record.event import ArtefactWritten, ProbeClosed, SamplesCounted, ThreadsDumped
from ..blocks.late_turn import late_turns
from ..history import History
from ..units import seconds
from .target import unwatched


@dataclass(frozen=True, slots=True)
class Overhead:
    """*cpu_ratio* is the target's CPU time with the probe as a multiple of that without; null: unknown."""

    cpu_ratio: float | None
    probe_cpu_s: float | None
    events_dropped: (
        int | None
    )  # null if a writer in the target or the driver was cut off before it could tell
    unknown: str = ""  # why a figure is null


@dataclass(frozen=True, slots=True)
class Artefact:
    """A file that a profiler left in the run's folder."""

    tool: str
    path: str
    note: str


@dataclass(frozen=True, slots=True)
class LooksFromOutside:
    """How often a process whose GIL was held was looked at, and by what."""

    by: str  # "profiling.sampling" or "py-spy"
    count: int


@dataclass(frozen=True, slots=True)
class ProfileFigures:
    """What the samplers achieved; without `--sample`, *samples* counts those of late turns."""

    sampler_hz: float | None
    reached_hz: float | None
    samples: int | None
    lost: int | None
    artefacts: tuple[Artefact, ...]
    looks: tuple[LooksFromOutside, ...] = ()


def overhead(history: History) -> Overhead:
    """The total cost in all processes that exited cleanly."""
    closed = history.of(ProbeClosed)
    dropped = _dropped(history)
    unknown = "no loop was watched" if unwatched(history) else ""
    if dropped is None or not closed:
        unknown = unknown or "a process did not exit cleanly"
    if not closed:
        return Overhead(None, None, dropped, unknown)
    probe_ns = sum(
        e.threads_cpu_ns + e.beside_ns + e.calls_ns + e.sampler_ns + e.steps_ns + e.turns * e.turn_cost_ns
        for e in closed
    )
    process_ns = sum(event.process_cpu_ns for event in closed)
    ratio = round(process_ns / (process_ns - probe_ns), 4) if process_ns > probe_ns else None
    return Overhead(ratio, seconds(probe_ns), dropped, unknown if dropped is None else "")


def cpu_s(history: History) -> float | None:
    """The CPU time of the processes with a loop; `None` if one did not exit cleanly, or none was watched."""
    closed = history.of(ProbeClosed)
    if not closed or _dropped(history) is None:
        return None
    return seconds(sum(event.process_cpu_ns for event in closed))


def _dropped(history: History) -> int | None:
    """The events that all writers lost; `None` if one could not tell, or none was in the target."""
    writers = [source for source in history.sources if source.opened and source.opened.role != "runner"]
    is_told = all(source.closed for source in writers)
    if not is_told or not any(source.opened and source.opened.role == "target" for source in writers):
        return None
    return sum(source.closed.dropped for source in history.sources if source.closed)


def profile(history: History) -> ProfileFigures:
    """The samples, and the files of other profilers."""
    # A process that was about to end, and did not, writes its files again.
    written = {event.path or event: event for event in history.of(ArtefactWritten)}.values()
    artefacts = tuple(Artefact(event.tool, event.path, event.note) for event in written)
    dumps = Counter(dump.by for dump in history.of(ThreadsDumped))
    looks = tuple(LooksFromOutside(by, count) for by, count in dumps.most_common())
    counted = {event.pid: event for event in history.of(SamplesCounted)}.values()
    samples, ticks = sum(event.stacks for event in counted), sum(event.ticks for event in counted)
    lost = sum(event.lost for event in counted)
    if not samples:
        turns = late_turns(history)
        is_known = turns or not unwatched(history)
        late = sum(sample.count for turn in turns for sample in turn.samples) if is_known else None
        return ProfileFigures(None, None, late, None, artefacts, looks)
    hz = max(event.hz for event in counted)
    return ProfileFigures(hz, round(hz * samples / (ticks + lost), 1), samples, lost, artefacts, looks)
