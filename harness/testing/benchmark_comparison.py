"""What ``pytest --harness-base`` adds to a run: its benchmarks compared with a revision, or with a file.

pytest-benchmark does what it always does. After the run, `harness bench` compares both revisions in processes
of its own; a file is compared with what this run has measured.
"""

from __future__ import annotations

import json
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ..errors import RecordError
from ..read.compare import benchmarks
from ..read.compare.decision import figure
from ..read.compare.decision.decision import ComparedSide, Decision, as_json, decision
from ..read.compare.paired.allowed import Allowed
from ..read.compare.paired.answer import Answer, Judged
from ..read.compare.paired.measure import MeasureGate
from ..read.units import printable
from ..record.comparison.benchmarks import BenchmarkResults, of_pytest_benchmark
from ..record.run import new_id
from ..runs import noting
from .benchmark_run import BenchmarkOutcomes

# A suite may have many benchmarks; whoever has more time names it to `harness bench`.
RUN_WITHIN_S = 600
INTERRUPTED = 130
ACCEPTING = "--harness-allow-new NAME and --harness-allow-missing NAME accept benchmarks of one side only"
_COLOURS = {Answer.SLOWER: "red", Answer.FASTER: "green", Answer.SAME: "green", Answer.UNKNOWN: "yellow"}
_ORDER = (Answer.SLOWER, Answer.UNKNOWN, Answer.FASTER, Answer.SAME)
# Our options, of which these have a value.
_OURS = re.compile(
    r"--harness-(base|limit|allow-new|allow-missing|max-minutes|install|same-environment)(=.*)?", re.DOTALL
)
# After any other end of the run there is nothing to compare.
_COMPARABLE = (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED)


@dataclass(frozen=True, slots=True)
class Told:
    """What is told of a comparison, and the exit status that it calls for."""

    status: int
    judged: tuple[Judged, ...] = ()
    lines: tuple[str, ...] = ()  # below the benchmarks


class _Comparison:
    """A comparison after the run."""

    def __init__(self, against: str) -> None:
        self._against = against
        self._told: Told | None = None

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        if exitstatus not in _COMPARABLE:
            return
        self._told = self.compare(session.config)
        # What pytest itself has to complain of comes first.
        if exitstatus == pytest.ExitCode.OK or (
            exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED and self._told.status
        ):
            session.exitstatus = self._told.status

    @pytest.hookimpl(wrapper=True)
    def pytest_terminal_summary(
        self, terminalreporter: pytest.TerminalReporter
    ) -> Generator[None, object, object]:
        try:
            # pytest-benchmark raises here, if --benchmark-compare-fail asks for it.
            return (yield)
        finally:
            if self._told is not None:
                _show(self._told, self._against, terminalreporter)

    def compare(self, config: pytest.Config) -> Told:
        raise NotImplementedError


class RevisionComparison(_Comparison):
    """With a revision: `harness bench` runs both, in turn and in processes of their own."""

    def compare(self, config: pytest.Config) -> Told:
        """See `_Comparison`."""
        asked = {
            "--pytest": shlex.join(_without_ours(config.invocation_params.args)),
            "--base": config.getoption("harness_base"),
            "--limit": config.getoption("harness_limit"),
            "--max-minutes": f"{config.getoption('harness_max_minutes')}",
            "--run-timeout": f"{RUN_WITHIN_S}",
            "--install": config.getoption("harness_install"),
        }
        options = [f"{name}={value}" for name, value in asked.items() if value is not None]
        allowed = _allowed(config)
        options += [f"--allow-new={name}" for name in allowed.new]
        options += [f"--allow-missing={name}" for name in allowed.missing]
        if config.getoption("harness_same_environment"):
            options.append("--same-environment")
        if config.get_verbosity() < 0:
            options.append("--quiet")
        command = [sys.executable, "-m", "harness", "bench", "--json", "--until-eof", *options]
        return self._of(*_run(command, config.invocation_params.dir))

    def _of(self, status: int, document: dict[str, Any]) -> Told:
        if not document:
            return Told(status, lines=(f"not compared: harness bench ended with {status}, see above",))
        judged = tuple(_judged(one) for one in document["measures"])
        pairs = f"{document['pairs']} pairs of base and head in both orders in {document['took_s']:.0f} s"
        ended = (document["ended"],) if document["ended"] else ()
        nothing = () if judged else (document["sentence"],)
        accepting = (ACCEPTING,) if any(one.lacking and one.gate.counts for one in judged) else ()
        lines = (*nothing, *accepting, *ended, *document["notes"], f"{pairs}: reports/{document['id']}")
        return Told(int(pytest.ExitCode.INTERRUPTED) if status == INTERRUPTED else status, judged, lines)


@dataclass(slots=True)
class _Selection:
    """What this run was asked to run: what it was not asked for is not missing."""

    config: pytest.Config
    deselected: set[str] = field(default_factory=set)
    files: set[str] = field(default_factory=set)  # with tests that were collected

    def has(self, name: str) -> bool:
        """Whether the run would have had a test of this node id, if there were one."""
        file = name.partition("::")[0]
        if name in self.deselected:
            return False
        if file not in self.files:
            return not (self.config.rootpath / file).exists()
        nodes = [node for node in self._nodes() if node.partition("::")[0] == file]
        return not nodes or any(name == node or name.startswith((f"{node}::", f"{node}[")) for node in nodes)

    def _nodes(self) -> Iterator[str]:
        for arg in self.config.args:
            file, colons, node = arg.partition("::")
            path = (self.config.invocation_params.dir / file).resolve()
            if colons and path.is_relative_to(self.config.rootpath):
                yield f"{path.relative_to(self.config.rootpath).as_posix()}::{node}"


class FileComparison(_Comparison):
    """With a file of pytest-benchmark: what this run has measured is the head."""

    def __init__(self, path: Path, base: BenchmarkResults, config: pytest.Config) -> None:
        super().__init__(str(path))
        self._base = base
        self._outcomes = BenchmarkOutcomes()
        self._selection = _Selection(config)
        config.pluginmanager.register(self._outcomes, "harness-benchmark-outcomes")

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        self._selection.deselected.update(item.nodeid for item in items)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self._selection.files.update(item.nodeid.partition("::")[0] for item in session.items)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        # The controller of pytest-xdist collects nothing by itself.
        self._selection.files.add(report.nodeid.partition("::")[0])

    def compare(self, config: pytest.Config) -> Told:
        """See `_Comparison`."""
        seen = self._outcomes
        head = BenchmarkResults(
            seen.figures, seen.unmeasured, seen.uncollected, python=sys.version.split()[0]
        )
        self._selection.files.update(seen.uncollected)
        figures = {name: value for name, value in self._base.figures.items() if self._selection.has(name)}
        base = BenchmarkResults(figures, python=self._base.python)
        decided = self._decided(base, head, config)
        judged = decided.measures
        lines = ["one file and one run: only what is missing is certain; --harness-base REV tells the rest"]
        if not judged:
            lines.insert(0, "cannot tell: no benchmark was measured")
        if base.python and base.python != head.python:
            lines.append(f"not the same: Python ({base.python}, {head.python})")
        if missing := noting.note_decided(as_json(decided)):
            lines.append(missing)
        return Told(decided.exit_status, judged, tuple(lines))

    def _decided(self, base: BenchmarkResults, head: BenchmarkResults, config: pytest.Config) -> Decision:
        limit = _share(config.getoption("harness_limit"))
        trial = benchmarks.judged_once(base, head, benchmarks.paired(base, head, limit=limit))
        command = shlex.join(("pytest", *_without_ours(config.invocation_params.args)))
        return decision(
            _allowed(config).applied(trial),
            comparison_id=new_id("pytest"),
            base=ComparedSide("base", self._against, self._base.commit),
            head=ComparedSide("head", command, _commit(config.invocation_params.dir)),
        )


def plugin_for(config: pytest.Config, base: str) -> object:
    """The plugin that compares with *base*; in a worker of pytest-xdist, the one that tells the controller.

    Raises:
        pytest.UsageError: *base* is neither a revision nor a file, or pytest-benchmark is missing.
    """
    if hasattr(config, "workerinput"):
        return BenchmarkOutcomes()
    if not hasattr(config.option, "benchmark_disable"):
        raise pytest.UsageError("--harness-base needs pytest-benchmark: pip install pytest-benchmark")
    _share(config.getoption("harness_limit"))
    path = config.invocation_params.dir / base
    if path.is_file():
        try:
            return FileComparison(path, of_pytest_benchmark(path), config)
        except RecordError as exc:
            raise pytest.UsageError(f"--harness-base: {exc}") from None
    _check_revision(base, config.invocation_params.dir)
    return RevisionComparison(base)


def _git(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True)


def _commit(folder: Path) -> str:
    """The present commit; "" where there is no repository, or no git."""
    try:
        return _git(folder, "rev-parse", "--verify", "--quiet", "HEAD").stdout.strip()[:12]
    except OSError:
        return ""


def _check_revision(name: str, folder: Path) -> None:
    """Now, and not after all tests."""
    named = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    try:
        if not _git(folder, *named).returncode:
            return
        is_shallow = _git(folder, "rev-parse", "--is-shallow-repository").stdout.strip() == "true"
    except OSError as exc:
        raise pytest.UsageError(f"--harness-base: git cannot be started: {exc.strerror}") from None
    if is_shallow:
        raise pytest.UsageError(
            f"--harness-base {name}: this clone is shallow, and does not have that revision\n"
            "  git fetch --unshallow gets it; in GitHub's actions/checkout: fetch-depth: 0"
        )
    raise pytest.UsageError(f"--harness-base {name}: neither a file nor a revision of this git repository")


def _run(command: Sequence[str], cwd: Path) -> tuple[int, dict[str, Any]]:
    """The exit status of `harness bench`, and its decision; empty if there is none.

    A Ctrl-C is handed on once, and waited for: work trees must be removed.
    """
    with subprocess.Popen(
        command, cwd=cwd, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, process_group=0
    ) as process:
        assert process.stdout is not None
        try:
            stdout = process.stdout.read()
        except KeyboardInterrupt:
            process.send_signal(signal.SIGINT)
            stdout = process.stdout.read()
    document: dict[str, Any] = json.loads(stdout) if stdout.startswith("{") else {}
    return process.returncode, document


def _judged(raw: dict[str, Any]) -> Judged:
    return Judged(**{**raw, "gate": MeasureGate(raw["gate"]), "answer": Answer(raw["answer"])})


def _show(told: Told, against: str, reporter: pytest.TerminalReporter) -> None:
    reporter.section(f"benchmarks against {printable(against)}")
    for one in sorted(told.judged, key=lambda one: _ORDER.index(one.answer)):
        reporter.write(f"{figure.verdict(one):<13}", **{_COLOURS[one.answer]: one.gate.counts})
        reporter.write(f"  {printable(_sentence(one))}\n")
    for line in told.lines:
        reporter.write_line(printable(line))


def _sentence(one: Judged) -> str:
    if one.answer.differs:
        return figure.difference(one)
    both = f" {figure.values(one)}, {figure.change(one)}" if one.change is not None else ""
    if one.answer == Answer.UNKNOWN:
        return f"{one.name}{both}: {one.why or 'more pairs are needed'}"
    return f"{one.name}{both} ({figure.visible(one)} could be seen)"


def _without_ours(args: Sequence[str]) -> Iterator[str]:
    given = iter(args)
    for arg in given:
        ours = _OURS.fullmatch(arg)
        if ours is None:
            yield arg
        elif ours[1] != "same-environment" and ours[2] is None:
            next(given, None)


def _allowed(config: pytest.Config) -> Allowed:
    return Allowed(config.getoption("harness_allow_new"), config.getoption("harness_allow_missing"))


def _share(text: str) -> float:
    """``5%`` or ``0.05``."""
    try:
        share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        share = 0.0
    if not 0 < share <= 1:
        raise pytest.UsageError(f"--harness-limit: expected a share above 0 such as 5% or 0.05, got {text!r}")
    return share
