"""The load's figures."""

from __future__ import annotations

import pytest

from harness.read.figures.load import Late, Latency, Load
from harness.record import event
from tests.read.conftest import Look, Record


def test_latency_counts_from_when_a_request_was_due(record: Record) -> None:
    """A request sent late is as slow as its caller saw it, and the lateness is told apart."""
    made = record()
    made.write("driver", event.LoadStarted(made.at(0), "http", "constant", 10.0, 0.3))
    for n, (due, sent, done) in enumerate([(0.0, 0.0, 0.01), (0.1, 0.15, 0.18), (0.2, 0.2, 0.23)]):
        made.write("driver", event.Sent(n, made.at(due), made.at(sent), f"{n:032x}"))
        made.write("driver", event.Completed(n, made.at(done), ok=True))
    made.write("driver", event.LoadEnded(made.at(0.3), 3))
    made.ended(1)

    assert made.document().load == Load(
        offered=3,
        sent=3,
        completed=3,
        failed=0,
        late_ms=Late(p50=0.0, p99=50.0, max=50.0),
        latency_ms=Latency(p50=30.0, p90=80.0, p95=80.0, p99=80.0, p999=80.0, max=80.0),
    )


def test_what_was_refused_or_never_answered_failed(record: Record) -> None:
    """An error, a refusal before sending and silence are failures; silence lasts to the record's end."""
    made = record()
    made.write(
        "driver",
        event.LoadStarted(made.at(0), "http", "constant", 10.0, 0.4),
        event.Sent(0, made.at(0), made.at(0), ""),
        event.Completed(0, made.at(0.01), ok=True),
        event.Sent(1, made.at(0.1), made.at(0.1), ""),
        event.Completed(1, made.at(0.12), ok=False, error="status 500", kind="status"),
        event.Completed(2, made.at(0.2), ok=False, error="in-flight limit", kind="in flight"),
        event.Sent(3, made.at(0.5), made.at(0.5), ""),
        event.LoadEnded(made.at(0.4), 4),
    )
    made.ended(2.5)

    document = made.document()
    load = document.load
    assert load is not None
    assert (load.offered, load.sent, load.completed, load.failed) == (4, 3, 1, 3)
    assert load.latency_ms.max == 2000.0
    assert [f.message for f in document.findings if f.rule == "load"] == [
        "3 requests failed: 1 × status 500, 1 × no answer, 1 × too many unanswered requests to send another"
    ]
    assert not any(f.invalid for f in document.findings if f.rule == "load")


def test_requests_that_the_driver_could_not_send_make_the_run_invalid(record: Record) -> None:
    """They are told apart from those that the target failed, with what to do."""
    made = record()
    made.write(
        "driver",
        event.LoadStarted(made.at(0), "http", "constant", 10.0, 0.4),
        event.Completed(0, made.at(0.1), ok=False, error="OSError: 24", kind="descriptors"),
        event.Completed(1, made.at(0.1), ok=False, error="status 503", kind="status"),
        event.Completed(2, made.at(0.1), ok=False, error="status 503", kind="status"),
        event.LoadEnded(made.at(0.4), 3),
    )
    made.ended(2.5)

    document = made.document()
    assert document.load is not None
    assert [(f.what, f.count, f.is_the_drivers) for f in document.load.failures] == [
        ("status 503", 2, False),
        ("no file descriptor left in the load driver", 1, True),
    ]
    assert [(f.message, f.invalid) for f in document.findings if f.rule == "load"] == [
        (
            "1 request could not be sent: no file descriptor left in the load driver "
            "(raise its limit (`ulimit -n`), or lower load.rate_per_s or load.timeout_s)",
            True,
        ),
        ("2 requests failed: 2 × status 503", False),
    ]
    assert document.run.outcome == "invalid"


@pytest.mark.parametrize(
    ("faults", "told"),
    [
        ([], ""),
        ([("slow-db", 0.1, 0.3)], "; 2 while fault slow-db was in force"),
        (
            [("slow-db", 0.1, 0.3), ("gone", 0.9, None)],
            "; 2 while fault slow-db was in force, 1 while fault gone was in force",
        ),
        ([("early", 0.0, 0.05)], "; none while a fault was in force"),
    ],
)
def test_failures_are_tied_to_the_faults_in_force(
    record: Record, faults: list[tuple[str, float, float | None]], told: str
) -> None:
    """A request counts for a fault that was in force at any time from when it was due to its end."""
    made = record()
    made.write("driver", event.LoadStarted(made.at(0), "http", "constant", 10.0, 1.2))
    for n, (due_s, done_s) in enumerate([(0.08, 0.12), (0.25, 0.5), (0.35, 0.4), (0.85, 0.95)]):
        made.write("driver", event.Sent(n, made.at(due_s), made.at(due_s), ""))
        made.write("driver", event.Completed(n, made.at(done_s), ok=False, error="timeout", kind="timeout"))
    made.write("driver", event.Sent(9, made.at(0.1), made.at(0.1), ""))
    made.write("driver", event.Completed(9, made.at(0.2), ok=True))
    for name, began_s, ended_s in faults:
        made.write("runner", event.FaultInjected(made.at(began_s), name, "net.latency", "", "", 1.0))
        if ended_s is not None:
            made.write("runner", event.FaultUndone(made.at(ended_s), name, 3, 3, 1))
    made.write("driver", event.LoadEnded(made.at(1.2), 5))
    made.ended(2.5)

    (message,) = [f.message for f in made.document().findings if f.rule == "load"]
    assert message == f"4 requests failed: 4 × timeout{told}"


def test_each_tag_has_its_figures_and_the_warm_up_counts_in_none(record: Record) -> None:
    """Also requests that were never sent; a closed model is told as such."""
    made = record()
    tags = (("home",), ("login", "checkout"), ("buy", "checkout"))
    made.write(
        "driver",
        event.LoadStarted(made.at(0), "http", "closed", 0.0, 2.0, warm_up_s=0.5, tags=tags),
        event.Sent(0, made.at(0.1), made.at(0.1), "", step=1),
        event.Completed(0, made.at(0.4), ok=False, error="status 500", kind="status"),
        event.Sent(1, made.at(0.6), made.at(0.6), "", step=0),
        event.Completed(1, made.at(0.62), ok=True),
        event.Sent(2, made.at(0.6), made.at(0.61), "", step=1),
        event.Completed(2, made.at(0.7), ok=True),
        event.Sent(3, made.at(0.8), made.at(0.8), "", step=2),
        event.Completed(3, made.at(1.0), ok=False, error="unexpected body: no", kind="check"),
        event.Completed(
            4, made.at(1.1), ok=False, error="in-flight limit", kind="in flight", due_ns=made.at(1.1), step=2
        ),
        event.Completed(
            5, made.at(0.2), ok=False, error="in-flight limit", kind="in flight", due_ns=made.at(0.2), step=2
        ),
        event.LoadEnded(made.at(2), 6),
    )
    made.ended(2.5)

    load = made.document().load
    assert load is not None
    assert (load.offered, load.sent, load.completed, load.failed, load.warm_up) == (4, 3, 2, 2, 2)
    assert load.model == "closed"
    assert {
        name: (tag.sent, tag.completed, tag.failed, tag.latency_ms.p50, tag.latency_ms.max)
        for name, tag in load.tag.items()
    } == {
        "buy": (1, 0, 2, None, None),
        "checkout": (2, 1, 2, 100.0, 200.0),
        "home": (1, 1, 0, 20.0, 20.0),
        "login": (1, 1, 0, 100.0, 100.0),
    }
    assert [failure.what for failure in load.failures] == [
        "unexpected body",
        "too many unanswered requests to send another",
    ]


@pytest.mark.parametrize(
    ("late_s", "cpu_ns", "queued_ns", "message"),
    [
        (0.001, 390_000_000, 0, "the load driver used 98 % of a processor: latencies include its own queue"),
        (0.001, 100_000_000, 0, None),
        (
            *(0.2, 390_000_000, 0),
            "the load came late: p99 200 ms, limit 50 ms; "
            "the driver used 98 % of a processor: it cannot send faster than this",
        ),
        (
            *(0.2, 100_000_000, 100_000_000),
            "the load came late: p99 200 ms, limit 50 ms; "
            "the driver waited for a processor 25 % of the time: the machine is too busy",
        ),
        (0.2, 0, 0, "the load came late: p99 200 ms, limit 50 ms"),
    ],
)
def test_the_drivers_own_processor_is_told(
    record: Record, late_s: float, cpu_ns: int, queued_ns: int, message: str | None
) -> None:
    """Why load came late, or that a driver without spare capacity measured itself as well."""
    made = record(max_late_ms=50.0)
    made.write(
        "driver",
        event.LoadStarted(made.at(0), "http", "constant", 10.0, 0.4),
        event.Sent(0, made.at(0), made.at(late_s), ""),
        event.Completed(0, made.at(0.3), ok=True),
        event.LoadEnded(made.at(0.4), 1, elapsed_ns=400_000_000, cpu_ns=cpu_ns, queued_ns=queued_ns),
    )
    made.ended(1.0)

    found = [f.message for f in made.document().findings if f.rule == "load"]
    assert found == ([] if message is None else [message])


def test_a_run_without_load_has_no_figures_of_load(record: Record) -> None:
    """Null, not zeros."""
    made = record()
    made.loop(turns_ms=[1])
    made.ended()

    assert made.document().load is None


def test_two_drivers_with_the_same_numbers_are_kept_apart(record: Record) -> None:
    """Each shard counts its requests from 0."""
    made = record()
    for role, done in (("driver", 0.1), ("shard", 0.3)):
        made.write(
            role, event.Sent(0, made.at(0), made.at(0), ""), event.Completed(0, made.at(done), ok=True)
        )
        made.write(role, event.LoadEnded(made.at(1), 1))
    made.ended(2)

    load = made.document().load
    assert load is not None
    assert (load.offered, load.completed) == (2, 2)
    assert (load.latency_ms.p50, load.latency_ms.max) == (100.0, 300.0)


def test_the_timeline_shows_where_requests_were_due_and_where_answers_came(
    record: Record, look: Look
) -> None:
    """Sent and latency stand at the request, answers at their time, blocks and busy share at the loop's."""
    made = record()
    made.loop()
    made.blocked(0.3, 600, [look("a.py:1 f")])
    made.write(
        "driver", event.Sent(0, made.at(0.3), made.at(0.3), ""), event.Completed(0, made.at(0.9), ok=True)
    )
    made.write("driver", event.Sent(1, made.at(0.8), made.at(0.8), ""))
    for at_s, busy_s in ((0, 0.0), (0.5, 0.06), (1.0, 0.68)):
        made.write("runner", event.LoopSampled(made.at(at_s), 4242, 0, 1, round(busy_s * 1e9), 0, 0))
    made.ended(1.0)

    line = made.document().timeline
    assert line.step_s == 0.25
    assert line.sent == (0, 1, 0, 1)
    assert (line.completed, line.failed) == ((0, 0, 0, 1), (0, 0, 0, 1))
    assert line.max_ms == (None, 600.0, None, None)
    assert line.busy_ratio == pytest.approx((0.2, 0.84, 1.0, 0.68))
    assert line.longest_ms == (None, 600.0, 600.0, 600.0)
