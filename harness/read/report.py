"""The report as one value, for the renderers, and as the dictionary of `report.json`."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

from ..errors import RecordError
from ..record.event import Frame, RunEnded
from .blocks.block import Block
from .blocks.blocker import Blocker
from .calls.allowlist import Allowlist
from .calls.call import Call
from .compare.comparison import Comparison
from .evidence import Evidence
from .figures import block_totals, console_usage, fault, hang, ledger, load, loop, overhead, target, timeline
from .figures.damage import damages
from .finding import Finding
from .history import History
from .judge import expectation, health_check, rulebook, unmeasured, verdict
from .judge.outcome import OutcomeName, RunOutcome, judgement, outcome
from .processes.process import ProcessFigures
from .samples import flame_graph
from .spans import span
from .spans.wait_report import WaitReport
from .units import ms

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class RunHead:
    """Which run this is, and how it ended."""

    id: str
    scenario: str
    scenario_file: str  # "" for a program run by `harness watch`
    started: str
    duration_s: float
    outcome: OutcomeName
    reason: str  # why it is invalid, aborted or crashed
    verdict: str
    partial: bool  # the runner's last event is missing
    seed: int
    python: str
    commit: str
    branch: str
    host: str
    cpu_s: float | None  # of the processes with a loop, start and probe included; null if one was cut off
    block_limit_ms: float
    target: target.TargetReport


@dataclass(frozen=True, slots=True)
class Report:
    """`report.json`, with the same names."""

    schema: int
    run: RunHead
    load: load.Load | None
    loop: loop.LoopFigures
    processes: tuple[ProcessFigures, ...]
    blocks: tuple[Block, ...]
    block_totals: block_totals.BlockTotals
    hangs: tuple[hang.Hang, ...]
    spans: span.SpanFigures
    ledger: ledger.LedgerFigures | None
    faults: tuple[fault.FaultFigures, ...]
    findings: tuple[Finding, ...]
    expectations: tuple[expectation.ExpectationResult, ...]
    profile: overhead.ProfileFigures
    overhead: overhead.Overhead
    blockers: tuple[Blocker, ...]
    calls: tuple[Call, ...] | None  # null if they were not counted
    waits: WaitReport | None  # null without `--waits`
    console: console_usage.ConsoleUsage | None  # null if none was opened
    audits: tuple[health_check.HealthCheck, ...]
    difference: Comparison | None  # with another run; null without `--against`
    timeline: timeline.Timeline = field(repr=False)
    traces: tuple[span.Waterfall, ...] = field(repr=False)
    icicle: flame_graph.FlameGraph | None = field(repr=False)  # null without samples

    @property
    def roots(self) -> tuple[span.SpanName, ...]:
        """The names of decomposed spans that are the root of a trace, most time first."""
        names = self.waits.roots if self.waits is not None else ()
        return tuple(name for name in self.spans.by_name if name.name in names and name.decomposed)


def build(history: History, *, allowlist: Allowlist | None = None) -> Report:
    """The report of a record; *allowlist*, if given, replaces the one in its manifest.

    Raises:
        RecordError: The record is so damaged that it cannot be judged.
    """
    with _telling_damage(history):
        return _build(history, allowlist)


def outcome_of(evidence: Evidence) -> RunOutcome:
    """How the run ended, for those who need nothing else of its report.

    Raises:
        RecordError: As from `build`.
    """
    with _telling_damage(evidence.history):
        return _judged(evidence)[-1]


@contextmanager
def _telling_damage(history: History) -> Iterator[None]:
    try:
        yield
    except Exception as exc:
        if damaged := next(damages(history), ""):
            raise RecordError(f"the record is damaged, and cannot be judged: {damaged}") from exc
        raise


def _build(history: History, allowlist: Allowlist | None) -> Report:
    evidence = Evidence(history, allowlist or Allowlist.of_run(history.run))
    found, judged, ended = _judged(evidence)
    return Report(
        schema=SCHEMA,
        run=_head(evidence, ended, found, judged),
        load=evidence.load,
        loop=evidence.loop,
        processes=evidence.processes,
        blocks=evidence.blocks,
        block_totals=evidence.block_totals,
        hangs=evidence.hangs,
        spans=evidence.spans,
        ledger=evidence.ledger,
        faults=evidence.faults,
        findings=found,
        expectations=judged,
        profile=overhead.profile(history),
        overhead=evidence.overhead,
        blockers=evidence.blockers,
        calls=evidence.calls,
        waits=evidence.span_times.waits(),
        console=console_usage.console_usage(history),
        audits=health_check.health_checks(evidence),
        difference=None,
        timeline=timeline.timeline(history, evidence.blocks),
        traces=evidence.traces,
        icicle=flame_graph.flame_graph(history, evidence.traces),
    )


def _judged(
    evidence: Evidence,
) -> tuple[tuple[Finding, ...], tuple[expectation.ExpectationResult, ...], RunOutcome]:
    history, found = evidence.history, rulebook.findings(evidence)
    judged = expectation.judge(
        history.run.expectations, expectation.figures(evidence), partial(unmeasured.why, evidence)
    )
    return found, judged, outcome(history, found, judged)


def as_json(document: Report) -> dict[str, object]:
    """The report in the shape of `report.json`: objects, lists, strings, numbers and nulls."""
    return {name.name: plain(getattr(document, name.name)) for name in dataclasses.fields(document)}


def plain(value: object) -> object:
    """*value* with dataclasses and frames as dictionaries, and tuples as lists."""
    if isinstance(value, Frame):
        return value._asdict()
    if dataclasses.is_dataclass(value):
        return {part.name: plain(getattr(value, part.name)) for part in dataclasses.fields(value)}
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    return value


def exit_status(document: Report) -> int:
    """The exit status of a command that reports this run."""
    return RunOutcome(document.run.outcome, document.run.reason).exit_status


def condition_status(document: Report) -> int:
    """The exit status by the conditions alone: 0 if they hold, 1 if not, 3 if they cannot be judged."""
    if document.run.outcome == OutcomeName.ABORTED:
        return exit_status(document)
    return judgement(document.findings, document.expectations).exit_status


def _head(
    evidence: Evidence,
    ended: RunOutcome,
    found: tuple[Finding, ...],
    judged: tuple[expectation.ExpectationResult, ...],
) -> RunHead:
    run = evidence.history.run
    return RunHead(
        id=run.id,
        scenario=run.scenario,
        scenario_file=run.scenario_file,
        started=run.started,
        duration_s=evidence.duration_s,
        outcome=ended.name,
        reason=ended.reason,
        verdict=verdict.sentence(evidence, ended, found, judged),
        partial=not evidence.history.of(RunEnded),
        seed=run.seed,
        python=run.python,
        commit=run.commit,
        branch=run.branch,
        host=run.host,
        cpu_s=overhead.cpu_s(evidence.history),
        block_limit_ms=ms(run.block_limit_ns),
        target=target.target(evidence.history),
    )
