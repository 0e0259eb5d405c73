"""What censuses of tasks mean, and what is said of work that got lost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from harness.record import event
from harness.record.codec import encode
from harness.record.event import Frame
from tests.read.conftest import Record, Recording

# As the records of these tests have them.
LOOP_PID = 4242
APPLICATION, STDLIB = "/srv/shop/", "/usr/lib/python3.12/"
SITE = "/srv/shop/.venv/lib/python3.12/site-packages/"

WATCHER = event.Coroutine(
    "watch",
    APPLICATION + "hub.py",
    10,
    stack=(
        Frame(APPLICATION + "hub.py", 14, "watch"),
        Frame(APPLICATION + "hub.py", 30, "Hub.closed"),
        Frame(STDLIB + "asyncio/locks.py", 212, "Event.wait"),
    ),
)


def censuses(
    made: Recording,
    counts: Sequence[int],
    *,
    seen: int | None = None,
    descriptors: int = 0,
    closing_from: int | None = None,
    **crowd: int,
) -> None:
    """One census per second, with one crowd of so many tasks; a second's work of the process in each."""
    made.loop(turns_ms=[1.0] * 10)
    made.write("target", event.AwaitSite(made.at(0), LOOP_PID, 0, WATCHER))
    arrived = 0
    for second, count in enumerate(counts):
        arrived = max(arrived, count)
        taken = event.TasksCounted(
            at_ns=made.at(second),
            pid=LOOP_PID,
            pending=count + 1,
            cpu_ns=second * 1_000_000_000,
            descriptors=10 + descriptors * count,
            clusters=(event.TaskCluster(0, count, seen or arrived, **crowd),) if count else (),
            closing=closing_from is not None and second >= closing_from,
        )
        made.write("target", taken)


def said(made: Recording) -> list[tuple[str, str, int | None]]:
    return [(f.level, f.message, f.line) for f in made.document().findings if f.rule == "tasks"]


def test_a_cluster_that_only_grows_is_a_leak_at_the_programs_own_line(record: Record) -> None:
    """The warning has the number, the time in which they came, and the innermost line of the application."""
    made = record()
    censuses(made, range(0, 100, 5))

    assert said(made) == [
        (
            "warning",
            "95 tasks of watch wait at hub.py:30: they arrived from 2.0 s to 18.0 s into the run, "
            "and none of them left",
            30,
        )
    ]
    assert made.document().loop.tasks.leaked == 95


@pytest.mark.parametrize(
    ("counts", "more"),
    [
        ([100] * 20, {}),
        ([0, 50, 100] + [100] * 17, {}),
        (range(19), {}),
        (range(0, 100, 5), {"seen": 200}),
        ([*range(0, 100, 10), *range(100, 0, -10)], {}),
        ([0] * 18 + [50, 100], {}),
    ],
    ids=["constant", "there soon after the start", "too few", "they turn over", "they end", "all at once"],
)
def test_clusters_that_are_no_leak(record: Record, counts: Sequence[int], more: dict[str, Any]) -> None:
    """A pool, a handful, tasks at work, tasks that end, and a burst."""
    made = record()
    censuses(made, counts, **more)

    assert said(made) == []
    assert made.document().loop.tasks.leaked == 0


@pytest.mark.parametrize(("growing", "is_leak"), [([10, 40, 80, 100], True), ([10, 80, 100, 100], False)])
def test_a_leak_grows_for_a_tenth_of_the_cpu_time(record: Record, growing: list[int], is_leak: bool) -> None:
    """From a tenth to below nine tenths of its size: 2 s of 20 are enough, 1 s is not."""
    made = record()
    censuses(made, [0] * 8 + growing + [100] * 9)

    assert bool(said(made)) is is_leak


@pytest.mark.parametrize(
    ("each", "others", "python", "told"),
    [
        (3, 0, "3.11.7", ["warning"]),
        (2, 0, "3.12.1", ["warning"]),
        (2, 0, "3.11.7", []),
        (1, 0, "3.12.1", []),
        (3, 2, "3.12.1", []),
        (0, 0, "3.12.1", []),
    ],
    ids=[
        "others came and ended",
        "one for each",
        "one for each, as wait_for has before 3.12",
        "in one go",
        "others came and stayed",
        "names of their own",
    ],
)
def test_a_cluster_that_grew_fast_is_a_leak_when_others_came_and_ended(
    record: Record, each: int, others: int, python: str, told: list[str]
) -> None:
    """Within 90 ms: each of its tasks was the last of a group, some of which are still pending."""
    made = record()
    opened = event.WriterOpened(made.at(0), 0, "target", LOOP_PID, 1, python, ("python", "-m", "shop"))
    (made.folder.events / f"target-{LOOP_PID}-0.jsonl").write_text(encode(opened) + "\n")
    made.loop(turns_ms=[1.0] * 10)
    made.write("target", event.AwaitSite(made.at(0), LOOP_PID, 0, WATCHER))
    for census in range(60):
        count = min(census, 10) * 10
        crowd = event.TaskCluster(0, count, count, newest=5 + each * count if each else 0)
        made.write(
            "target",
            event.TasksCounted(
                at_ns=made.at(census / 100),
                pid=LOOP_PID,
                pending=3 + count * (1 + others),
                cpu_ns=min(census, 12) * 10_000_000,
                descriptors=12,
                clusters=(crowd,) if count else (),
            ),
        )

    assert [level for level, *_ in said(made)] == told


def test_a_cluster_that_grows_with_the_open_sockets_is_a_note(record: Record) -> None:
    """Its tasks may belong to connections that are meant to stay."""
    made = record()
    censuses(made, range(0, 100, 5), descriptors=1)

    ((level, message, _),) = said(made)
    assert level == "note"
    assert message.endswith("as many files or sockets were opened, so they may serve connections")
    assert made.document().loop.tasks.leaked == 0


@pytest.mark.parametrize("ending", ["closing", "stopping"])
def test_what_was_pending_before_the_end_counts(record: Record, ending: str) -> None:
    """A target that was asked to end cancels what it has leaked."""
    made = record()
    censuses(made, [*range(0, 100, 5), 0, 0], closing_from=20 if ending == "closing" else None)
    if ending == "stopping":
        made.write("runner", event.TargetStopping(made.at(19.5), "SIGTERM"))

    assert [level for level, _, _ in said(made)] == ["warning"]


def test_a_task_that_goes_on_after_a_cancellation_is_a_warning(record: Record) -> None:
    """With the longest time that was seen."""
    made = record()
    censuses(made, [1, 1], cancelled=1, cancelled_ns=3_200_000_000)

    assert said(made) == [
        (
            "warning",
            "1 task of watch cancelled but still pending at hub.py:30, "
            "at least 3.20 s after the cancellation",
            30,
        )
    ]


def test_a_task_that_ended_long_after_its_cancellation_is_a_note(record: Record) -> None:
    """Slow, but it obeyed."""
    made = record()
    censuses(made, [1, 0], cancelled=1, cancelled_ns=3_200_000_000)

    assert [level for level, _, _ in said(made)] == ["note"]


def test_of_a_loss_that_was_written_again_the_whole_count_holds(record: Record) -> None:
    """The probe writes a loss again as it is repeated; another one of the same moment stays its own."""
    made = record()
    made.loop()
    library = event.Coroutine("poll", SITE + "sdk/poll.py", 3)
    for count in (1, 2, 1000):
        made.write("target", event.TaskDestroyed(made.at(1), LOOP_PID, WATCHER, count))
    made.write("target", event.TaskDestroyed(made.at(1), LOOP_PID, library, 1))

    assert said(made) == [
        (
            "warning",
            "1,000 tasks of watch (hub.py:30) destroyed while pending: no reference to it was kept",
            30,
        ),
        ("warning", "1 task of poll (sdk/poll.py:3) destroyed while pending: no reference to it was kept", 3),
    ]


def test_an_exception_of_a_plain_callback_has_its_line(record: Record) -> None:
    """asyncio reports what a callback raised in the same way; no task is to blame."""
    made = record()
    made.loop()
    stack = (
        Frame(STDLIB + "asyncio/events.py", 88, "Handle._run"),
        Frame(APPLICATION + "hub.py", 50, "tick"),
    )
    lost = event.ExceptionLost(
        made.at(1), LOOP_PID, "Exception in callback tick()", "KeyError: 'a'", stack, None, 2
    )
    made.write("target", lost)

    assert said(made) == [
        (
            "warning",
            "2 exceptions went unhandled: KeyError: 'a', raised in tick (hub.py:50); "
            "asyncio reported: Exception in callback tick()",
            50,
        )
    ]


def test_a_cancellation_that_asyncio_reports_is_a_note(record: Record) -> None:
    """What was cancelled was to be lost: older Pythons report each open connection at the end of a loop."""
    made = record()
    made.loop()
    lost = event.ExceptionLost(
        made.at(1), LOOP_PID, "Exception in callback connection_made()", "CancelledError", (), None, 1
    )
    made.write("target", lost)

    ((level, message, _),) = said(made)
    assert level == "note"
    assert message.startswith("1 exception went unhandled: CancelledError")


def test_without_a_census_nothing_is_known_of_tasks(record: Record) -> None:
    """Null and not zero: the probe of another loop or version may not have looked."""
    made = record()
    made.loop()

    assert made.document().loop.tasks.leaked is None
    assert made.document().loop.tasks.destroyed_pending is None
