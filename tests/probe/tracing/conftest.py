"""The programs of `truths.py`, run once under the probe, and what the reader makes of their record."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Unpack

import pytest

from harness.read.blocks import detect
from harness.read.blocks.block import Block
from harness.read.history import History, in_memory
from harness.read.spans.segment import Segment
from harness.read.spans.wait_report import SpanTimes, WaitReport
from harness.record.event import SpanEnded
from harness.record.run import Run
from tests.support.watched import LIMIT_MS, How, Outcome, watched

TRUTHS = Path(__file__).with_name("truths.py")


@dataclass(frozen=True)
class Told:
    """What a report would say of a program."""

    outcome: Outcome
    history: History
    blocks: tuple[Block, ...]
    decomposed: SpanTimes
    waits: WaitReport | None

    def span(self, name: str) -> SpanEnded:
        return next(span for span in self.history.of(SpanEnded) if span.name == name)

    def segments(self, name: str) -> tuple[Segment, ...]:
        return self.decomposed.parts(self.span(name).span_id) or ()

    def path(self, name: str) -> tuple[Segment, ...]:
        return self.decomposed.path([self.span(name)]) or ()

    def parts_ms(self, name: str) -> dict[str, float]:
        sums: defaultdict[str, float] = defaultdict(float)
        for segment in self.segments(name):
            sums[segment.what] += segment.took_ms
        return dict(sums)

    def blamed(self, span: str, what: str) -> list[tuple[str, str, str]]:
        """Who is blamed for the waits of a span: holder, where and its span; the longest first."""
        rows = self.waits.blame if self.waits is not None else ()
        return [
            (row.holder, row.where, row.holder_span) for row in rows if (row.span, row.what) == (span, what)
        ]


Tell = Callable[..., Told]


def _tell(program: str, tmp_path: Path, **how: Unpack[How]) -> Told:
    """Run *program* under the probe, and read its record."""
    done = watched(program, tmp_path, **how)
    assert done.status == 0, done.stderr
    run = Run("", "", "", 0, 0, "", "", (), block_limit_ns=LIMIT_MS * 1_000_000)
    history = in_memory(run, done.events)
    found = detect.blocks(history)
    decomposed = SpanTimes(history, found)
    return Told(done, history, found, decomposed, decomposed.waits())


@pytest.fixture
def tell(tmp_path: Path) -> Tell:
    """Runs a program with what is asked of the probe, and reads its record."""
    return partial(_tell, tmp_path=tmp_path)


@pytest.fixture(scope="session")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    return _tell(TRUTHS.read_text(), tmp_path_factory.mktemp("truths"), waits=1.0)
