"""Rules about child processes, and about loops that slept, against recorded events."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from harness.record import event
from tests.read.conftest import APPLICATION, LOOP_PID, STDLIB, Record, Recording

CONVERT = event.Coroutine(
    name="convert",
    file=APPLICATION + "media.py",
    line=8,
    stack=(
        event.Frame(APPLICATION + "media.py", 12, "convert"),
        event.Frame(STDLIB + "asyncio/subprocess.py", 137, "Process.wait"),
    ),
)
TELL = (
    event.Frame(STDLIB + "threading.py", 1002, "Thread._bootstrap"),
    event.Frame(APPLICATION + "watch.py", 16, "Watcher.tell"),
    event.Frame(STDLIB + "asyncio/queues.py", 140, "Queue.put_nowait"),
)


def said(made: Recording) -> list[tuple[str, str, int | None]]:
    made.ended()
    rules = ("children", "wakeups")
    return [(f.level, f.message, f.line) for f in made.document().findings if f.rule in rules]


def stuck(made: Recording, *, until_s: float, on_loop: bool = False) -> event.ChildStuck:
    of = None if on_loop else CONVERT
    stack = CONVERT.stack if on_loop else ()
    return event.ChildStuck(
        made.at(until_s), LOOP_PID, 71, ("/usr/bin/ffmpeg", "-i", "in"), 2, made.at(1), of, "", stack, on_loop
    )


def test_a_child_on_a_full_pipe_has_the_line_that_waits_for_it(record: Record) -> None:
    """The latest event of a child counts, and the time for which it stood is the cost."""
    made = record()
    made.loop(turns_ms=[1.0] * 10)
    made.write("target", stuck(made, until_s=3), stuck(made, until_s=5))

    message = (
        "child `ffmpeg -i in` stands in a write to its stderr, a full pipe that nobody reads, for at least "
        "4.00 s: convert (media.py:12) waits for its end and does not read"
    )
    assert said(made) == [("warning", message, 12)]
    assert made.document().run.verdict == f"C{message[1:]}."


def test_a_child_for_which_the_loop_itself_waits_explains_the_block(record: Record) -> None:
    """The block is a symptom: it stands below."""
    made = record()
    made.loop(turns_ms=[1.0] * 10)
    made.blocked(1, 6000)
    made.write("target", stuck(made, until_s=5, on_loop=True))

    made.ended()
    assert [finding.rule for finding in made.document().findings][:2] == ["children", "blocks"]


def test_a_child_that_stood_for_a_moment_is_not_told(record: Record) -> None:
    """It may have been read from after all."""
    made = record()
    made.loop(turns_ms=[1.0] * 10)
    made.write("target", stuck(made, until_s=1.6))

    assert said(made) == []


@pytest.mark.parametrize(
    ("counts", "level"),
    [((1, 3, 6), "warning"), ((6,), "note"), ((1, 2, 3), "note"), ((3, 6, 0), None)],
    ids=["more and more", "all at once", "a few", "waited for late"],
)
def test_children_that_nobody_waits_for(record: Record, counts: Sequence[int], level: str | None) -> None:
    """Only those that become more and more are a warning."""
    made = record()
    made.loop(turns_ms=[1.0] * 10)
    for second, count in enumerate(counts, start=1):
        zombies = event.ZombiesFound(made.at(second), LOOP_PID, count, 10**9, (71,) * count, ("sh",))
        made.write("target", zombies)

    assert [found for found, *_ in said(made)] == ([level] if level else [])


@pytest.mark.parametrize("is_seen", [True, False], ids=["seen", "not seen"])
def test_a_callback_that_stood_ready_names_the_call_from_the_thread(record: Record, is_seen: bool) -> None:
    """Without a call that was seen, the line that waited is named."""
    made = record()
    made.loop(turns_ms=[1.0] * 10)
    for until_s in (2, 3.5):
        made.write(
            "target", event.WakeupMissed(made.at(until_s), LOOP_PID, 0, made.at(1), 1, "convert", CONVERT)
        )
    if is_seen:
        made.write("target", event.ForeignCall(made.at(2), LOOP_PID, 0, "Thread-1", TELL))

    stood = "convert (media.py:12) stood ready for at least 2.50 s while its loop slept: "
    call = (
        "Watcher.tell (watch.py:16) calls Queue.put_nowait on thread Thread-1, which does not wake the loop"
    )
    other = "it was made ready from another thread, or a signal's handler, without waking the loop"
    assert said(made) == [("warning", stood + (call if is_seen else other), 16 if is_seen else 12)]
