"""`load.find = "capacity"`: the highest rate at which a scenario's expectations are met."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from ..errors import OutputError, UsageError
from ..read.capacity.limit import step_of
from ..read.capacity.search import Capacity, RateStep, capacity_of, next_rate
from ..read.formats import publish
from ..read.units import duration, percent, printable
from ..record.run import new_id
from . import failure, results
from .conclusion import judge, note_ended
from .single_run import ScenarioOrder, carry_out

# The loop is sampled, so that the line that limits it can be named.
SAMPLE_HZ = 100
FILE = "capacity.json"

Ordered = Callable[..., ScenarioOrder]


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
    steps: list[RateStep] = []
    while rate is not None:
        change = f"load.rate_per_s={rate:.6g}"
        steps.append(_run(order(folder / f"{rate:.4g}-per-s", change, *more), rate))
        results.write(_line(steps[-1]), err=as_json)
        rate = next_rate(steps)
    found = capacity_of(steps)
    document = json.dumps({"schema": 1, **asdict(found)}, indent=1) + "\n"
    try:
        (folder / FILE).write_text(document)
    except OSError as exc:
        raise OutputError(f"{folder / FILE}: cannot be written: {exc.strerror}") from exc
    results.write(document if as_json else _summary(found, folder))
    return found.exit_status


def _run(order: ScenarioOrder, rate_per_s: float) -> RateStep:
    folder = carry_out(order)
    with failure.judging(folder.path):
        _, judged = judge(folder)
        publish(folder, judged)
        note_ended(folder, judged)
    return step_of(judged, rate_per_s, folder.path.name)


def _line(step: RateStep) -> str:
    busy = "–" if step.busy_ratio is None else percent(step.busy_ratio)
    figures = f"p50 {duration(step.p50_ms)}, p99 {duration(step.p99_ms)}, loop busy {busy}"
    return f"{step.rate_per_s:>10.4g}/s  {step.outcome:<8} {figures}, lag p99 {duration(step.lag_p99_ms)}\n"


def _summary(found: Capacity, folder: Path) -> str:
    low, high, last = found.passes_per_s, found.fails_per_s, found.steps[-1]
    lines = [""]
    if not (last.passed or last.failed) or (low is None and found.by_the_driver):
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
