"""What is missing from a record that was there when its run ended, or that its writers say they wrote."""

from __future__ import annotations

from collections.abc import Iterator

from ...record.event import RunEnded
from ...record.reader import Source
from ..history import History
from ..units import plural, printable


def damages(history: History) -> Iterator[str]:
    """One sentence per damaged or missing file; none for what a killed process could not write any more."""
    ended = history.last(RunEnded)
    sources = {f"events/{source.path.name}": source for source in history.sources}
    for path, source in sources.items():
        if source.opened is None:
            yield f"{path} does not begin with the event of its writer"
        if source.damaged:
            yield f"{path} has {plural(source.damaged, 'damaged line')} ({printable(source.damage)})"
        if source.lost:
            yield f"{path} lost {plural(source.lost, 'line')}"
    for file in ended.files if ended is not None else ():
        if not file.path.startswith("events/"):
            continue  # a page has another end: see below
        if file.path not in sources:
            yield f"{file.path} is missing"
        elif (missing := file.size_bytes - _size(sources[file.path])) > 0:
            yield f"{file.path} lost {missing:,} of its {file.size_bytes:,} bytes"
    for loop in history.loops:
        if history.sources and loop.page is None:
            yield f"{loop.started.page} (counters of a loop) is missing or damaged"


def _size(source: Source) -> int:
    try:
        return source.path.stat().st_size
    except OSError:
        return 0
