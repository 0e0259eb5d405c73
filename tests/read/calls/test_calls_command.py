"""`harness watch --calls`, `[probe] calls = true` and `harness report`: from the program to the status."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest
from click.testing import CliRunner

from harness.commands.report import report
from tests.support.commanded import Ended, harness

PROGRAM = """
    import asyncio, os, sys

    async def main():
        os.stat("settings.toml")
        EXTRA

    asyncio.run(main())
    print("its own output")
"""


Project = Callable[..., Path]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A folder with a program; what it may do besides is put in place of EXTRA."""

    def write(extra: str = "pass") -> Path:
        (tmp_path / "program.py").write_text(dedent(PROGRAM).replace("EXTRA", extra))
        return tmp_path

    (tmp_path / "settings.toml").touch()
    write()
    return write


def watch(cwd: Path, *options: str, out: str) -> Ended:
    return harness("watch", *options, "--", sys.executable, "program.py", cwd=cwd, out=out)


def test_calls_are_watched_summed_up_and_leave_the_program_alone(project: Project) -> None:
    """The table is on stderr, the list in report.json; the program's output and status are its own."""
    ended = watch(project(), "--calls", out="run")

    assert (ended.status, ended.stdout) == (0, "its own output\n")
    assert re.search(r" os\.stat <- __main__:main\n +program\.py:5\n", ended.stderr)
    assert "calls  synchronous on the loop: 1 new place, 0 known, 0 allowed" in ended.stderr
    (call,) = ended.report["calls"]
    assert (call["call"], call["arguments"], call["count"]) == ("os.stat", ["settings.toml"], 1)


def test_without_the_option_nothing_is_said_of_calls(project: Project) -> None:
    """No table, and null in report.json."""
    ended = watch(project(), out="run")

    assert "synchronous" not in ended.stderr
    assert ended.report["calls"] is None


def test_with_a_baseline_only_new_calls_fail(project: Project) -> None:
    """Written by one run, it makes the next one pass; a call that is new fails it, and moved lines do not."""
    known = ("--calls", "--baseline", "baseline.json", "--fail-on", "calls.new > 0")
    first = watch(project(), *known, "--update-baseline", out="first")
    second = watch(project("\n\n    pass"), *known, out="second")
    third = watch(project("os.listdir('.')"), *known, out="third")

    assert "baseline.json: 1 known call" in first.stderr
    assert (first.status, second.status, third.status) == (1, 0, 1)
    assert [(c["call"], c["known"]) for c in third.report["calls"]] == [
        ("os.listdir", False),
        ("os.stat", True),
    ]


def test_the_rules_of_the_project_are_kept_with_the_run_and_can_be_replaced(project: Project) -> None:
    """`harness.toml` is found; without it the record gives the same report, and another with other rules."""
    folder = project()
    (folder / "harness.toml").write_text('[[calls.allow]]\ncall = "os.*"\nreason = "local disk"')
    (folder / "strict.toml").touch()
    ended = watch(folder, "--calls", out="run")
    (folder / "harness.toml").unlink()

    assert [(c["allowed"], c["reason"]) for c in ended.report["calls"]] == [(True, "local disk")]
    again, strictly = (
        json.loads(CliRunner().invoke(report, [str(folder / "run"), "--json", *options]).stdout)
        for options in ((), ("--calls-config", str(folder / "strict.toml")))
    )
    assert again == ended.report
    assert [call["allowed"] for call in strictly["calls"]] == [False]


def test_what_is_wrong_is_said_before_the_program_starts(project: Project) -> None:
    """A wrong file, a missing baseline, options without calls: status 2, and nothing ran."""
    folder = project()
    (folder / "harness.toml").write_text('[[calls.alow]]\ncall = "os.*"')
    wrong = watch(folder, "--calls", out="1")
    missing = watch(folder, "--calls", "--calls-config", "other.toml", out="2")
    (folder / "harness.toml").unlink()
    no_baseline = watch(folder, "--calls", "--baseline", "baseline.json", out="3")
    not_counted = watch(folder, "--baseline", "baseline.json", out="4")
    update = watch(folder, "--calls", "--update-baseline", out="5")

    ended = (wrong, missing, no_baseline, not_counted, update)
    assert [(e.status, e.stdout, e.folder.path.exists()) for e in ended] == [(2, "", False)] * 5
    assert "harness.toml:1: calls.alow: unknown key; did you mean allow?" in wrong.stderr
    assert "other.toml: cannot be read: No such file or directory" in missing.stderr
    assert "baseline.json: no such baseline" in no_baseline.stderr
    assert "--baseline needs --calls" in not_counted.stderr
    assert "--update-baseline needs --baseline FILE" in update.stderr


def test_a_scenario_counts_calls_too(project: Project) -> None:
    """With `calls = true` under `[probe]`, and nothing else to say."""
    folder = project()
    (folder / "scenario.toml").write_text(
        dedent(f"""
        [target]
        kind = "program"
        command = ["{sys.executable}", "program.py"]
        [probe]
        calls = true
        [expect]
        "calls.new" = "== 1"
    """)
    )
    ended = harness("run", "scenario.toml", cwd=folder)

    assert ended.status == 0, ended.stderr
    assert [call["call"] for call in ended.report["calls"]] == ["os.stat"]
