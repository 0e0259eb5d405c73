"""Where on a waterfall the samples of a trace lie."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.read.samples import trace_samples
from harness.read.samples.flame_graph import FlameGraph
from harness.record import event
from tests.read.conftest import Record

TRACE = f"{7:032x}"
SPANS = {"process": (1.0, 2.0), "restart": (1.2, 1.6)}


Traced = Callable[..., FlameGraph]


@pytest.fixture
def traced(record: Record) -> Traced:
    """A run with one trace of two spans, and what was sampled in them."""

    def make(*samples: tuple[float, int, str, tuple[int, ...]], name: str = "run") -> FlameGraph:
        made = record(name)
        made.loop()
        files = [event.Frame("/srv/shop/service.py", n, f"step_{n}") for n in range(1, 4)]
        made.write("target", event.FrameTable(made.at(0), 4242, 1, (0, 0, 0), tuple(files)))
        for number, (span, (start_s, end_s)) in enumerate(SPANS.items()):
            made.write(
                "target",
                event.SpanEnded(
                    *(span, "internal", TRACE, f"{number:016x}", f"{0:016x}" if number else ""),
                    *(made.at(start_s), made.at(end_s), "ok", "MainThread"),
                ),
            )
        for at_s, stack, span_id, looks in samples:
            count = sum(looks[1::2]) or 1
            made.write(
                "target",
                event.Sampled(
                    *(
                        made.at(at_s),
                        4242,
                        "MainThread",
                        "signal",
                        100,
                        stack,
                        count,
                        "t",
                        "handle",
                        "restart",
                    ),
                    *(TRACE, span_id, looks),
                ),
            )
        made.ended()
        icicle = made.document().icicle
        assert icicle is not None
        return icicle

    return make


RESTART = f"{1:016x}"


def test_each_sample_is_at_its_time(traced: Traced) -> None:
    """On the row of its span, as long as the ticks that it stands for, and in order of time."""
    icicle = traced((1.3, 2, RESTART, (0, 1, 10_000, 1, 60_000, 5)), (1.25, 1, RESTART, ()))
    spots = [(m.span, m.from_ms, m.to_ms, m.samples) for m in icicle.marked.marks]
    lines = [icicle.lines[icicle.called[m.call - 1]].function for m in icicle.marked.marks]

    assert spots == [
        (1, 240, 250, 1),
        (1, 290, 300, 1),
        (1, 300, 310, 1),
        (1, 310, 360, 1),
    ]
    assert lines == ["step_1", "step_2", "step_2", "step_2"]
    assert icicle.marked.left_out == 0


def test_a_sample_begins_no_earlier_than_its_span(traced: Traced) -> None:
    """A tick that came 2 ms into a span says nothing of the 8 ms before it."""
    (made,) = traced((1.202, 1, RESTART, ())).marked.marks

    assert (made.from_ms, made.to_ms) == (200, 202)


def test_a_record_without_tick_times_has_one_mark_for_all(traced: Traced) -> None:
    """Records of older versions tell of the first look alone, and of how many there were."""
    icicle = traced((1.5, 1, RESTART, (0, 30)), name="older")

    assert [(m.from_ms, m.to_ms) for m in icicle.marked.marks] == [(200, 500)]


def test_a_span_that_is_not_shown_has_its_samples_counted(traced: Traced) -> None:
    """There is no row to put them on."""
    marked = traced((1.3, 1, "feedfeedfeedfeed", (0, 1, 10_000, 1)), (1.3, 1, RESTART, ())).marked

    assert (len(marked.marks), marked.left_out) == (1, 2)


def test_very_many_marks_become_few(traced: Traced, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that follow each other in one place are joined; then the longest stay, the rest is counted."""
    monkeypatch.setattr(trace_samples, "MARKS", 3)
    row = tuple(number for tick in range(20) for number in (tick * 10_000, 1))
    joined = traced((1.25, 1, RESTART, row), name="joined").marked
    alone = traced(*((1.25 + n / 20, 1 + n % 2, RESTART, ()) for n in range(6)), name="alone").marked

    assert [(m.from_ms, m.to_ms, m.samples) for m in joined.marks] == [(240, 440, 20)]
    assert joined.left_out == 0
    assert (len(alone.marks), alone.left_out) == (3, 3)
    assert list(alone.marks) == sorted(alone.marks, key=lambda m: m.from_ms)
