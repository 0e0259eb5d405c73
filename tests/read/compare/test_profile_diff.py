"""The samples of two runs side by side, and how much of their difference is noise."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.read.compare.profile_diff import ProfileDiff, profile_diff
from harness.read.history import History, load
from harness.record import event
from tests.read.conftest import Full, Record

FILES = {
    "handle": "/srv/shop/service.py",
    "total": "/srv/shop/cart.py",
    "dumps": "/usr/lib/python3.12/json.py",
}


Profiled = Callable[..., History]


@pytest.fixture
def profiled(record: Record) -> Profiled:
    """A run with samples: of each function how many visits, and how many ticks of 10 ms each lasted."""

    def make(
        name: str,
        visits: dict[str, tuple[int, int]],
        *,
        requests: int = 100,
        ran_s: float = 20.0,
        line: int = 41,
        way: str = "signal",
        hz: int = 100,
    ) -> History:
        made = record(name)
        made.loop(turns_ms=[1.0] * 100, ran_s=ran_s)
        frames = tuple(event.Frame(FILES[function], line, function) for function in FILES)
        made.write("target", event.FrameTable(made.at(0), 4242, 1, (0, 1, 2), frames))
        at_s = 1.0
        for function, (count, ticks) in visits.items():
            for n in range(count):
                looks = tuple(number for tick in range(ticks) for number in (tick * 1_000_000 // hz, 1))
                stack, task = list(FILES).index(function) + 1, f"checkout-{n}"
                made.write(
                    "target",
                    event.Sampled(
                        *(made.at(at_s), 4242, "MainThread", way, hz, stack, ticks, task, "checkout"),
                        *("checkout", f"{n:032x}", f"{n:016x}", looks if ticks > 1 else ()),
                    ),
                )
                at_s += 2 * ticks / hz
        for n in range(requests):
            made.write("driver", event.Sent(n, made.at(1), made.at(1), f"{n:032x}"))
            made.write("driver", event.Completed(n, made.at(2), ok=True))
        made.write("runner", event.TargetStopping(made.at(ran_s), "SIGTERM"))
        made.ended(ran_s)
        made.close()
        return load(made.folder)

    return make


def diff(base: History, head: History) -> ProfileDiff:
    found = profile_diff(base, head)
    assert isinstance(found, ProfileDiff)
    return found


def verdicts(found: ProfileDiff) -> dict[str, str]:
    return {shift.function: shift.verdict for shift in found.shifts}


def test_more_occurrences_than_by_chance_are_heavier(profiled: Profiled) -> None:
    """Forty instead of ten are beyond the noise, in either direction; eleven instead of ten are not."""
    base, head = profiled("base", {"total": (10, 1)}), profiled("head", {"total": (40, 1)})
    near = profiled("near", {"total": (11, 1)})

    assert verdicts(diff(base, head)) == {"total": "heavier"}
    assert verdicts(diff(head, base)) == {"total": "lighter"}
    assert verdicts(diff(base, near)) == {"total": "noise"}
    assert verdicts(diff(base, base)) == {"total": "noise"}


def test_a_long_occurrence_is_one_event(profiled: Profiled) -> None:
    """One of 30 ticks may be chance, 30 of one tick each are not: the ticks of a visit hang together."""
    none = profiled("none", {"handle": (20, 1)})
    (long,) = [
        shift
        for shift in diff(none, profiled("long", {"handle": (20, 1), "total": (1, 30)})).shifts
        if shift.function == "total"
    ]
    short = diff(none, profiled("short", {"handle": (20, 1), "total": (30, 1)}))

    assert (long.verdict, long.head_ms, long.band_ms) == ("noise", 3.0, 6.0)
    assert verdicts(short) == {"handle": "noise", "total": "heavier"}


def test_runs_of_different_length_are_compared_by_the_request(profiled: Profiled) -> None:
    """Twice the samples for twice the requests are nothing; without load the time that loops ran counts."""
    base = profiled("base", {"total": (50, 1)})
    twice = diff(base, profiled("twice", {"total": (100, 1)}, requests=200))
    idle = diff(
        profiled("a", {"total": (50, 1)}, requests=0),
        profiled("b", {"total": (100, 1)}, requests=0, ran_s=40),
    )

    (shift,) = twice.shifts
    assert (twice.per, twice.base_units, twice.head_units) == ("request", 100, 200)
    assert (shift.base_ms, shift.head_ms, shift.verdict) == (5.0, 5.0, "noise")
    assert (idle.per, idle.base_units, idle.head_units) == ("second", 20.0, 40.0)
    assert verdicts(idle) == {"total": "noise"}


def test_code_that_moved_is_the_same_code(profiled: Profiled) -> None:
    """A function is told by name and file; a library's time is put down to the program's line above it."""
    base = profiled("base", {"total": (5, 1), "dumps": (20, 1)})
    moved = diff(base, profiled("moved", {"total": (5, 1), "dumps": (20, 1)}, line=87))

    assert [line[:2] for line in moved.lines] == [
        ("handle", "service.py"),
        ("total", "cart.py"),
        ("dumps", "json.py"),
    ]
    (shift,) = moved.shifts
    assert (shift.function, shift.where, shift.base_ms, shift.head_ms) == ("total", "cart.py", 2.5, 2.5)


def test_each_row_has_its_call_and_the_noise_of_all_below(profiled: Profiled) -> None:
    """Times are of the call by itself and add up; variances do not, so inner calls have their own."""
    found = diff(
        profiled("base", {"handle": (4, 1), "total": (6, 1)}),
        profiled("head", {"handle": (4, 1), "total": (9, 2)}),
    )
    rows = {row.call: row for row in found.rows}

    assert [(row.base_ms, row.head_ms) for _, row in sorted(rows.items())] == [(0, 0), (0.4, 0.4), (0.6, 1.8)]
    # Ten visits of one tick; four of one and nine of two; each tick is a tenth of a millisecond per request.
    assert rows[1].variance == pytest.approx((10 + 4 + 9 * 4) * 0.01)
    assert rows[2].variance == pytest.approx((6 + 9 * 4) * 0.01)
    assert rows[0].variance == rows[1].variance
    assert found.callers == (0, 1)


def test_occurrences_end_where_another_task_follows(profiled: Profiled, record: Record) -> None:
    """Ticks of two tasks in turn are a visit each, however close they lie; of one task they are one."""
    alone = profiled("alone", {"total": (1, 6)})

    def in_turn(name: str, tasks: int) -> History:
        made = record(name)
        made.loop()
        made.write(
            "target", event.FrameTable(made.at(0), 4242, 1, (0,), (event.Frame(FILES["total"], 41, "total"),))
        )
        for n in range(6):
            at_ns = made.at(1 + n / 100)
            task = f"checkout-{n % tasks}"
            made.write(
                "target", event.Sampled(at_ns, 4242, "MainThread", "signal", 100, 1, 1, task, "c", "", "", "")
            )
        for n in range(100):
            made.write(
                "driver", event.Sent(n, made.at(1), made.at(1), ""), event.Completed(n, made.at(2), ok=True)
            )
        made.ended()
        made.close()
        return load(made.folder)

    one, two = (diff(alone, in_turn(f"{n}", n)).shifts[0] for n in (1, 2))
    assert one.band_ms == pytest.approx(2 * (2 * 36 * 0.01) ** 0.5, rel=1e-3)
    assert two.band_ms == pytest.approx(2 * ((36 + 6) * 0.01) ** 0.5, rel=1e-3)


def test_in_a_recording_from_outside_each_tick_is_an_event(profiled: Profiled) -> None:
    """py-spy only counts, and all of a stack is one event: its ticks are taken as visits of their own."""
    base = profiled("base", {"total": (1, 10)}, way="outside")
    (shift,) = diff(base, profiled("head", {"total": (1, 60)}, way="outside")).shifts

    assert (shift.head_ms - shift.base_ms, shift.verdict) == (5.0, "heavier")
    assert shift.band_ms == pytest.approx(2 * (70 * 0.01) ** 0.5, rel=1e-3)


def test_where_nothing_can_be_compared_there_is_a_reason(
    profiled: Profiled, record: Record, full: Full
) -> None:
    """Without samples in either run, or with samples in one alone."""
    sampled, empty = profiled("sampled", {"total": (5, 1)}), record("empty")
    empty.loop()
    empty.ended()
    empty.close()
    late = full("late")
    late.close()

    assert profile_diff(load(empty.folder), sampled) == "there are no samples of the other run"
    assert profile_diff(sampled, load(empty.folder)) == "there are no samples of this run"
    assert str(profile_diff(sampled, load(late.folder))).startswith("only one of the runs was sampled")
    assert diff(load(late.folder), load(late.folder)).only_late


def test_calls_beyond_the_bound_are_counted(profiled: Profiled, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page has room for so many; the time of the others is not lost without a word."""
    base = profiled("base", {"handle": (10, 1), "total": (6, 1), "dumps": (2, 1)})
    monkeypatch.setattr("harness.read.compare.profile_diff.CALLS", 3)

    found = diff(base, base)
    assert [line.function for line in found.lines] == ["handle", "total"]
    assert found.left_out_ms == pytest.approx(0.4)
    assert {shift.function for shift in found.shifts} == {"handle", "total"}
