"""Carries out the benchmarks of a suite once, and writes down what became of each: a program with a path.

It needs pytest and pytest-benchmark only, since the environment of an earlier revision may have another
harness, or none. It reads an order, a JSON file, and writes its outcomes into another.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Collection, Generator, Sequence
from pathlib import Path
from typing import Any

try:
    import pytest
except ModuleNotFoundError:  # in the environment of another revision
    sys.exit(f"there is no pytest in {sys.prefix}")

FIXTURES = frozenset({"benchmark", "async_benchmark"})
# What a report has of a benchmark; reports of the workers of pytest-xdist are sent as JSON.
_SEEN = "harness_benchmark"
# What belongs to the run that somebody started: its files, its workers, its debugger and its order.
_OFF: dict[str, Any] = {
    **dict.fromkeys(("benchmark_json", "benchmark_save", "benchmark_autosave", "benchmark_cprofile")),
    **dict.fromkeys(("benchmark_compare_fail", "harness_base", "xmlpath", "htmlpath", "numprocesses")),
    **dict.fromkeys(("benchmark_compare", "benchmark_histogram", "tx"), ()),
    **dict.fromkeys(("usepdb", "lf", "failedfirst", "stepwise", "json_report"), False),
    "dist": "no",
    "maxfail": 0,
}
# What `async_benchmark` counts of an operation.
COUNTS = frozenset({"turns", "tasks", "callbacks"})
# Of an error, its first line is told.
LETTERS = 200


class BenchmarkOutcomes:
    """The plugin that sees what becomes of each benchmark, also of those in workers of pytest-xdist."""

    def __init__(self) -> None:
        self.figures: dict[str, float] = {}  # ms of a call, the median of the rounds, by node id
        self.counts: dict[str, dict[str, float]] = {}  # of one operation, where `async_benchmark` has them
        self.unmeasured: dict[str, str] = {}  # why a benchmark has no figure
        self.uncollected: dict[str, str] = {}  # why a file or folder has no tests

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: object) -> Generator[None, Any, Any]:
        report = yield
        if is_benchmark(item):
            setattr(report, _SEEN, (*_seen(item, report), _counts(item)))
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        seen: tuple[float | None, str, dict[str, float]] | None = getattr(report, _SEEN, None)
        if seen is None:
            return
        figure, why, counts = seen
        if why:
            self.figures.pop(report.nodeid, None)
            self.unmeasured[report.nodeid] = why
        elif figure is not None and report.nodeid not in self.unmeasured:
            self.figures[report.nodeid] = figure
            self.counts[report.nodeid] = counts

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.uncollected[report.nodeid] = _last_line(report.longrepr)

    def as_json(self) -> dict[str, object]:
        """The outcomes as JSON."""
        return {
            "figures": self.figures,
            "counts": self.counts,
            "unmeasured": self.unmeasured,
            "uncollected": self.uncollected,
            "python": sys.version.split()[0],
        }


class _OneRun:
    """The plugin that runs nothing but benchmarks, and of these the chosen ones, alone on the machine."""

    def __init__(self, chosen: Collection[str] | None) -> None:
        self._chosen = chosen

    @pytest.hookimpl(wrapper=True)
    def pytest_load_initial_conftests(self, early_config: pytest.Config) -> Generator[None, object, object]:
        # pytest-cov begins in this hook, as the first; a wrapper comes before it.
        early_config.known_args_namespace.no_cov = True
        return (yield)

    @pytest.hookimpl(tryfirst=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        for name, value in _OFF.items():
            if hasattr(config.option, name):
                setattr(config.option, name, value)

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        kept = [item for item in items if is_benchmark(item) and self._is_chosen(item)]
        config.hook.pytest_deselected(items=[item for item in items if item not in kept])
        items[:] = kept

    def _is_chosen(self, item: pytest.Item) -> bool:
        return self._chosen is None or item.nodeid in self._chosen


def is_benchmark(item: pytest.Item) -> bool:
    """Whether a test uses pytest-benchmark, or asks for it by our fixture."""
    return not FIXTURES.isdisjoint(getattr(item, "fixturenames", ()))


def _seen(item: pytest.Item, report: pytest.TestReport) -> tuple[float | None, str]:
    """The figure after a phase of a test, if it has one yet; and why it has none, or "" if it may have."""
    if report.failed:
        where = "" if report.when == "call" else f" in its {report.when}"
        return None, f"failed{where}: {_last_line(report.longrepr)}"
    if report.skipped:
        if hasattr(report, "wasxfail"):
            return None, "failed, as expected of it"
        skipped = report.longrepr
        reason = skipped[-1] if isinstance(skipped, tuple) else _last_line(skipped)
        return None, f"skipped: {str(reason).removeprefix('Skipped: ')[:LETTERS]}"
    if report.when != "call":
        return None, ""
    return _measured(item)


def _benchmark(item: pytest.Item) -> Any:
    """pytest-benchmark's fixture of a test, `None` if it has none."""
    funcargs = getattr(item, "funcargs", None) or {}
    ours = funcargs.get("async_benchmark")
    return funcargs.get("benchmark") or getattr(ours, "benchmark", None)


def _counts(item: pytest.Item) -> dict[str, float]:
    told = getattr(_benchmark(item), "extra_info", {}).get("per_operation")
    # A test may have put anything there.
    found = told.items() if isinstance(told, dict) else ()
    return {name: float(value) for name, value in found if name in COUNTS and isinstance(value, int | float)}


def _measured(item: pytest.Item) -> tuple[float | None, str]:
    benchmark = _benchmark(item)
    if benchmark is None:
        return None, "not measured: pytest-benchmark did not take part"
    if benchmark.disabled:
        return None, _why_disabled(item.config)
    stats = getattr(benchmark.stats, "stats", None)
    if benchmark.has_error or stats is None or not stats.data:
        return None, "not measured: the test calls no benchmark"
    if watched_by := _watched_by():
        return None, f"measured under {watched_by}, whose time would be taken for its own"
    return stats.median * 1e3, ""


def _why_disabled(config: pytest.Config) -> str:
    if "PYTEST_XDIST_WORKER" in os.environ or config.getoption("dist", "no") != "no":
        return "not measured: pytest-xdist runs tests beside each other; -n 0 measures"
    return "disabled: pytest-benchmark measures nothing, as --benchmark-disable says"


def _watched_by() -> str:
    """What sees each line or call of the program, and makes it slower; "" if nothing does."""
    tools = [type(hook).__module__.partition(".")[0] for hook in (sys.gettrace(), sys.getprofile()) if hook]
    if sys.version_info >= (3, 12):
        tools += [name for tool in range(6) if (name := sys.monitoring.get_tool(tool))]
    if "coverage" in tools or (tools and "coverage" in sys.modules):
        return "coverage"
    return f"a tracer or profiler ({tools[0]})" if tools else ""


def _last_line(longrepr: object) -> str:
    """The line of an error that names it."""
    crash = getattr(longrepr, "reprcrash", None)
    lines = str(getattr(crash, "message", None) or longrepr).strip().splitlines()
    told = lines[0] if crash is not None and lines else (lines or ["no reason was given"])[-1]
    return told.removeprefix("E ").strip()[:LETTERS]


def _foreign(folder: str) -> dict[str, str]:
    """Modules of another tree: what was measured is then not the code of this revision."""
    packages = tuple(os.path.join(path, "") for path in {sys.prefix, sys.base_prefix})  # noqa: PTH118
    files = {name: getattr(module, "__file__", None) or "" for name, module in list(sys.modules.items())}
    top = os.path.join(folder, "")  # noqa: PTH118
    return {
        name: file
        for name, file in files.items()
        if file.startswith(top) and not file.startswith(packages) and name != "__main__"
    }


def run(order: dict[str, Any]) -> int:
    """Run pytest as ordered, and write the outcomes.

    Args:
        order: ``args`` of pytest; ``chosen``, the node ids to run, or null for all that *args* select;
            ``outcomes``, the file for them; ``other_tree``, a folder of which no code must run, or "".

    Returns:
        0 if the outcomes say all that there is to say, else pytest's exit status.
    """
    outcomes = BenchmarkOutcomes()
    chosen: Sequence[str] | None = order["chosen"]
    plugins = [outcomes, _OneRun(None if chosen is None else frozenset(chosen))]
    status = pytest.main(list(order["args"]), plugins=plugins)
    told = (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED)
    if status not in told and not outcomes.uncollected:
        return int(status)
    foreign = _foreign(order["other_tree"]) if order["other_tree"] else {}
    Path(order["outcomes"]).write_text(json.dumps({**outcomes.as_json(), "foreign": foreign}))
    return 0


if __name__ == "__main__":
    # As `python -m pytest` does it; not the folder of this file.
    sys.path.insert(0, str(Path.cwd()))
    try:
        import pytest_benchmark  # noqa: F401
    except ModuleNotFoundError:
        sys.exit(f"there is no pytest-benchmark in {sys.prefix}")
    sys.exit(run(json.loads(Path(sys.argv[1]).read_text())))
