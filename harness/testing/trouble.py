"""Assertions about everything that a report finds, for test suites of any framework."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager

from ..read.finding import Finding, Level
from ..watching import Watch, watch_closely
from .loop import LIMIT_MS, counted, explain, place

# The rules whose findings are not what the tested code did: blocks are told with their stacks, and a part of
# the watch that failed is no trouble of the code.
_BLOCKS, _WATCH = "blocks", "probe"


class TroubleFoundError(AssertionError):
    """Trouble was found; the message has each finding with its place, and what to do about it."""

    def __init__(self, message: str, findings: tuple[Finding, ...]) -> None:
        super().__init__(message)
        self.findings = findings


@contextmanager
def no_trouble(limit_ms: float = LIMIT_MS, *, allow: Collection[str] = ()) -> Iterator[Watch]:
    """Fail if anything goes wrong inside the ``with`` block that a report would warn of.

    These are blocks, by the rules of `no_blocks`, and what the other rules find: standstills, spins, lost and
    leaked tasks, growing queues, calls behind a full pool, children that nobody reads. Another exception from
    the block is raised as it is, with the findings as a note.

    Args:
        limit_ms: A loop turn longer than this is a block; at least 1.
        allow: Rules whose findings are no failure, as they are called in `report.json`: "blocks", "growth".

    Raises:
        TroubleFoundError: Something was found.
        RuntimeError: Nothing was found as far as is known, but a part of the watch has failed or cannot work.
        ValueError: *limit_ms* is out of range.
    """
    watch = watch_closely(limit_ms)
    try:
        with watch:
            yield watch
    except Exception as exc:
        if message := _message(watch, allow):
            exc.add_note(message)
        raise
    if message := _message(watch, allow):
        raise TroubleFoundError(message, tuple(_told(watch, allow)))
    if _WATCH not in allow and (missing := _missing(watch)):
        raise RuntimeError(f"trouble may be missing: {'; '.join(missing)}")


def _message(watch: Watch, allow: Collection[str]) -> str:
    """The findings, gravest first, then the blocks; "" without any."""
    parts = ["\n".join(_lines(finding)) for finding in _told(watch, allow)]
    held = counted(watch) if _BLOCKS not in allow else ()
    return "\n\n".join([*parts, explain(held, watch.limit_ms)] if held else parts)


def _told(watch: Watch, allow: Collection[str]) -> Sequence[Finding]:
    left_out = {*allow, _BLOCKS, _WATCH}
    return [one for one in watch.findings if one.level != Level.NOTE and one.rule not in left_out]


def _missing(watch: Watch) -> list[str]:
    """The parts that did not watch, each with the reason."""
    found = [one.message for one in watch.findings if one.rule == _WATCH and one.level != Level.NOTE]
    return found or [f"{name} failed, as the log says" for name in watch.failed]


def _lines(finding: Finding) -> Iterator[str]:
    yield f"{finding.message[0].upper()}{finding.message[1:]} ({finding.rule})"
    if finding.file:
        yield f"    at {place(finding.file, finding.line or 0)}"
    if finding.cost is not None:
        yield f"    {finding.cost.words}"
    if finding.next:
        yield f"    {finding.next}"
