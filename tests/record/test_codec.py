"""Every kind of event survives the way to a line of JSON and back."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from typing import Any

import pytest

from harness.record import event
from harness.record.codec import TEXT_CHARS, decode, encode, kinds
from harness.record.event import (
    Blocked,
    Cadence,
    Coroutine,
    DelayedStep,
    Event,
    Frame,
    HungProcessEnded,
    ProbeClosed,
    Sample,
    SpanEnded,
    StepsTaken,
    TasksAtPlace,
)
from harness.record.value import Value, fields_of

V = typing.TypeVar("V", bound=Value)
KINDS = list(kinds().values())


def example(kind: type[V]) -> V:
    """A value of *kind* with something in every field."""
    hints = typing.get_type_hints(kind)
    return kind(**{name: _value(hints[name]) for name in fields_of(kind)})


def _value(hint: Any) -> Any:
    if isinstance(hint, type) and issubclass(hint, Value):
        return example(hint)
    if hint is Frame:
        return Frame("/a/b.py", 3, "C.f")
    if hint is Cadence:
        return Cadence(7, 8, 9)
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        return (_value(args[0]), _value(args[0]))
    if origin in (dict, Mapping):
        return {"k": "v", "n": 1}
    if type(None) in args:
        return _value(args[0])
    return {int: 7, float: 0.5, str: 'ü "quoted"\n', bool: True}[hint]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_an_event_comes_back_as_it_went(kind: type[Event]) -> None:
    """Whole values, nested ones too, on one line."""
    before = example(kind)
    line = encode(before)

    assert "\n" not in line
    assert decode(line) == before


def test_nothing_is_nothing_after_the_way_as_well() -> None:
    """Optional figures stay null."""
    before = Blocked(1, 2, True, 3, 0, samples=(), victims=(DelayedStep("a", "", "", 1),), victims_total=1)

    assert decode(encode(before)) == before


def test_a_missing_field_takes_its_default() -> None:
    """Records of older versions can be read."""
    line = '{"e":"Sample"}'.replace("Sample", "Completed").replace("}", ',"n":1,"done_ns":2,"ok":false}')

    assert decode(line) == event.Completed(1, 2, False, error="")


def test_a_foreign_value_becomes_its_text() -> None:
    """What JSON cannot say is kept as text rather than lost."""
    odd: Any = object()
    span = SpanEnded("s", "internal", "", "", "", 0, 1, "ok", "t", {"odd": odd})

    back = decode(encode(span))

    assert isinstance(back, SpanEnded)
    attributes: Mapping[str, Any] = back.attributes
    assert attributes["odd"]["repr"].startswith("<object object")


def test_a_number_that_is_none_is_damage() -> None:
    """Not a number, infinite, of more bits than any writer counts with, or a text, also in a frame."""
    closed = encode(ProbeClosed(1, 2, 0.5, 3, 4, 5))
    blocked = encode(example(Blocked))
    for line, before, after in (
        *((closed, '"turn_cost_ns":0.5', f'"turn_cost_ns":{text}') for text in ("NaN", "-Infinity", "1e400")),
        (closed, '"turns":2', f'"turns":1{"0" * 30}'),
        (closed, '"turns":2', '"turns":"2"'),
        (blocked, '["/a/b.py",3,', '["/a/b.py","3",'),
    ):
        assert before in line
        with pytest.raises(ValueError, match="expected"):
            decode(line.replace(before, after))


@pytest.mark.parametrize(
    "line", ["[]", "1", "[" * 100_000, '{"a":1}', '{"e":1}', "nonsense", '{"e":"Sent","n":1}']
)
def test_what_is_no_event_is_an_error(line: str) -> None:
    """A value error, whatever is wrong."""
    with pytest.raises(ValueError):
        decode(line)


def test_events_are_frozen_and_slotted() -> None:
    """A misspelt field raises instead of being remembered."""
    sample = example(Sample)

    with pytest.raises((AttributeError, TypeError)):
        sample.tsak = "x"


def test_long_texts_are_cut_wherever_they_are() -> None:
    """A field, a name in a list, an attribute of a span and a nested value; packed rows stay whole."""

    def hung(name: str) -> HungProcessEnded:
        tasks = TasksAtPlace(Coroutine(name, "/a/b.py", 3), ("short", name), 2)
        return HungProcessEnded(1, 2, 3, 4, 5, 6, "probe", "SIGABRT", 2, (tasks,), error=name)

    def ended(name: str) -> SpanEnded:
        return SpanEnded(name, "server", "", "", "", 1, 2, "ok", "main", {"x": name, "n": 1})

    long = "x" * 1_000_000
    cut = f"{long[:TEXT_CHARS]}…"
    rows = StepsTaken(1, 2, 3, long, "", "", "", "", (), (), 1.0)

    assert decode(encode(hung(long))) == hung(cut)
    assert decode(encode(ended(long))) == ended(cut)
    assert decode(encode(rows)) == rows
