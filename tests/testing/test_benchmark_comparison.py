"""`pytest --harness-base JSON`: what one file of pytest-benchmark and one run can tell, and what not."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from harness.runs import journal
from tests.support.benchmark_suite import PLUGINS, pytest_running, taking, write
from tests.support.commanded import Ended

XDIST = (*PLUGINS, "xdist.plugin")


def ran(
    folder: Path,
    *options: str,
    plugins: tuple[str, ...] = PLUGINS,
    env: Mapping[str, str] | None = None,
) -> Ended:
    with pytest_running(folder, *options, plugins=plugins, env=env) as run:
        return run.ended(within_s=100)


def section(ended: Ended) -> list[str]:
    """What is told of the comparison, without what pytest says at its end."""
    lines = ended.stdout.partition("==== benchmarks against ")[2].splitlines()[1:-1]
    return [line.replace("test_it.py::", "") for line in lines]


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """A suite that has left a file, and has changed since."""
    write(tmp_path, taking("same", 10) + taking("slow", 10) + taking("gone", 10))
    ended = ran(tmp_path, "--benchmark-json=base.json")
    assert ended.status == 0
    write(tmp_path, taking("same", 10) + taking("slow", 50) + taking("new", 10))
    return tmp_path


def test_a_file_decides_only_what_is_missing(suite: Path) -> None:
    """Nothing tells how much runs differ, so no factor is called slower; and nothing is green."""
    ended = ran(suite, "--harness-base=base.json")
    one = "one run of each: nothing tells how much runs of the same program differ"

    assert section(ended) == [
        f"cannot tell    test_same 10 ms → 10 ms, +0.0 %: {one}",
        f"cannot tell    test_slow 10 ms → 50 ms, ×5: {one}",
        "cannot tell    test_gone: not in the head",
        "cannot tell    test_new: not in the base",
        "one file and one run: only what is missing is certain; --harness-base REV tells the rest",
    ]
    assert ended.status == 3


def test_a_comparison_with_a_file_is_in_the_history(suite: Path) -> None:
    """A row for each benchmark; a history that cannot be written is told, and changes nothing."""
    (suite / "reports").mkdir()
    kept = ran(suite, "--harness-base=base.json", "--harness-allow-new=*", env={"HARNESS_HISTORY": "reports"})
    lost = ran(suite, "--harness-base=base.json", env={"HARNESS_HISTORY": "base.json/no"})
    rows = [row.cells for row in journal.read(suite / "reports" / "history.jsonl").rows]

    assert {row["metric"]: (row["answer"], row["role"]) for row in rows} == {
        "test_it.py::test_same": ("cannot tell", "decides"),
        "test_it.py::test_slow": ("cannot tell", "decides"),
        "test_it.py::test_gone": ("cannot tell", "decides"),
        "test_it.py::test_new": ("cannot tell", "accepted"),
    }
    assert {(row["base"], row["verdict"]) for row in rows} == {(str(suite / "base.json"), "cannot tell")}
    assert "accepted       test_new: not in the base" in section(kept)
    assert section(lost)[-1].startswith("this comparison is missing in the history: ")
    assert (kept.status, lost.status) == (3, 3)


def test_what_was_not_asked_for_is_not_missing(suite: Path) -> None:
    """Deselected, of another file, or beside the named one. What is nowhere may have been asked for."""
    write(suite, taking("elsewhere", 10), name="test_other.py")
    chosen = ran(suite, "--harness-base=base.json", "-k", "same")
    named = ran(suite, "--harness-base=base.json", "test_it.py::test_same")
    other = ran(suite, "--harness-base=base.json", "test_other.py")
    (suite / "test_it.py").unlink()
    removed = ran(suite, "--harness-base=base.json")

    assert [len(section(one)) for one in (chosen, named, other, removed)] == [3, 2, 2, 5]
    assert section(chosen)[1] == "cannot tell    test_gone: not in the head"
    assert section(other)[0] == "cannot tell    test_other.py::test_elsewhere: not in the base"
    assert [line for line in section(removed) if "test_slow: not in the head" in line]


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (
            ("--benchmark-disable",),
            "disabled: pytest-benchmark measures nothing, as --benchmark-disable says",
        ),
        (("--benchmark-skip",), "skipped: Skipping benchmark (--benchmark-skip active)."),
        (("-n", "2"), "not measured: pytest-xdist runs tests beside each other; -n 0 measures"),
        (("-p", "tracing"), "measured under coverage, whose time would be taken for its own"),
    ],
    ids=["disabled", "skipped", "xdist", "coverage"],
)
def test_what_this_run_did_not_measure_is_named(suite: Path, options: tuple[str, ...], why: str) -> None:
    """With the reason, for every benchmark; pytest alone passes all of it in silence."""
    # As coverage's own tracer written in Python does it, in a module of that name.
    (suite / "coverage.py").write_text("class Tracer:\n    def __call__(self, *_): return None\n")
    (suite / "tracing.py").write_text(
        "import sys, pytest\nfrom coverage import Tracer\n"
        "@pytest.hookimpl(wrapper=True)\n"
        "def pytest_runtest_protocol(item):\n"
        "    sys.settrace(Tracer())\n"
        "    try:\n        return (yield)\n    finally:\n        sys.settrace(None)\n"
    )
    ended = ran(suite, "--harness-base=base.json", *options, plugins=XDIST)

    assert f"cannot tell    test_same: head: {why}" in section(ended)
    assert f"cannot tell    test_slow: head: {why}" in section(ended)
    assert "cannot tell    test_gone: not in the head" in section(ended)
    assert ended.status == 3


def test_pytest_benchmarks_own_comparison_works_beside_it(suite: Path) -> None:
    """Also where it ends the run with an error of its own; ours is told before."""
    given = ("--harness-base=base.json", "--benchmark-compare=base.json")
    ended = ran(suite, *given, "--benchmark-compare-fail=mean:50%", "--benchmark-storage=.")

    assert "PerformanceRegression: Performance has regressed." in ended.stdout + ended.stderr
    assert [
        line for line in ended.stdout.splitlines() if line.startswith("cannot tell    test_it.py::test_slow")
    ]
    assert ended.status == 1


def test_benchmarks_of_coroutine_functions_are_benchmarks_for_its_options(tmp_path: Path) -> None:
    """`--benchmark-only` has skipped them: they ask for pytest-benchmark's fixture only in their setup."""
    awaits = "def test_it(async_benchmark): async_benchmark(takes_async, 10)\n"
    write(tmp_path, f"{awaits}def test_other(): pass\n")
    only = ran(tmp_path, "--benchmark-only", "--benchmark-json=only.json")
    skip = ran(tmp_path, "--benchmark-skip")

    (measured,) = json.loads((tmp_path / "only.json").read_text())["benchmarks"]
    assert measured["name"] == "test_it"
    assert "1 passed, 1 skipped" in only.stdout
    assert "1 passed, 1 skipped" in skip.stdout


def test_what_is_no_file_of_pytest_benchmark_is_refused_before_any_test(tmp_path: Path) -> None:
    """With 4, as pytest does it."""
    write(tmp_path, taking("it", 10))
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "other.json").write_text('{"benchmarks": [{"name": 1}]}')
    broken, other = (ran(tmp_path, f"--harness-base={name}.json") for name in ("broken", "other"))

    assert (broken.status, other.status) == (4, 4)
    assert "broken.json: not JSON: " in broken.stderr
    assert "other.json: not a file of pytest-benchmark: KeyError: 'fullname'" in other.stderr
    assert "1 passed" not in broken.stdout


def test_another_python_is_told(suite: Path) -> None:
    """What differs beside the code stands below."""
    kept = json.loads((suite / "base.json").read_text())
    kept["machine_info"]["python_version"] = "3.10.1"
    (suite / "base.json").write_text(json.dumps(kept))

    python = sys.version.split()[0]
    assert section(ran(suite, "--harness-base=base.json"))[-1] == f"not the same: Python (3.10.1, {python})"
