"""The whole report as one value, `report.json` as one dictionary. Every renderer works from it alone."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

from ..record.event import Frame, LedgerTaken, RunEnded, TargetExited, TargetStarted
from . import finding
from .blocks import detect as blocks_rule
from .blocks import impact
from .blocks.block import Block
from .blocks.blocker import Blocker, blockers
from .calls.allowlist import Accepted
from .calls.call import Call
from .compare.comparison import Comparison
from .figures import console_usage, fault, load, loop, overhead, timeline
from .history import History
from .judge import expectation, health_check, verdict
from .judge.outcome import Outcome, outcome
from .rules import calls as calls_rule
from .rules import ending as ending_rule
from .rules import faults as faults_rule
from .rules import leases as leases_rule
from .rules import ledger as ledger_rule
from .rules import load as load_rule
from .rules import record as record_rule
from .rules import spans as spans_rule
from .rules import target as target_rule
from .rules import tasks as tasks_rule
from .samples import flame_graph
from .spans import span
from .spans.wait_report import SpanTimes, WaitReport
from .units import ms, seconds

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class TargetReport:
    """The measured program. *exit* is negative for a signal, null when nobody saw its end."""

    command: tuple[str, ...]
    pid: int | None
    exit: int | None


@dataclass(frozen=True, slots=True)
class RunHead:
    """Which run this is, and how it ended."""

    id: str
    scenario: str
    started: str
    duration_s: float
    outcome: str
    reason: str  # why it is invalid, aborted or crashed
    verdict: str
    partial: bool  # the runner's last word is missing
    seed: int
    python: str
    commit: str
    block_limit_ms: float
    target: TargetReport


@dataclass(frozen=True, slots=True)
class LedgerFigures:
    """What became of every message, by the chaos service's own books."""

    published: int
    acked: int
    nacked: int
    redelivered: int
    duplicated: int
    lost: int
    dead_lettered: int
    drain_s: float | None
    waiting: int
    acked_unsaved: int


@dataclass(frozen=True, slots=True)
class Report:
    """`report.json`; the fields carry its names."""

    schema: int
    run: RunHead
    load: load.Load | None
    loop: loop.LoopFigures
    blocks: tuple[Block, ...]
    spans: span.SpanFigures
    ledger: LedgerFigures | None
    faults: tuple[fault.FaultFigures, ...]
    findings: tuple[finding.Finding, ...]
    expectations: tuple[expectation.ExpectationResult, ...]
    profile: overhead.ProfileFigures
    overhead: overhead.Overhead
    blockers: tuple[Blocker, ...]
    calls: tuple[Call, ...] | None  # null when they were not counted
    waits: WaitReport | None  # null when no spans were to be decomposed
    console: console_usage.ConsoleUsage | None  # null when none was opened
    audits: tuple[health_check.HealthCheck, ...]
    difference: Comparison | None  # to another run, when that is asked for
    timeline: timeline.Timeline = field(repr=False)
    traces: tuple[span.Trace, ...] = field(repr=False)
    icicle: flame_graph.FlameGraph | None = field(repr=False)  # null without samples

    @property
    def roots(self) -> tuple[span.SpanName, ...]:
        """The spans with which traces begin and whose time was decomposed, by name; the most time first."""
        names = self.waits.roots if self.waits is not None else ()
        return tuple(name for name in self.spans.by_name if name.name in names and name.decomposed)


def build(history: History, *, accepted: Accepted | None = None) -> Report:
    """Judge the record; its calls by what was *accepted* when the run began, or by other rules."""
    blocks = span.with_paths(history, blocks_rule.blocks(history))
    places = impact.with_impact(history, blocks, blockers(blocks))
    decomposed = SpanTimes(history, blocks)
    offered, loops = load.load(history), loop.figures(history)
    spans = span.spans(history, decomposed)
    taken, faults = history.last(LedgerTaken), fault.faults(history)
    calls = calls_rule.calls(history, accepted or calls_rule.accepted(history))
    findings = (
        *record_rule.findings(history),
        *target_rule.findings(history),
        *ending_rule.findings(history),
        *load_rule.findings(history, offered),
        *ledger_rule.findings(history),
        *faults_rule.findings(faults),
        *blocks_rule.findings(history, blocks),
        *leases_rule.findings(history, blocks),
        *tasks_rule.findings(history),
        *spans_rule.findings(spans),
        *calls_rule.findings(calls or ()),
    )
    ledger, cost, profile = _ledger(taken), overhead.overhead(history), overhead.profile(history)
    duration_s = seconds(history.since_start_ns(history.ended_ns))
    parts = {
        "run": {"duration_s": duration_s},
        "load": offered,
        "loop": loops,
        "spans": spans,
        "ledger": ledger,
        "profile": profile,
        "overhead": cost,
        "calls": {"new": sum(call.new for call in calls)} if calls is not None else None,
    }
    figures = expectation.figures({name: plain(part) for name, part in parts.items()}, blocks, spans)
    expectations = expectation.judge(history.run.expectations, figures)
    ended = outcome(history, findings, expectations)
    traces = span.traces(history, *_involved(blocks), decomposed)
    audited = health_check.HealthInputs(
        block_limit_ms=ms(history.run.block_limit_ns),
        loop=loops,
        held_ms=sum(block.held_ms for block in blocks),
        load=offered,
        p99_gain_ms=impact.p99_ms(history, blocks) if blocks else None,
        lost=ledger.lost + ledger.acked_unsaved if ledger else None,
        spans=spans,
        new_calls=sum(call.new for call in calls) if calls is not None else None,
        overhead=cost,
    )
    return Report(
        schema=SCHEMA,
        run=_head(history, ended, duration_s, verdict.sentence(history, blocks, places, loops, ended)),
        load=offered,
        loop=loops,
        blocks=blocks,
        spans=spans,
        ledger=ledger,
        faults=faults,
        findings=findings,
        expectations=expectations,
        profile=profile,
        overhead=cost,
        blockers=places,
        calls=calls,
        waits=decomposed.waits(),
        console=console_usage.console_usage(history),
        audits=health_check.health_checks(audited),
        difference=None,
        timeline=timeline.timeline(history, blocks),
        traces=traces,
        icicle=flame_graph.flame_graph(history, traces),
    )


def as_json(document: Report) -> dict[str, object]:
    """The document in the shape of `report.json`: objects, lists, strings, numbers and nulls."""
    return {name.name: plain(getattr(document, name.name)) for name in dataclasses.fields(document)}


def plain(value: object) -> object:
    """*value* with every dataclass as a dictionary and every tuple as a list; frames are objects too."""
    if isinstance(value, Frame):
        return value._asdict()
    if dataclasses.is_dataclass(value):
        return {part.name: plain(getattr(value, part.name)) for part in dataclasses.fields(value)}
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    return value


def exit_status(document: Report) -> int:
    """What a command ends with that showed this run."""
    return Outcome(document.run.outcome, document.run.reason).exit_status


def _head(history: History, ended: Outcome, duration_s: float, sentence: str) -> RunHead:
    run, started, exited = history.run, history.last(TargetStarted), history.last(TargetExited)
    return RunHead(
        id=run.id,
        scenario=run.scenario,
        started=run.started,
        duration_s=duration_s,
        outcome=ended.name,
        reason=ended.reason,
        verdict=sentence,
        partial=not history.of(RunEnded),
        seed=run.seed,
        python=run.python,
        commit=run.commit,
        block_limit_ms=ms(run.block_limit_ns),
        target=TargetReport(
            command=run.command,
            pid=started.pid if started else None,
            exit=exited.status if exited else None,
        ),
    )


def _ledger(taken: LedgerTaken | None) -> LedgerFigures | None:
    if taken is None:
        return None
    return LedgerFigures(
        **{name.name: getattr(taken, name.name) for name in dataclasses.fields(LedgerFigures)}
    )


def _involved(blocks: tuple[Block, ...]) -> tuple[set[str], set[str]]:
    """The traces that held a loop, and those that waited for it."""
    holders = {block.trace_id for block in blocks}
    waiters = {victim.trace_id for block in blocks for victim in block.victims}
    return holders - {""}, waiters - {""}
