"""One run of a suite of benchmarks: what was measured of each, or why nothing was."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...errors import RecordError
from .pairs import Measured


@dataclass(frozen=True, slots=True)
class BenchmarkResults:
    """Benchmarks by their node ids."""

    figures: Measured  # ms of a call, the median of the rounds
    unmeasured: Mapping[str, str] = field(default_factory=dict)  # why there is no figure
    uncollected: Mapping[str, str] = field(default_factory=dict)  # files and folders: why they have no tests
    foreign: Mapping[str, str] = field(default_factory=dict)  # modules of the other side's tree: their files
    python: str = ""
    machine: str = ""
    commit: str = ""
    # Of `async_benchmark`: what an operation makes its loop do, by the name of the count.
    counts: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    @property
    def measured(self) -> Measured:
        """The figures, and each count by a name of its own."""
        counted = ((name, counts) for name, counts in self.counts.items() if name in self.figures)
        more = {
            counted_name(name, what): number for name, counts in counted for what, number in counts.items()
        }
        return {**self.figures, **more}

    @property
    def names(self) -> tuple[str, ...]:
        """All that are known, measured or not."""
        return tuple(dict.fromkeys((*self.figures, *self.unmeasured)))


def counted_name(benchmark: str, what: str) -> str:
    """The name of a count, beside that of its benchmark."""
    return f"{benchmark} {what}"


def of_outcomes(path: Path) -> BenchmarkResults:
    """What `testing/benchmark_run.py` has written.

    Raises:
        RecordError: It cannot be read.
    """
    raw = _read(path)
    return BenchmarkResults(
        raw["figures"],
        raw["unmeasured"],
        raw["uncollected"],
        raw["foreign"],
        python=raw["python"],
        counts=raw["counts"],
    )


def of_pytest_benchmark(path: Path) -> BenchmarkResults:
    """A file that pytest-benchmark has written, by ``--benchmark-json`` or into its storage.

    Raises:
        RecordError: It cannot be read, or is none.
    """
    raw = _read(path)
    try:
        figures = {str(one["fullname"]): float(one["stats"]["median"]) * 1e3 for one in raw["benchmarks"]}
        machine, commit = raw.get("machine_info") or {}, raw.get("commit_info") or {}
        return BenchmarkResults(
            figures,
            python=str(machine.get("python_version", "")),
            machine=str(machine.get("node", "")),
            commit=str(commit.get("id") or "")[:12],
        )
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise RecordError(f"{path}: not a file of pytest-benchmark: {type(exc).__name__}: {exc}") from None


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except OSError as exc:
        raise RecordError(f"{path}: cannot be read: {exc.strerror}") from exc
    except ValueError as exc:
        raise RecordError(f"{path}: not JSON: {exc}") from None
