"""Whom samplers blame: the shares of three tasks that take turns on one loop, beside the true ones.

``python benchmarks/attribution.py [SECONDS]`` runs the workload once under each sampler that is installed:
the harness', ddtrace's, pyinstrument, and py-spy in its two ways. Those that know no spans are asked for
functions, ddtrace for both.
A sample whose stack has the function of another span than its own is on the wrong one.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks import pprof
from harness.drive.process import probe_env
from harness.drive.profilers import pyspy
from harness.record.event import Frame, FrameTable, Sampled
from harness.record.probe_config import ProbeConfig
from harness.record.reader import Follower
from harness.record.run_folder import RunFolder

WORKLOAD = Path(__file__).parent / "workloads" / "mixture.py"
NAMES = ("sleeping", "computing", "sorting")
HZ = 200


def main() -> None:
    seconds = sys.argv[1] if sys.argv[1:] else "5"
    print(
        f"{'sampler':24}"
        + "".join(f"{name:>18}" for name in NAMES)
        + f"{'worst error':>14}{'wrong span':>12}"
    )
    _row("harness, by span", *_harness(seconds))
    for kind, found in _ddtrace(seconds).items():
        _row(f"ddtrace, {kind}", *found)
    _row("pyinstrument, function", *_pyinstrument(seconds))
    _row("py-spy, function", *_py_spy(seconds, []))
    _row("py-spy --idle, function", *_py_spy(seconds, ["--idle"]))


def _row(name: str, truth: Mapping[str, float], seen: Mapping[str, float], wrong: str = "knows none") -> None:
    if not sum(seen.values()):
        print(f"{name:24}  saw nothing, or is not installed")
        return
    shares = {of: seen.get(of, 0) / sum(seen.values()) for of in NAMES}
    true = {of: truth[of] / sum(truth.values()) for of in NAMES}
    cells = "".join(f"{shares[of]:>8.1%} ({true[of]:6.1%})" for of in NAMES)
    worst = max(abs(shares[of] - true[of]) for of in NAMES) * 100
    print(f"{name:24}{cells}{worst:>7.1f} points{wrong:>12}")


def _run(command: list[str], **how: Any) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, str(WORKLOAD), *command], stdout=subprocess.PIPE, check=True, **how
    )
    return json.loads(done.stdout)


def _harness(seconds: str) -> tuple[Mapping[str, float], Mapping[str, float], str]:
    with tempfile.TemporaryDirectory() as name:
        folder = RunFolder(Path(name))
        for part in (folder.processes, folder.events, folder.loops, folder.artefacts):
            part.mkdir()
        order = ProbeConfig(str(folder.path), limit_ns=100_000_000, sample_hz=HZ)
        truth = _run([seconds], env=probe_env.environment(order, os.environ))["truth"]
        events = [event for _, event in Follower(folder.events).new_events()]
    calls = {
        number: call
        for event in events
        if isinstance(event, FrameTable)
        for number, call in enumerate(zip(event.callers, event.frames, strict=True), event.first)
    }
    seen: Counter[str] = Counter()
    wrong = 0
    for sample in events:
        if isinstance(sample, Sampled) and sample.span:
            seen[sample.span] += sample.count
            functions = set(_functions(calls, sample.stack)).intersection(NAMES)
            wrong += sample.count * bool(functions - {sample.span})
    return truth, seen, f"{wrong / max(1, seen.total()):.0%}"


def _functions(calls: Mapping[int, tuple[int, Frame]], number: int) -> Iterator[str]:
    while number:
        number, frame = calls[number]
        yield frame.function


def _ddtrace(seconds: str) -> Mapping[str, tuple[Mapping[str, float], Mapping[str, float], str]]:
    """By span and by function, of the wall-clock samples that have one of the functions on their stack.

    It samples every task each time, and those that only wait have not. The profile goes to a file, no
    agent is asked for, and its sampler is kept from slowing down.
    """
    by_span: Counter[str] = Counter()
    by_function: Counter[str] = Counter()
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        settings = {
            "DD_PROFILING_OUTPUT_PPROF": f"{folder}/profile",
            "_DD_PROFILING_STACK_ADAPTIVE_SAMPLING_ENABLED": "false",
            "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
            "DD_REMOTE_CONFIGURATION_ENABLED": "false",
            "DD_CRASHTRACKING_ENABLED": "false",
            # Nobody listens there: the spans are lost, their ids are in the profile.
            "DD_TRACE_AGENT_URL": "http://127.0.0.1:9",
        }
        try:
            found = _run([seconds, "ddtrace"], env={**os.environ, **settings}, stderr=subprocess.DEVNULL)
            samples = [one for path in Path(folder).glob("*.pprof") for one in pprof.samples(path)]
        except (subprocess.CalledProcessError, ImportError):
            samples, found = [], {"truth": {}, "names": {}}
    for sample in samples:
        function = next((name for name in sample.functions if name in NAMES), "")
        span = found["names"].get(str(sample.labels.get("span id", "")), "")
        number = sample.values["wall-samples"]
        if function and number:
            by_function[function] += number
            by_span[span] += number
            wrong += number * bool(span and span != function)
    share = f"{wrong / max(1, by_function.total()):.0%}"
    return {
        "by span": (found["truth"], by_span, share),
        "function": (found["truth"], by_function, ""),
    }


def _pyinstrument(seconds: str) -> tuple[Mapping[str, float], Mapping[str, float]]:
    try:
        found = _run([seconds, "pyinstrument"], stderr=subprocess.DEVNULL)
    except subprocess.CalledProcessError:
        return {}, {}
    return found["truth"], found["seen"]


def _py_spy(seconds: str, options: list[str]) -> tuple[Mapping[str, float], Mapping[str, float]]:
    program = pyspy.program()
    if program is None:
        return {}, {}
    with tempfile.NamedTemporaryFile() as file:
        command = [program, "record", *options, "--format", "raw", "--rate", str(HZ), "--output", file.name]
        done = subprocess.run(
            [*command, "--", sys.executable, str(WORKLOAD), seconds],
            capture_output=True,
            text=True,
            check=False,
        )
        lines = Path(file.name).read_text().splitlines()
    printed = re.search(r"\{.*\}", done.stdout)
    if printed is None:
        return {}, {}
    seen: Counter[str] = Counter()
    for line in lines:
        stack, _, count = line.rpartition(" ")
        for name in NAMES:
            if f";{name} (" in stack:
                seen[name] += int(count)
    return json.loads(printed[0])["truth"], seen


if __name__ == "__main__":
    main()
