"""How a run is judged: expectations, the outcome, the verdict."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Unpack

import pytest

from harness.read.calls.allowlist import Allowlist
from harness.read.evidence import Evidence
from harness.read.figures.block_totals import BlockTotals
from harness.read.finding import Finding, Level
from harness.read.formats import render
from harness.read.history import load
from harness.read.judge.expectation import ExpectationResult, figures, judge
from harness.read.judge.outcome import OutcomeName, RunOutcome, outcome
from harness.read.judge.verdict import sentence
from harness.read.report import Report, build, exit_status
from harness.read.spans.span import SpanFigures
from harness.record import event, page, value
from harness.record.metric import FIGURES, NAME
from harness.record.run import Expectation
from harness.stacks.cause import Cause
from harness.stacks.starvation import Starvation
from harness.stacks.wait_kind import WaitKind
from tests.read.conftest import LOOP_PID, Full, Look, Options, Record, Recording


def ending(document: Report) -> tuple[str, int]:
    return document.run.outcome, exit_status(document)


def healthy(record: Record, name: str = "run", **options: Unpack[Options]) -> Recording:
    made = record(name, **options)
    made.loop(turns_ms=[1.2] * 300)
    return made


@pytest.mark.parametrize(
    ("comparison", "limit", "passed"),
    [
        ("<", 5, False),
        ("<", 6, True),
        ("<=", 5, True),
        ("<=", 4, False),
        (">", 4, True),
        (">", 5, False),
        (">=", 5, True),
        (">=", 6, False),
        ("==", 5, True),
        ("==", 4, False),
        ("==", 6, False),
        ("!=", 6, True),
        ("!=", 5, False),
    ],
)
def test_an_expectation_compares_the_figure_with_its_limit(comparison: str, limit: int, passed: bool) -> None:
    """Every comparison, on both sides of its limit and at it; as a condition to fail on, the opposite."""
    figures = {"spans.orphans": 5.0}
    (judged,) = judge([Expectation("spans.orphans", comparison, limit)], figures)
    (failing,) = judge([Expectation("spans.orphans", comparison, limit, fail_on=True)], figures)

    assert (judged.limit, judged.value, judged.passed) == (f"{comparison} {limit}", 5, passed)
    assert (failing.limit, failing.value, failing.passed) == (f"{comparison} {limit}", 5, not passed)


@pytest.mark.parametrize("fail_on", [False, True])
def test_a_comparison_that_is_not_known_is_not_judged(fail_on: bool) -> None:
    """Of a later version: it neither passes nor counts as measured."""
    (judged,) = judge([Expectation("spans.orphans", "~", 5, fail_on=fail_on)], {"spans.orphans": 5})

    assert (judged.value, judged.passed) == (None, False)
    assert judged.sentence == "spans.orphans was not measured: this version does not know the comparison ~"


@pytest.mark.parametrize(
    ("key", "comparison", "limit", "value", "condition", "sentence"),
    [
        ("blocks.count", ">=", 1, 0, "blocks.count >= 1", "blocks.count is 0, expected >= 1"),
        (
            "load.latency_ms.p99",
            "<",
            300,
            331.564,
            "load.latency_ms.p99 < 300 ms",
            "load.latency_ms.p99 is 332 ms, expected < 300 ms",
        ),
        ("load.failed", "==", 0, 3_007_835, "load.failed == 0", "load.failed is 3,007,835, expected == 0"),
        (
            "run.duration_s",
            "<",
            5,
            5.004,
            "run.duration_s < 5.00 s",
            "run.duration_s is 5.004 s, expected < 5.00 s",
        ),
        (
            "loop.busy_ratio",
            "<",
            0.3,
            0.30001,
            "loop.busy_ratio < 0.3",
            "loop.busy_ratio is 0.30001, expected < 0.3",
        ),
        (
            "blocks.max_held_ms",
            "<",
            100,
            100.2,
            "blocks.max_held_ms < 100 ms",
            "blocks.max_held_ms is 100.2 ms, expected < 100 ms",
        ),
    ],
)
def test_a_missed_expectation_is_told_with_units(
    key: str, comparison: str, limit: float, value: float, condition: str, sentence: str
) -> None:
    """Rounded as a person reads it, but never so that it reads like the limit that it misses."""
    (judged,) = judge([Expectation(key, comparison, limit)], {key: value})

    assert (judged.condition, judged.sentence) == (condition, sentence)


def test_a_condition_to_fail_on_is_told_as_it_was_written() -> None:
    """Not turned into its opposite."""
    (judged,) = judge([Expectation("blocks.count", ">", 0, fail_on=True)], {"blocks.count": 3})

    assert judged.condition == "fail on blocks.count > 0"
    assert judged.sentence == 'blocks.count is 3 (--fail-on "blocks.count > 0")'


def test_a_condition_about_a_figure_that_was_not_measured_is_invalid(record: Record) -> None:
    """No ledger, no load, no such name: the value is null, with its reason. Nothing failed or passed."""
    made = healthy(
        record, expectations=[("ledger.lost", "==", 0), ("load.failed", "==", 0), ("no.such", ">", 0)]
    )
    made.ended()

    document = made.document()
    assert [(j.value, j.passed) for j in document.expectations] == [(None, False)] * 3
    assert [j.unmeasured for j in document.expectations] == [
        "the run has no ledger of messages",
        "the run had no load",
        "this version knows no such figure",
    ]
    assert ending(document) == ("invalid", 3)
    assert document.run.verdict.startswith(
        "Invalid measurement (ledger.lost was not measured: the run has no ledger of messages): No block: "
    )


@pytest.mark.parametrize("fail_on", [False, True])
@pytest.mark.parametrize(
    "key", [f.key for f in FIGURES if f.key.split(".")[0] != "run" and NAME not in f.key]
)
def test_nothing_passes_where_no_loop_was_watched(record: Record, key: str, fail_on: bool) -> None:
    """The probe never entered: each figure of the target is null, so no condition holds or fails."""
    made = record(expectations=[(key, ">" if fail_on else ">=", 0, fail_on)])
    made.ended()

    document = made.document()
    assert document.expectations[0].value is None
    assert document.expectations[0].unmeasured
    assert ending(document) == ("invalid", 3)


def test_turns_that_were_only_counted_are_blocks_of_unknown_victims(record: Record) -> None:
    """The loop's counters tell how many and how long, not whom they hurt."""
    made = healthy(record, expectations=[("blocks.count", "==", 0), ("blocks.max_held_ms", "<", 100)])
    made.words[page.BLOCKS] += 1
    made.words[page.LONGEST_NS] = 250_000_000
    made.ended()

    document = made.document()
    assert document.block_totals == BlockTotals(count=1, max_held_ms=250.0, total_ms=None, victims=None)
    assert ending(document) == ("failed", 1)
    assert document.run.verdict.startswith(
        "Failed: blocks.count is 1, expected == 0, and 1 more expectation. "
    )


def test_spans_are_unknown_without_an_sdk_and_zero_with_one(record: Record) -> None:
    """A program that was known to follow spans and made none has 0; any other has null."""
    expected = [("spans.by_name.save.count", "==", 0), ("spans.by_name.save.p99_ms", "<", 5)]
    without, having = healthy(record, expectations=expected[:1]), healthy(record, "b", expectations=expected)
    for made, followed in ((without, False), (having, True)):
        made.write("target", event.ProbeClosed(made.at(1), 0, 0.0, 0, 0, 0, spans_followed=followed))
        made.ended()

    assert without.document().spans == SpanFigures(None, None, None, ())
    assert without.document().expectations[0].unmeasured == "the program does not use the OpenTelemetry SDK"
    document = having.document()
    assert document.spans == SpanFigures(0, 0, 0, ())
    assert [(j.value, j.passed) for j in document.expectations] == [(0, True), (None, False)]
    assert document.expectations[1].unmeasured == "no span of this name was recorded"


def test_every_figure_that_can_be_expected_is_computed(full: Full) -> None:
    """What `record/metric.py` offers is in a whole run's figures, save what it does not record."""
    made = full()
    made.close()

    known = figures(Evidence(load(made.folder), Allowlist()))
    missing = [f.key for f in FIGURES if f.key.replace(NAME, "process restart") not in known]
    assert [key for key in missing if not key.startswith(("loop.tasks.", "profile.", "calls."))] == []


def test_met_expectations_pass(record: Record) -> None:
    """All met: passed, status 0."""
    made = healthy(record, expectations=[("blocks.count", "==", 0), ("blocks.max_held_ms", "<", 100)])
    made.ended()

    assert ending(made.document()) == ("passed", 0)


def test_a_target_that_died_on_its_own_crashed(record: Record) -> None:
    """By a signal nobody sent: crashed, status 4, whatever else is true."""
    made = healthy(record, expectations=[("blocks.count", ">", 5)])
    made.ended(3, status=-11, expected=False)

    document = made.document()
    assert ending(document) == ("crashed", 4)
    assert document.run.verdict.startswith("The target died on its own by SIGSEGV: No block: ")


@pytest.mark.parametrize(("status", "expected"), [(0, False), (1, True), (-15, True)])
def test_a_target_that_ended_as_asked_or_well_did_not_crash(
    record: Record, status: int, expected: bool
) -> None:
    """An end that was asked for, or a good one that was not, is no crash."""
    made = healthy(record)
    made.ended(3, status=status, expected=expected)

    assert ending(made.document()) == ("observed", 0)


def test_a_run_without_conditions_is_observed(record: Record) -> None:
    """Nothing was expected, so nothing passed."""
    made = healthy(record)
    made.ended()

    assert ending(made.document()) == ("observed", 0)


@pytest.mark.parametrize(
    ("level", "expected", "name"),
    [
        (Level.ERROR, False, "invalid"),
        (Level.ERROR, True, "invalid"),
        (Level.WARNING, True, "invalid"),
        (Level.WARNING, False, "observed"),
    ],
)
def test_a_finding_can_say_that_the_measurement_cannot_be_judged(
    record: Record, level: Level, expected: bool, name: str
) -> None:
    """An error of this kind always does; a warning does where a condition depends on it."""
    made = healthy(record)
    made.ended()
    made.close()
    judged = [ExpectationResult("blocks.count", "== 0", 0, passed=True)] if expected else []
    found = Finding("target", level, "half of it was not seen", invalid=True)

    ended = outcome(load(made.folder), [found], judged)
    assert (ended.name, ended.reason) == (name, "half of it was not seen" if name == "invalid" else "")


def test_an_interrupted_run_is_aborted(record: Record) -> None:
    """Ctrl-C: status 130."""
    made = healthy(record)
    made.ended(interrupted=True)

    document = made.document()
    assert ending(document) == ("aborted", 130)
    assert document.run.verdict.startswith("Partial record (it was interrupted): ")


def test_a_record_without_the_runners_last_word_is_partial(record: Record) -> None:
    """The runner was killed: aborted, status 3, and the figures so far."""
    made = healthy(record)

    document = made.document()
    assert ending(document) == ("aborted", 3)
    assert document.run.partial
    assert document.run.verdict == (
        "Partial record (the runner was killed or is still running): "
        "No block: no turn of the loop took longer than 100 ms; p99 lag 0.53 ms over 20.0 s."
    )


@pytest.mark.parametrize(("late_ms", "outcome"), [(80, ("invalid", 3)), (20, ("observed", 0))])
def test_load_that_came_late_is_no_measurement(
    record: Record, late_ms: int, outcome: tuple[str, int]
) -> None:
    """p99 lateness over the manifest's limit makes the run invalid; under it nothing happens."""
    made = healthy(record, max_late_ms=50.0)
    for n in range(10):
        made.write("driver", event.Sent(n, made.at(n), made.at(n + late_ms / 1000), ""))
        made.write("driver", event.Completed(n, made.at(n + 0.1), ok=True))
    made.ended()

    assert ending(made.document()) == outcome


def test_events_that_the_driver_dropped_are_no_measurement(record: Record) -> None:
    """Requests that are not in the record cannot be judged."""
    made = healthy(record)
    made.write("driver", event.LoadStarted(made.at(0), "http", "constant", 10.0, 1.0))
    made._writers["driver"].dropped = 3
    made.ended()

    document = made.document()
    assert ending(document) == ("invalid", 3)
    assert document.overhead.events_dropped == 3
    assert document.run.verdict.startswith("Invalid measurement (the driver (process ")


def test_events_that_the_target_dropped_are_a_warning(record: Record) -> None:
    """What is there is true, so it is only told; where a condition depends on it, it cannot be judged."""
    for name, expected, word in (("a", [], "observed"), ("b", [("blocks.count", "==", 0)], "invalid")):
        made = healthy(record, name, expectations=expected)
        made._writers["target"].dropped = 3
        made.ended()

        document = made.document()
        assert document.run.outcome == word
        (found,) = [finding for finding in document.findings if finding.rule == "record"]
        assert (found.level, found.message) == (
            "warning",
            f"the target (process {os.getpid()}) dropped 3 events",
        )
        assert document.overhead.events_dropped == 3


def test_the_drops_of_a_writer_that_was_cut_off_are_unknown(record: Record) -> None:
    """It did not get to tell how many, so it is not 0."""
    made = healthy(record, expectations=[("overhead.events_dropped", "==", 0)])
    made.ended()
    for writer in made._writers.values():
        assert writer.flush()

    document = build(load(made.folder))
    assert document.overhead.events_dropped is None
    assert document.run.outcome == "invalid"
    assert document.expectations[0].unmeasured == "a process did not exit cleanly"


def test_the_verdict_names_the_line_that_blocked(full: Full) -> None:
    """Share, count, call, place, span and who waited, in one sentence."""
    assert full().document().run.verdict == (
        "Failed: blocks.max_held_ms is 301 ms, expected < 100 ms. "
        "Loop blocked 7.5 % of the run: 5 blocks, each time socket.SocketIO.readinto <- Host.restart "
        'waited for a socket (hosts.py:41) in span "restart host", fault stuck-sdk; '
        "tasks waited 115 times, for up to 301 ms."
    )


def test_a_loop_that_never_came_back_comes_before_longer_blocks(record: Record, look: Look) -> None:
    """It is what became of the service, whatever held its loop at the start; a short one is not."""
    made = record()
    made.loop(turns_ms=[3000.0], ran_s=10.0)
    made.blocked(1, 3000, [look("app.py:3 start", span="")])
    received = [look("site/server/wire.py:9 received", count=n, span="") for n in (300, 300, 300)]
    read = look("site/server/wire.py:9 received", "site/server/head.py:2 read", span="")
    made.blocked(8, 2000, [*received, read], ended=False)
    made.ended(10.0, status=-9)

    verdict = made.document().run.verdict
    assert "Loop held to the end, for " in verdict
    assert verdict.index("received (server/wire.py:9)") < verdict.index("; blocked ")
    assert verdict.endswith("the longest time in start (app.py:3).")


def test_the_verdict_names_the_worst_of_several_lines(record: Record, look: Look) -> None:
    """With more than one place the share of the worst is told."""
    made = record()
    made.loop(turns_ms=[300, 100])
    made.blocked(1, 300, [look("a.py:1 f", span="")])
    made.blocked(2, 100, [look("b.py:2 g", span="")])
    made.ended()

    assert made.document().run.verdict == (
        "Loop blocked 2.0 % of the run: 2 blocks, 75 % of the time in f (a.py:1)."
    )


def test_a_share_is_of_the_time_that_the_loops_ran(record: Record, look: Look) -> None:
    """Which is not the run's if the loop ended before it, or if there were several."""
    made = record()
    made.loop(turns_ms=[300], ran_s=5)
    made.blocked(1, 300, [look("a.py:1 f", span="")])
    made.ended(20)
    made.close()
    history = load(made.folder)
    (loop,) = history.loops
    two = replace(history, loops=(loop, replace(loop, started=value.replace(loop.started, loop=1))))
    one, both = (build(found).run.verdict for found in (history, two))

    assert one.startswith("Loop blocked 6.0 % of the time it ran: 1 block")
    assert both.startswith("Loop blocked 3.0 % of the time its 2 loops ran: 1 block")
    assert "of 10.0 s that 2 loops ran" in render(build(two), "html")


@pytest.mark.parametrize(
    ("cause", "waits_for", "leaf", "text"),
    [
        (Cause.CALL, WaitKind("sleep"), "", ": f slept (a.py:1)"),
        (
            Cause.CALL,
            WaitKind("dns"),
            "socket.getaddrinfo",
            ": socket.getaddrinfo <- f waited for DNS (a.py:1)",
        ),
        (Cause.CALL, WaitKind(""), "", " in f (a.py:1)"),
        (Cause.CPU, WaitKind(""), "json.dumps", " in json.dumps <- f (a.py:1)"),
        (Cause.IMPORT, WaitKind(""), "import anyio", " in import anyio <- f (a.py:1)"),
        (Cause.GIL, WaitKind(""), "", ": another thread held the GIL in f (a.py:1)"),
        (
            Cause.GC,
            WaitKind(""),
            "collection of generation 2",
            ": a collection of generation 2 ran in f (a.py:1)",
        ),
        (Cause.MANY, WaitKind(""), "", ": many short callbacks ran, most of the time f (a.py:1)"),
        (Cause.DESCHEDULED, WaitKind(""), Starvation.BUSY, ": the machine was too busy to run f (a.py:1)"),
        (
            Cause.DESCHEDULED,
            WaitKind(""),
            Starvation.STOPPED,
            ": the process was stopped by a signal in f (a.py:1)",
        ),
    ],
)
def test_the_verdict_says_what_happened_by_the_cause(
    record: Record, look: Look, cause: Cause, waits_for: WaitKind, leaf: str, text: str
) -> None:
    """One sentence for each cause; the frame alone would mislead where other code took the time."""
    made = healthy(record)
    made.blocked(1, 300, [look("a.py:1 f", span="")])
    made.ended()
    made.close()
    evidence = Evidence(load(made.folder), Allowlist())
    place = replace(evidence.blockers[0], cause=cause, waits_for=waits_for, leaf=leaf)
    vars(evidence)["blockers"] = (place,)

    said = sentence(evidence, RunOutcome(OutcomeName.PASSED), ())
    assert said == f"Loop blocked 1.5 % of the run: 1 block{text}."


def test_the_verdict_of_a_quiet_run_says_what_was_measured(record: Record) -> None:
    """The limit, the lag and how long it was watched."""
    made = record()
    made.loop(turns_ms=[1.2] * 3000)
    made.ended()

    assert made.document().run.verdict == (
        "No block: no turn of the loop took longer than 100 ms; p99 lag 1.1 ms over 20.0 s."
    )


def test_turns_that_were_counted_but_not_recorded_are_not_called_quiet(record: Record) -> None:
    """The page knows of a block whose event is lost: neither 'no block' nor an invented place."""
    made = record()
    made.loop(turns_ms=[250.0])
    made.ended()

    document = made.document()
    assert document.run.verdict == "Loop blocked by 1 turn of up to 250 ms; no details were recorded."
    assert [f.message for f in document.findings] == ["1 turn over the limit counted but not recorded"]


def test_a_program_without_probe_is_not_called_quiet(record: Record) -> None:
    """No record of the target: the probe never entered."""
    made = record()
    made.ended()

    assert made.document().run.verdict == ("The probe never entered the program, so no loop was measured.")


def test_a_program_without_loop_differs_from_one_without_probe(record: Record) -> None:
    """The probe was there, and saw no loop."""
    made = record()
    made.write("target", event.ProbeClosed(made.at(1), 0, 0.0, 0, 0, 0))
    made.ended()

    assert made.document().run.verdict == (
        "The probe detected no event loop in the program, so no loop was measured."
    )


def test_a_loop_whose_turns_cannot_be_timed_is_not_called_quiet(record: Record) -> None:
    """Counters that nobody writes prove nothing."""
    made = record()
    made.loop(mechanism="unseen")
    made.ended()

    assert made.document().run.verdict == (
        "No process was watched: process 4242: the turns of "
        "asyncio.unix_events._UnixSelectorEventLoop could not be timed, so no loop was measured."
    )


@pytest.mark.parametrize(
    ("lasted_s", "interrupted", "word"),
    [(1.0, False, "invalid"), (3.9, False, "passed"), (1.0, True, "aborted")],
)
def test_a_load_that_was_cut_off_is_no_measurement(
    record: Record, lasted_s: float, interrupted: bool, word: str
) -> None:
    """Unless it was the run that somebody ended."""
    made = healthy(record, expectations=[("load.failed", "==", 0)])
    made.write("driver", event.LoadStarted(made.at(0), "http", "constant", 10.0, 4.0))
    made.write("driver", event.Sent(0, made.at(0.1), made.at(0.1), ""))
    made.write("driver", event.Completed(0, made.at(0.2), ok=True))
    made.write("driver", event.LoadEnded(made.at(lasted_s), 1))
    made.ended(interrupted=interrupted)

    assert ending(made.document())[0] == word


def test_a_load_of_no_request_and_one_that_was_refused_have_no_latency(record: Record) -> None:
    """How soon a request is refused says nothing of the service, nor does it that none of none failed."""
    refused = healthy(record, "refused", expectations=[("load.latency_ms.p99", "<", 100)])
    refused.write("driver", event.LoadStarted(refused.at(0), "http", "constant", 10.0, 0.1))
    refused.write("driver", event.Sent(0, refused.at(0.1), refused.at(0.1), ""))
    refused.write("driver", event.Completed(0, refused.at(0.2), ok=False, error="refused"))
    refused.write("driver", event.LoadEnded(refused.at(0.1), 1))
    refused.ended()
    none = healthy(record, "none", expectations=[("load.failed", "==", 0)])
    none.write("driver", event.LoadStarted(none.at(0), "http", "poisson", 0.1, 0.1))
    none.write("driver", event.LoadEnded(none.at(0.1), 0))
    none.ended()

    assert "no request was answered" in refused.document().run.verdict
    assert "no request was due" in none.document().run.verdict
    assert {ending(made.document()) for made in (refused, none)} == {("invalid", 3)}


def test_tasks_that_were_not_counted_to_the_end_are_unknown(record: Record) -> None:
    """There may have been any number when the census gave up, because there were too many."""
    made = healthy(record, expectations=[("loop.tasks.leaked", "==", 0)])
    made.write("target", event.TasksCounted(made.at(1), LOOP_PID, 3, 0, 0, ()))
    made.write(
        "target", event.PartLeftOut(made.at(2), LOOP_PID, "census", "there were more than 200,000 tasks")
    )
    made.ended()

    document = made.document()
    assert document.loop is not None
    assert document.loop.tasks.leaked is None
    assert "there were more than 200,000 tasks" in document.run.verdict
