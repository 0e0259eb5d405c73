"""All scenarios of a folder, one after the other, with one summary."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import HarnessError, UsageError
from ..read.units import plural, printable
from . import failure, results
from .single_run import ScenarioOrder, run_one

# From the worst to the best.
_STATUSES = (130, 4, 3, 2, 1, 0)


@dataclass(frozen=True, slots=True)
class _Ended:
    name: str
    outcome: str  # as in the report; "error" if there is none
    status: int
    sentence: str


def run_all(folder: Path, out: Path | None, order: Callable[[Path, Path | None], ScenarioOrder]) -> int:
    """Run every scenario of *folder*, and return the worst exit status.

    Args:
        out: The folder for the runs' folders, each with the name of its file.
        order: What to run for a file and its run's folder.

    Raises:
        UsageError, ScenarioError: There is none, or one of them is wrong; nothing was started.
    """
    files = sorted(folder.glob("*.toml"))
    if not files:
        raise UsageError(f"{folder}: no scenario in this folder; expected files that end with .toml")
    orders = [order(file, out and out / file.stem) for file in files]
    if names := orders[0].output.names:
        exc = UsageError(f"the format {names[0]} is of one run, and {folder} is a folder of scenarios")
        exc.add_note(
            "Each run has its report.json and report.html in its folder; `harness report` makes more."
        )
        raise exc
    ended: list[_Ended] = []
    for each in orders:
        ended.append(_run(each))
        if ended[-1].status == _STATUSES[0]:
            break
    results.write(_summary(ended, [each.file.stem for each in orders[len(ended) :]]))
    return min((one.status for one in ended), key=_rank)


def _run(order: ScenarioOrder) -> _Ended:
    name = order.file.stem
    results.write(f"{name}\n", err=True)
    try:
        concluded = run_one(order)
    except HarnessError as exc:
        return _Ended(name, "error", failure.tell(exc), str(exc))
    run = concluded.report.run
    return _Ended(name, run.outcome, concluded.exit_status, run.verdict)


def _summary(ended: Sequence[_Ended], left: Sequence[str]) -> str:
    counts = Counter(one.outcome for one in ended)
    text = ", ".join(f"{count} {outcome}" for outcome, count in counts.items())
    text += f"; not run: {', '.join(left)}" if left else ""
    lines = ["", f"{plural(len(ended), 'scenario')}: {text}"]
    columns = zip(*((one.name, one.outcome) for one in ended), strict=True)
    widths = [max(map(len, column)) for column in columns]
    for one in ended:
        about = printable(one.sentence)
        lines.append(f"  {one.name:<{widths[0]}}  {one.outcome:<{widths[1]}}  {about}")
    return "\n".join(lines) + "\n"


def _rank(status: int) -> int:
    return _STATUSES.index(status) if status in _STATUSES else 0
