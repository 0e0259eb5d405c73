"""The chaos monkey: which hosts it terminates, which it spares and why."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind
from pydantic import ValidationError

from harness.mayhem.brokers.memory.broker import MemoryBroker
from harness.mayhem.errors import StorageBrokenError, StorageUnavailableError
from harness.mayhem.fleet import Fleet
from harness.mayhem.hosts.latency import Fixed
from harness.mayhem.hosts.simulated import SimulatedHost
from harness.mayhem.message import Message, RestartEvent
from harness.mayhem.monkey import monkey as monkey_module
from harness.mayhem.monkey.choice import Skipped, SkipReason, Termination, ThrowHistory, choose
from harness.mayhem.monkey.host_group import DAYS, HostGroup, with_unique_names
from harness.mayhem.monkey.monkey import Monkey
from harness.mayhem.process.thread_pool import ThreadPool

PATIENCE_S = 20
WEB = {"host-0", "host-1", "host-2"}
NAMES = (*sorted(WEB), "db-0")
# A Wednesday.
NOON = datetime(2025, 6, 4, 12, 0, tzinfo=UTC)
LONG_AGO = NOON - timedelta(days=30)
SECOND = timedelta(seconds=1)


def group(**terms: Any) -> HostGroup:
    """A group that permits everything, except for these terms."""
    agreed = {"name": "web", "hosts": ["host-*"], "enabled": True, "leashed": False, "rest_s": 600}
    return HostGroup(**{**agreed, **terms})


def why(terms: Any, now: datetime = NOON, names: Sequence[str] = NAMES, **history: Any) -> SkipReason | str:
    """The reason why the group is skipped, or the victim."""
    known = ThrowHistory(**{"since": LONG_AGO, **history})
    (decision,) = choose([group(**terms)], names, known, now, Random(1))
    return decision.why if isinstance(decision, Skipped) else decision.host


def at(text: str, day: int = 4) -> datetime:
    return datetime.fromisoformat(f"2025-06-{day:02d}T{text}+00:00")


@pytest.mark.parametrize(
    ("terms", "history", "expected"),
    [
        ({}, {}, WEB),
        ({"leashed": True}, {}, WEB),
        ({"enabled": False}, {}, SkipReason.DISABLED),
        # The interval counts from the last throw, whatever came of it, or from the start.
        ({}, {"thrown_at": {"web": NOON - 60 * SECOND}}, WEB),
        ({}, {"thrown_at": {"web": NOON - 59 * SECOND}}, SkipReason.INTERVAL),
        ({}, {"thrown_at": {"other": NOON}}, WEB),
        ({}, {"since": NOON - 59 * SECOND}, SkipReason.INTERVAL),
        ({"every_s": 5, "rest_s": 0}, {"since": NOON - 5 * SECOND}, WEB),
        # The rest counts from the last victim, or from the start.
        ({}, {"chosen_at": {"web": NOON - 600 * SECOND}}, WEB),
        ({}, {"chosen_at": {"web": NOON - 599 * SECOND}}, SkipReason.RESTING),
        ({}, {"since": NOON - 599 * SECOND}, SkipReason.RESTING),
        ({"rest_s": 0}, {"chosen_at": {"web": NOON}}, WEB),
        # One victim at a time.
        ({}, {"underway": {"web": "host-1"}}, SkipReason.UNDERWAY),
        ({"rest_s": 0}, {"underway": {"web": "gone"}}, SkipReason.UNDERWAY),
        # Another group's victim is not this one's as well.
        ({}, {"underway": {"other": "host-0"}}, {"host-1", "host-2"}),
        ({"hosts": ["host-0"]}, {"underway": {"other": "host-0"}}, SkipReason.NOBODY),
        # The exclusion list takes precedence.
        ({"exclude": ["host-0", "host-2"]}, {}, {"host-1"}),
        ({"hosts": ["host-0", "db-?"], "exclude": ["*-0"]}, {}, SkipReason.NOBODY),
        ({"hosts": ["web-*"]}, {}, SkipReason.NOBODY),
        ({"hosts": ["host-[12]"], "exclude": ["host-1"]}, {}, {"host-2"}),
        # The dice.
        ({"probability": 0}, {}, SkipReason.DICE),
        ({"probability": 0.1}, {}, SkipReason.DICE),  # the first throw of this seed is 0.134
        ({"probability": 0.14}, {}, WEB),
        # The first reason applies.
        ({"enabled": False, "hosts": ["web-*"]}, {"since": NOON}, SkipReason.DISABLED),
        ({"probability": 0, "hosts": ["web-*"]}, {}, SkipReason.NOBODY),
        ({"days": ["sun"]}, {"thrown_at": {"web": NOON}}, SkipReason.INTERVAL),
    ],
)
def test_terms_and_history_decide(terms: Any, history: Any, expected: SkipReason | set[str]) -> None:
    """Each reason to skip a group, at its exact limits; otherwise the possible victims."""
    decided = why(terms, **history)

    assert decided is expected if isinstance(expected, SkipReason) else decided in expected


@pytest.mark.parametrize(
    ("terms", "now", "expected"),
    [
        # By default: office hours, Monday to Friday, UTC.
        ({}, at("08:59:59"), SkipReason.HOUR),
        ({}, at("09:00:00"), None),
        ({}, at("16:59:59"), None),
        ({}, at("17:00:00"), SkipReason.HOUR),
        ({}, at("12:00", day=6), None),
        ({}, at("12:00", day=7), SkipReason.DAY),
        ({}, at("12:00", day=8), SkipReason.DAY),
        ({}, at("12:00", day=9), None),
        ({"days": ["sat"]}, at("12:00", day=7), None),
        ({"days": []}, at("12:00"), SkipReason.DAY),
        # Past midnight: the night belongs to the day on which it began.
        ({"hours": "22:00-04:00"}, at("21:59:59"), SkipReason.HOUR),
        ({"hours": "22:00-04:00"}, at("23:59:59"), None),
        ({"hours": "22:00-04:00"}, at("00:00"), None),
        ({"hours": "22:00-04:00"}, at("04:00"), SkipReason.HOUR),
        ({"hours": "22:00-04:00"}, at("03:59", day=7), None),
        ({"hours": "22:00-04:00"}, at("22:00", day=7), SkipReason.DAY),
        ({"hours": "22:00-04:00"}, at("03:59", day=9), SkipReason.DAY),
        # The whole day.
        ({"hours": "00:00-00:00"}, at("00:00"), None),
        ({"hours": "00:00-00:00"}, at("23:59:59"), None),
        ({"hours": "00:00-00:00"}, at("00:00", day=7), SkipReason.DAY),
        # The group's time zone decides about hour and day.
        ({"timezone": "America/New_York"}, at("12:59:59"), SkipReason.HOUR),
        ({"timezone": "America/New_York"}, at("13:00:00"), None),
        ({"timezone": "Pacific/Auckland"}, at("21:00:00", day=8), None),
        ({"timezone": "Pacific/Auckland"}, at("21:00:00", day=6), SkipReason.DAY),
        # Nine o'clock is an hour earlier in UTC when it is summer there.
        ({"timezone": "Europe/Stockholm"}, datetime(2025, 3, 28, 7, 59, tzinfo=UTC), SkipReason.HOUR),
        ({"timezone": "Europe/Stockholm"}, datetime(2025, 3, 28, 8, 0, tzinfo=UTC), None),
        ({"timezone": "Europe/Stockholm"}, datetime(2025, 3, 31, 6, 59, tzinfo=UTC), SkipReason.HOUR),
        ({"timezone": "Europe/Stockholm"}, datetime(2025, 3, 31, 7, 0, tzinfo=UTC), None),
    ],
)
def test_schedule_is_kept(terms: Any, now: datetime, expected: SkipReason | None) -> None:
    """Hours, days, nights, time zones and summer time are exact to the second."""
    decided = why({**terms, "hosts": ["db-0"]}, now, since=now - timedelta(days=30))

    assert decided == (expected or "db-0")


def test_same_seed_same_victims() -> None:
    """The same random generator gives the same decisions."""

    def story(seed: int) -> list[Skipped | Termination]:
        random, history, told = Random(seed), ThrowHistory(since=LONG_AGO), []
        groups = [group(probability=0.5, rest_s=0), group(name="db", hosts=["db-0"], rest_s=0)]
        for minute in range(60):
            now = NOON + minute * timedelta(minutes=1)
            decisions = choose(groups, NAMES, history, now, random)
            history = history.after(decisions, now)
            told += decisions
        return told

    told = story(1)
    assert story(1) == told
    assert story(2) != told
    web = [decision for decision in told if decision.group == "web"]
    assert {type(decision) for decision in web} == {Termination, Skipped}
    assert {decision.host for decision in web if isinstance(decision, Termination)} == WEB
    assert 18 <= sum(isinstance(decision, Termination) for decision in web) <= 42


def test_two_groups_never_choose_the_same_host() -> None:
    """A host in two groups is terminated for only one of them at a time."""
    groups = [group(name=name, hosts=["db-0"]) for name in ("a", "b")]
    decisions = choose(groups, NAMES, ThrowHistory(since=LONG_AGO), NOON, Random(1))

    assert decisions == [Termination("a", "db-0", leashed=False), Skipped("b", SkipReason.NOBODY)]


def test_history_knows_throws_and_victims() -> None:
    """A throw that was not due is not recorded; a leashed victim counts like a real one."""
    before = ThrowHistory(since=LONG_AGO, thrown_at={"c": LONG_AGO})
    after = before.after(
        [
            Termination("a", "host-0", leashed=True),
            Skipped("b", SkipReason.DICE),
            Skipped("c", SkipReason.INTERVAL),
            Skipped("d", SkipReason.DISABLED),
        ],
        NOON,
    )

    assert after == ThrowHistory(
        since=LONG_AGO, thrown_at={"a": NOON, "b": NOON, "c": LONG_AGO}, chosen_at={"a": NOON}
    )


def test_clock_that_was_set_back_delays_and_does_not_stop() -> None:
    """After the clock was set back, the group rests once more, and no longer."""
    history = ThrowHistory(since=NOON, thrown_at={"web": NOON}, chosen_at={"web": NOON})
    earlier = NOON - timedelta(days=7)
    assert why({}, earlier, **as_dict(history)) is SkipReason.INTERVAL
    history = history.after([Skipped("web", SkipReason.INTERVAL)], earlier)

    assert why({}, earlier + 599 * SECOND, **as_dict(history)) is SkipReason.RESTING
    assert why({}, earlier + 600 * SECOND, **as_dict(history)) in NAMES


def test_start_that_is_now_in_the_future_counts_as_now() -> None:
    """The same holds for a group without a history."""
    earlier = NOON - timedelta(days=7)
    history = ThrowHistory(since=NOON).after([Skipped("web", SkipReason.INTERVAL)], earlier)

    assert why({}, earlier + 599 * SECOND, **as_dict(history)) is SkipReason.RESTING
    assert why({}, earlier + 600 * SECOND, **as_dict(history)) in NAMES


def as_dict(
    history: ThrowHistory,
) -> dict[str, Any]:
    return {name: getattr(history, name) for name in ("since", "thrown_at", "chosen_at", "underway")}


def test_group_is_opted_out_and_leashed_until_somebody_says_otherwise() -> None:
    """By default a group is disabled and leashed, and limited to office hours."""
    default = HostGroup(name="web", hosts=("host-*",))

    assert (default.enabled, default.leashed) == (False, True)
    assert (default.days, default.rest_s) == (DAYS[:5], 3600)


@pytest.mark.parametrize(
    ("terms", "complaint"),
    [
        ({"hours": "nine to five"}, "expected hours like 09:00-17:00, got 'nine to five'"),
        ({"hours": "09:00-25:00"}, "expected hours like 09:00-17:00, got '09:00-25:00'"),
        ({"timezone": "Moon/Base"}, "expected a time zone this machine knows, like UTC or Europe/Stockholm"),
        ({"timezone": "../etc/passwd"}, "got '../etc/passwd'"),
        ({"days": ["someday"]}, "Input should be 'mon', 'tue'"),
        ({"hosts": []}, "at least 1 item"),
        ({"name": ""}, "at least 1 character"),
        ({"every_s": 0.5}, "greater than or equal to 1"),
        ({"rest_s": "inf"}, "finite number"),
        ({"probability": 1.5}, "less than or equal to 1"),
        ({"leash": False}, "Extra inputs are not permitted"),
    ],
)
def test_wrong_terms_are_refused(terms: Any, complaint: str) -> None:
    """Invalid terms are errors."""
    with pytest.raises(ValidationError) as error:
        group(**terms)

    assert complaint in str(error.value)


def test_groups_have_names_of_their_own() -> None:
    """Two groups with the same name are an error."""
    with_unique_names(
        (
            group(name="a"),
            group(name="b"),
        )
    )
    with pytest.raises(ValueError, match="expected unique group names, got 'a' twice"):
        with_unique_names(
            (
                group(name="a"),
                group(name="b"),
                group(name="a"),
            )
        )


class Stage:
    """A monkey with a manual clock, a broker, and hosts that restart at once."""

    def __init__(self, threads: ThreadPool, *groups: HostGroup, broker: Any = None) -> None:
        self.now = NOON
        self.broker = broker or MemoryBroker(lease_s=30)
        self.fleet = Fleet(lambda name: SimulatedHost(name, seed=1, latency=Fixed(0)), threads, names=NAMES)
        self.monkey = Monkey(self.broker, self.fleet, groups, seed=1, now=lambda: self.now)

    async def poll(self, after_s: int) -> None:
        self.now += after_s * SECOND
        await self.monkey.poll()

    async def published(self) -> list[str]:
        """Take all waiting events and return their hosts."""
        if not await self.broker.pending():
            return []
        return [RestartEvent.from_body(d.message.body).host for d in await self.broker.get(100)]


@pytest.fixture
async def threads() -> AsyncIterator[Any]:
    async with ThreadPool(1) as threads:
        yield threads


@pytest.fixture
def outcomes(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    counted = []
    monkeypatch.setattr(monkey_module, "record_termination", lambda *outcome: counted.append(outcome))
    return counted


async def test_victim_travels_as_a_message_and_is_waited_for(
    threads: ThreadPool, outcomes: list[Any], spans: InMemorySpanExporter, caplog: pytest.LogCaptureFixture
) -> None:
    """The restart event goes through the broker; the next victim is chosen once the host is back."""
    caplog.set_level(logging.INFO)
    stage = Stage(threads, group(hosts=["db-0"], rest_s=60))
    await stage.poll(59)
    assert await stage.published() == []
    await stage.poll(1)
    assert await stage.published() == ["db-0"]
    await stage.poll(120)
    assert outcomes == [("web", "terminated")]
    await stage.fleet.restart("db-0")
    await stage.poll(60)

    assert outcomes == [("web", "terminated")] * 2
    assert [
        (r.getMessage(), vars(r)["host"]) for r in caplog.records if r.name == "harness.mayhem.monkey.monkey"
    ] == [
        ("terminating", "db-0"),
        ("back", "db-0"),
        ("terminating", "db-0"),
    ]
    assert ("publish restart", SpanKind.PRODUCER) in {(s.name, s.kind) for s in spans.get_finished_spans()}


async def test_leashed_monkey_decides_logs_and_counts_but_terminates_nobody(
    threads: ThreadPool, outcomes: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    """A leashed monkey decides, logs and counts, but terminates nothing."""
    caplog.set_level(logging.INFO)
    stage = Stage(threads, group(leashed=True, rest_s=60))
    for _ in range(4):
        await stage.poll(60)

    assert outcomes == [("web", "leashed")] * 4
    assert await stage.broker.pending() == 0
    assert [r.getMessage() for r in caplog.records if r.name == "harness.mayhem.monkey.monkey"] == [
        "leashed: would terminate"
    ] * 4


async def test_sparing_is_logged_with_its_reason(
    threads: ThreadPool, caplog: pytest.LogCaptureFixture
) -> None:
    """The reason for skipping is logged, except that a throw is not due."""
    caplog.set_level(logging.DEBUG)
    stage = Stage(threads, group(enabled=False), group(name="db", probability=0, rest_s=0))
    await stage.poll(59)
    await stage.poll(1)

    told = [
        (r.getMessage(), vars(r)["group"]) for r in caplog.records if r.name == "harness.mayhem.monkey.monkey"
    ]
    assert told == [
        ("spared: the group is not enabled", "web"),
        ("spared: the group is not enabled", "web"),
        ("spared: the dice said no", "db"),
    ]


async def test_victim_that_does_not_come_back_is_given_up(
    threads: ThreadPool, outcomes: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    """A victim that does not come back is given up after a while."""
    stage = Stage(threads, group(hosts=["db-0"], rest_s=0))
    await stage.poll(60)
    await stage.poll(300)
    assert outcomes == [("web", "terminated")]
    await stage.poll(60)

    assert outcomes == [("web", "terminated")] * 2
    assert [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING] == ["not back in time"]


async def test_broker_that_is_away_costs_a_warning(threads: ThreadPool, outcomes: list[Any]) -> None:
    """If the broker is unavailable, the monkey goes on; if it is broken, the error is raised."""

    class AwayBroker(MemoryBroker):
        error: Exception = StorageUnavailableError("away")

        async def put(self, message: Message) -> None:
            raise self.error

    broker = AwayBroker(lease_s=30)
    stage = Stage(threads, group(hosts=["db-0"], rest_s=0), broker=broker)
    await stage.poll(60)
    await stage.poll(60)
    assert outcomes == [("web", "failed")] * 2
    broker.error = StorageBrokenError("damaged")
    with pytest.raises(StorageBrokenError):
        await stage.poll(60)


async def test_groups_may_be_changed(threads: ThreadPool, outcomes: list[Any]) -> None:
    """A group that remains keeps its history; a new one begins with its rest."""
    stage = Stage(threads, group(rest_s=600))
    await stage.poll(600)
    stage.monkey.change([group(rest_s=600, hosts=["db-0"]), group(name="db", hosts=["db-0"], rest_s=900)])
    for host in NAMES:
        await stage.fleet.restart(host)
    await stage.poll(599)
    assert outcomes == [("web", "terminated"), ("db", "terminated")]
    stage.monkey.change([])
    await stage.poll(6000)

    assert len(outcomes) == 2


async def test_monkey_runs_until_it_is_cancelled(
    threads: ThreadPool, outcomes: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It polls until it is cancelled."""
    monkeypatch.setattr(monkey_module, "POLL_S", 0.001)
    stage = Stage(threads, group(leashed=True, rest_s=0))
    running = asyncio.create_task(stage.monkey.run())
    async with asyncio.timeout(PATIENCE_S):
        while len(outcomes) < 3:
            stage.now += 60 * SECOND
            await asyncio.sleep(0.001)
    running.cancel()
    await asyncio.wait({running})

    assert running.cancelled()
