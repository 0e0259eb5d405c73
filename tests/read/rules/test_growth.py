"""Rules about what grew, against recorded levels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from harness.record import event
from tests.read.conftest import APPLICATION, LOOP_PID, STDLIB, Record, Recording

MB = 1_000_000
PUBLISH = (
    event.Frame(APPLICATION + "shop.py", 3, "<module>"),
    event.Frame(STDLIB + "asyncio/runners.py", 44, "run"),
    event.Frame(APPLICATION + "feed.py", 20, "publish"),
    event.Frame(STDLIB + "asyncio/streams.py", 325, "StreamWriter.write"),
)


def readings(
    made: Recording,
    levels: Sequence[int],
    *,
    queue: bool = False,
    rss: Sequence[int] = (),
    every_s: float = 1.0,
    fed_per_s: float | None = None,
) -> None:
    """One reading per second of one buffer, which one line feeds."""
    made.loop(turns_ms=[1.0] * 10)
    kind, name = ("queue", "Queue") if queue else ("transport", "_SelectorSocketTransport")
    made.write("target", event.BufferFound(made.at(0), LOOP_PID, 0, kind, name))
    made.write("target", event.BufferFed(made.at(0.1), LOOP_PID, 0, "MainThread", PUBLISH))
    for number, level in enumerate(levels, start=1):
        size = level * 100 if queue else level
        held = event.BufferLevel(0, level if queue else None, size, fed_per_s)
        memory = rss[number - 1] if rss else 50 * MB
        reading = event.GaugesRead(made.at(number * every_s), LOOP_PID, number * MB, memory, 10, (held,))
        made.write("target", reading)


def said(made: Recording) -> list[tuple[str, str, int | None]]:
    made.ended()
    return [(f.level, f.message, f.line) for f in made.document().findings if f.rule == "growth"]


def test_a_transport_that_only_fills_is_written_to_without_drain(record: Record) -> None:
    """The verdict has the line that writes, and how much nobody has read."""
    made = record()
    readings(made, [MB * n for n in range(1, 11)])

    message = (
        "publish (feed.py:20) writes without drain: 10 MB in 1 transport that nobody has read; "
        "they grew from 0.0 s to 9.0 s into the run"
    )
    assert said(made) == [("warning", message, 20)]
    assert made.document().run.verdict == f"P{message[1:]}."


@pytest.mark.parametrize(("fed_per_s", "oldest"), [(200.0, "5.00 s"), (50.0, "10.0 s")])
def test_a_queue_without_a_limit_tells_how_long_its_oldest_item_has_waited(
    record: Record, fed_per_s: float, oldest: str
) -> None:
    """As many items were put since as there are now; but not for longer than the queue is known."""
    made = record()
    readings(made, [100 * n for n in range(1, 11)], queue=True, fed_per_s=fed_per_s)

    message = (
        "publish (feed.py:20) puts into a Queue without maxsize faster than it is emptied: 1,000 items wait "
        f"in 1 queue, the oldest for about {oldest}; they grew from 0.0 s into the run until its end"
    )
    assert said(made) == [("warning", message, 20)]


def test_queues_that_were_not_observed_are_fed_like_those_of_their_class(record: Record) -> None:
    """Of many queues only some are observed; one finding tells of all."""
    made = record()
    made.loop(turns_ms=[1.0] * 10)
    for number in range(3):
        made.write("target", event.BufferFound(made.at(0), LOOP_PID, number, "queue", "Queue"))
    made.write("target", event.BufferFed(made.at(0.1), LOOP_PID, 0, "MainThread", PUBLISH))
    for second in range(1, 11):
        held = tuple(event.BufferLevel(number, 100 * second, 10_000 * second, None) for number in range(3))
        reading = event.GaugesRead(made.at(second), LOOP_PID, second * MB, 50 * MB, 10, held)
        made.write("target", reading)

    ((_, message, line),) = said(made)
    assert line == 20
    assert "publish (feed.py:20) puts into a Queue" in message
    assert "3,000 items wait in 3 queues" in message


@pytest.mark.parametrize(
    ("levels", "queue"),
    [
        ([10 * MB] * 10, False),
        ([0] * 8 + [30 * MB] * 2, False),
        ([MB * n for n in (2, 4, 6, 8, 10, 8, 6, 4, 2, 0)], False),
        ([MB // 10 * n for n in range(10)], False),
        ([300] * 10, True),
        ([100, 200, 300, 400, 500, 500, 500, 500, 500, 500], True),
        ([200, 400, 600, 800, 1000, 800, 600, 400, 200, 0], True),
        ([10 * n for n in range(10)], True),
        ([150, 20] * 5, True),
    ],
    ids=[
        *("one large write", "all at once", "it drains", "small", "a pool", "a pool that fills"),
        *("a burst that drains", "few items", "it comes and goes"),
    ],
)
def test_levels_that_are_no_growth(record: Record, levels: Sequence[int], queue: bool) -> None:
    """A step, a plateau, what drains, and what is small."""
    made = record()
    readings(made, levels, queue=queue)

    assert said(made) == []


@pytest.mark.parametrize(
    ("rss", "is_told"),
    [
        ([50 + 30 * n for n in range(10)], True),
        ([50, 150, 250, 300, 320, 320, 320, 320, 320, 320], False),
        ([50 + n for n in range(10)], False),
    ],
    ids=["to the end", "a cache that fills", "little"],
)
def test_memory_that_grows_to_the_end_is_a_note(record: Record, rss: Sequence[int], is_told: bool) -> None:
    """Whose it is, is not known; a plateau is a cache or a warm-up."""
    made = record()
    readings(made, [0] * 10, rss=[size * MB for size in rss], every_s=2.0)

    found = said(made)
    assert [level for level, *_ in found] == ["note"] * is_told
    assert all("grew from 50 MB to 320 MB in 18 s" in message for _, message, _ in found)


def collection(
    made: Recording,
    items: Sequence[int],
    *,
    file: str,
    kind: str = "dict",
    size: int = 3_000,
    serves: bool = True,
) -> None:
    """A reading every two seconds of one collection, from when the memory has grown a little."""
    for number, count in enumerate(items, start=2):
        level = event.CollectionLevel(kind, "global", "_seen", file, count, count * size)
        read = event.CollectionsRead(made.at(number * 2.0), LOOP_PID, 100 * MB, serves, (level,))
        made.write("target", read)


@pytest.mark.parametrize(
    ("source", "kind", "serves", "level"),
    [
        ("def note(key):\n    _seen[key] = key\n", "dict", True, "warning"),
        ("def note(key):\n    _seen[key] = key\n", "dict", False, "note"),
        ("def note(key):\n    _seen[key] = key\n    _seen.popitem()\n", "dict", True, "note"),
        ("def note(key):\n    _seen[key] = key\n", "TTLCache", True, "note"),
        ("", "dict", True, "note"),
    ],
    ids=["without an end", "of a program that does not serve", "emptied", "of a class", "by nobody"],
)
def test_memory_that_one_collection_has_is_told_with_what_adds_to_it(
    record: Record, source: str, kind: str, serves: bool, level: str, tmp_path: Path
) -> None:
    """It is a trouble only where the program serves, and where nothing takes out what it has put in."""
    (path := tmp_path / "shop.py").write_text(source)
    made = record()
    readings(made, [0] * 10, rss=[(50 + 30 * n) * MB for n in range(10)], every_s=2.0)
    collection(made, [10_000 * n for n in range(1, 10)], file=str(path), kind=kind, serves=serves)

    ((found_level, message, line),) = said(made)
    assert found_level == level
    assert message.startswith(f"the {kind} _seen (")
    assert "grew from 10,000 to 90,000 items in 16 s, about 270 MB, and was still growing" in message
    assert ("note (" in message) == (line == 2) == bool(source)


@pytest.mark.parametrize(
    ("items", "size"),
    [([10_000, *[90_000] * 8], 3_000), ([10_000 * n for n in range(1, 10)], 100)],
    ids=["a plateau", "a small part"],
)
def test_a_collection_that_does_not_explain_the_memory_is_not_named(
    record: Record, items: Sequence[int], size: int
) -> None:
    """One that has long stopped to grow, and one that grew by far less."""
    made = record()
    readings(made, [0] * 10, rss=[(50 + 30 * n) * MB for n in range(10)], every_s=2.0)
    collection(made, items, file="/nowhere/shop.py", size=size)

    ((_, message, _),) = said(made)
    assert message.startswith("the resident memory of process")
