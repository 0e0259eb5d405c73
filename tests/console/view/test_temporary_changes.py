"""Temporary changes are undone: by time, on request, or when the console closes."""

from __future__ import annotations

import threading
from argparse import ArgumentTypeError
from collections.abc import Iterator

import pytest

from harness.console.protocol.duration import seconds, up_to
from harness.console.protocol.errors import CommandError
from harness.console.view.temporary_changes import TemporaryChanges

LONG_S = 60.0


@pytest.fixture
def errors() -> list[tuple[str, str]]:
    return []


@pytest.fixture
def limits(errors: list[tuple[str, str]]) -> Iterator[TemporaryChanges]:
    made = TemporaryChanges(lambda where, exc: errors.append((where, str(exc))))
    yield made
    made.close()


def test_it_goes_back_by_itself(limits: TemporaryChanges) -> None:
    """A change is undone once, after its time."""
    undone, times = threading.Event(), []

    def undo() -> None:
        times.append(1)
        undone.set()

    limits.begin("log shop", "DEBUG", for_s=0.05, undo=undo)
    (standing,) = limits.in_force()
    assert (standing.name, standing.what) == ("log shop", "DEBUG")
    assert standing.left_s <= 0.05

    assert undone.wait(10)
    assert limits.in_force() == ()
    assert limits.end("log shop") is False
    assert times == [1]


def test_it_can_be_ended_at_once(limits: TemporaryChanges) -> None:
    """A change can be ended early, once."""
    times = []
    limits.begin("debug", "", for_s=LONG_S, undo=lambda: times.append(1))

    assert limits.end("debug") is True
    assert limits.end("debug") is False
    assert times == [1]


def test_one_of_a_name_is_in_force(limits: TemporaryChanges) -> None:
    """A second change of the same name is refused with a description of the first."""
    limits.begin("profile", "into a.txt", for_s=LONG_S, undo=lambda: None)
    limits.begin("memory", "", for_s=LONG_S / 2, undo=lambda: None)

    with pytest.raises(CommandError, match=r"profile is in force already, for another \d+ s: into a\.txt"):
        limits.begin("profile", "", for_s=LONG_S, undo=lambda: None)
    assert [standing.name for standing in limits.in_force()] == ["memory", "profile"]


def test_the_time_of_one_that_was_ended_is_not_its_successors(limits: TemporaryChanges) -> None:
    """The timer of an ended change does not end its successor of the same name."""
    over, times = threading.Event(), []
    limits.begin("log shop", "first", for_s=0.05, undo=lambda: None)
    limits.end("log shop")
    limits.begin("log shop", "second", for_s=LONG_S, undo=lambda: times.append(2))
    limits.begin("log till", "", for_s=0.2, undo=over.set)

    assert over.wait(10)
    assert [standing.what for standing in limits.in_force()] == ["second"]
    assert times == []


def test_a_change_that_fails_is_undone_at_once(limits: TemporaryChanges) -> None:
    """If making a change raises, it is undone and the exception is passed on."""
    times = []
    with (
        pytest.raises(ZeroDivisionError),
        limits.changing("debug", "", for_s=LONG_S, undo=lambda: times.append(1)),
    ):
        1 / 0  # noqa: B018

    assert times == [1]
    assert limits.in_force() == ()
    with limits.changing("debug", "", for_s=LONG_S, undo=lambda: times.append(2)):
        pass
    assert [standing.name for standing in limits.in_force()] == ["debug"]
    assert times == [1]


def test_the_end_of_the_console_undoes_everything(
    limits: TemporaryChanges, errors: list[tuple[str, str]]
) -> None:
    """Closing undoes every change, also after one that fails, and refuses new ones."""
    times = []
    limits.begin("one", "", for_s=LONG_S, undo=lambda: 1 / 0)
    limits.begin("two", "", for_s=LONG_S, undo=lambda: times.append(2))
    limits.close()

    assert times == [2]
    assert errors == [("console: undoing one", "division by zero")]
    with pytest.raises(CommandError, match="the console is closing"):
        limits.begin("three", "", for_s=LONG_S, undo=lambda: None)


@pytest.mark.parametrize(
    ("text", "length_s"), [("30s", 30), ("2m", 120), ("500ms", 0.5), ("7", 7), ("1.5s", 1.5)]
)
def test_lengths_of_time(text: str, length_s: float) -> None:
    """Durations have a unit; a plain number means seconds."""
    assert seconds(text) == length_s


@pytest.mark.parametrize("text", ["", "s", "0", "-1s", "nan", "inf", "1h", "3 s s", "ms5", "5sm"])
def test_what_is_no_length_of_time(text: str) -> None:
    """Anything else is refused with examples."""
    with pytest.raises(ArgumentTypeError, match="such as 30s, 2m or 500ms"):
        seconds(text)


def test_a_length_of_time_may_have_a_limit() -> None:
    """A duration over the limit is refused."""
    assert up_to(60)("1m") == 60
    with pytest.raises(ArgumentTypeError, match="60 s at most, got '2m'"):
        up_to(60)("2m")
