"""`load.find = "capacity"`: the highest rate at which a scenario's expectations are met."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from math import sqrt
from pathlib import Path

from ..errors import OutputError, UsageError
from ..read import history, limit, report
from ..read.formats import publish
from ..read.report import Report
from ..read.units import duration, percent, printable
from ..record.options.stages import MOST_PER_S
from ..record.run import new_id
from ..runs import noting
from . import failure, results
from .single_run import ScenarioOrder, carry_out

# The search ends when the rate that fails is so close to the one that passes, or after so many runs.
CLOSE, MOST_RUNS = 1.1, 14
LEAST_PER_S = 0.5
# The loop is sampled, so that the line that limits it can be named.
SAMPLE_HZ = 100
FILE = "capacity.json"

Ordered = Callable[..., ScenarioOrder]


@dataclass(frozen=True, slots=True)
class Step:
    """One run of the search."""

    rate_per_s: float
    outcome: str
    exit_status: int
    by_the_driver: bool  # which could not send as much as that
    p50_ms: float | None
    p99_ms: float | None
    busy_ratio: float | None  # of the loop, while requests came
    lag_p99_ms: float | None
    verdict: str
    limited_by: str  # "" if the expectations were met
    folder: str

    @property
    def passed(self) -> bool:
        """Whether all expectations were met."""
        return self.exit_status == 0

    @property
    def failed(self) -> bool:
        """Whether this was too much: an expectation was not met, or the target died of it."""
        return self.exit_status in (1, 4) or self.by_the_driver


@dataclass(frozen=True, slots=True)
class Capacity:
    """What the search has found."""

    passes_per_s: float | None  # the highest rate that met the expectations; null if none did
    fails_per_s: float | None  # the lowest that did not; null if all did
    limited_by: str  # what limited the service there; "" if nothing did
    by_the_driver: bool  # so the service may take more
    steps: tuple[Step, ...]

    @property
    def exit_status(self) -> int:
        """0 if the capacity was found, 1 if no rate meets the expectations, 3 if it cannot be told."""
        last = self.steps[-1]
        if not (last.passed or last.failed):
            return last.exit_status
        if self.passes_per_s is None:
            return 1
        return 3 if self.by_the_driver or self.fails_per_s is None else 0


def find_capacity(single: ScenarioOrder, order: Ordered) -> int:
    """Search, show each run as one line and what was found, and return the exit status.

    Raises:
        UsageError, HarnessError: The scenario cannot be started; or another format than JSON was asked for.
    """
    if any(name != "json" for name in single.output.names) or single.output.files:
        raise UsageError("a search for the capacity is shown as text or with --json")
    assert single.scenario.load is not None
    assert single.scenario.load.rate_per_s is not None
    folder = (single.out or Path("reports") / new_id(f"{single.scenario.name}-capacity")).resolve()
    as_json = single.output.shown == "json"
    more = () if single.scenario.probe.sample_hz else (f"probe.sample_hz={SAMPLE_HZ}",)
    rate: float | None = single.scenario.load.rate_per_s
    steps: list[Step] = []
    while rate is not None and len(steps) < MOST_RUNS:
        change = f"load.rate_per_s={rate:.6g}"
        steps.append(_run(order(folder / f"{rate:.4g}-per-s", change, *more), rate))
        results.write(_line(steps[-1]), err=as_json)
        rate = _next(steps)
    found = _found(steps)
    document = json.dumps({"schema": 1, **asdict(found)}, indent=1) + "\n"
    try:
        (folder / FILE).write_text(document)
    except OSError as exc:
        raise OutputError(f"{folder / FILE}: cannot be written: {exc.strerror}") from exc
    results.write(document if as_json else _summary(found, folder))
    return found.exit_status


def _run(order: ScenarioOrder, rate_per_s: float) -> Step:
    folder = carry_out(order)
    with failure.judging(folder.path):
        judged = report.build(history.load(folder))
        publish(folder, judged)
        if missing := noting.note_ended(folder, judged):
            results.write(f"harness: {missing}\n", err=True)
    return _step(judged, rate_per_s, folder.path.name)


def _step(judged: Report, rate_per_s: float, folder: str) -> Step:
    status = report.exit_status(judged)
    latency = judged.load.latency_ms if judged.load is not None else None
    return Step(
        rate_per_s=rate_per_s,
        outcome=judged.run.outcome,
        exit_status=status,
        by_the_driver=limit.is_the_drivers(judged),
        p50_ms=latency.p50 if latency is not None else None,
        p99_ms=latency.p99 if latency is not None else None,
        busy_ratio=limit.busy_under_load(judged.timeline),
        lag_p99_ms=judged.loop.lag_ms.p99,
        verdict=judged.run.verdict,
        limited_by=limit.sentence(judged) if status else "",
        folder=folder,
    )


def _next(steps: Sequence[Step]) -> float | None:
    """The rate of the next run; `None` if the search is over."""
    if not (steps[-1].passed or steps[-1].failed) or steps[-1].by_the_driver:
        return None
    low, high = _bracket(steps)
    if low is None:
        return high / 2 if high is not None and high / 2 >= LEAST_PER_S else None
    if high is None:
        return low * 2 if low * 2 <= MOST_PER_S else None
    return sqrt(low * high) if high / low > CLOSE else None


def _bracket(steps: Sequence[Step]) -> tuple[float | None, float | None]:
    """The highest rate that passed below the lowest that failed, and that one."""
    high = min((step.rate_per_s for step in steps if step.failed), default=None)
    passed = [step.rate_per_s for step in steps if step.passed]
    return max((rate for rate in passed if high is None or rate < high), default=None), high


def _found(steps: Sequence[Step]) -> Capacity:
    low, high = _bracket(steps)
    limiting = next((step for step in steps if step.failed and step.rate_per_s == high), None)
    return Capacity(
        passes_per_s=low,
        fails_per_s=high,
        limited_by=limiting.limited_by if limiting is not None else "",
        by_the_driver=limiting is not None and limiting.by_the_driver,
        steps=tuple(steps),
    )


def _line(step: Step) -> str:
    busy = "–" if step.busy_ratio is None else percent(step.busy_ratio)
    figures = f"p50 {duration(step.p50_ms)}, p99 {duration(step.p99_ms)}, loop busy {busy}"
    return f"{step.rate_per_s:>10.4g}/s  {step.outcome:<8} {figures}, lag p99 {duration(step.lag_p99_ms)}\n"


def _summary(found: Capacity, folder: Path) -> str:
    low, high, last = found.passes_per_s, found.fails_per_s, found.steps[-1]
    lines = [""]
    if not (last.passed or last.failed):
        lines.append(f"cannot tell: {last.verdict}")
    elif low is None:
        lines.append(f"no capacity: the expectations are not even met at {high:.4g} requests per second")
    elif high is None:
        lines.append(f"capacity  at least {low:.4g} requests per second; a higher rate was not tried")
    elif found.by_the_driver:
        lines.append(f"capacity  at least {low:.4g} requests per second; at {high:.4g} nothing can be told")
    else:
        lines.append(f"capacity  {low:.4g} requests per second are met, {high:.4g} are not")
    if high is not None:
        failed = next(step for step in found.steps if step.rate_per_s == high)
        lines += [f"      why  {failed.verdict}", f"    limit  {failed.limited_by}"]
    lines.append(f"     runs  {folder}")
    return "\n".join(map(printable, lines)) + "\n"
