"""The workflows of docs/ci: their commands are run, as the host would."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

from tests.support.benchmark_suite import git
from tests.support.ci_schema import JUNIT, code_quality_issues
from tests.support.commanded import COMMAND, scenario

DOCS = Path(__file__).parents[2] / "docs" / "ci"
# Steps that cannot be run here: they install packages.
INSTALL = "python -m pip install . 'asyncio-harness[all]'"
SERVICE = """
import asyncio, time
async def main():
    print("ready", flush=True)
    await asyncio.sleep(0.2)
    time.sleep(0.6)
asyncio.run(main())
"""
BURNING = """
import asyncio
async def main():
    print("ready", flush=True)
    for _ in range({}):
        await asyncio.sleep(0)
asyncio.run(main())
"""
# What GitHub's own program is asked to do.
GH = """#!/bin/bash
[ "$1 $2 $3 $4 $5 $6" = "pr comment 7 --edit-last --create-if-none --body-file" ] && cp "$7" comment.md
"""

SHIMS = {"harness": f'#!/bin/bash\nexec {" ".join(COMMAND)} "$@"\n', "gh": GH}


@dataclass(frozen=True)
class Checkout:
    """A repository in which a job runs, with `harness` and `gh` on its path."""

    path: Path

    def has(self, **programs: str) -> None:
        """Put programs on the path."""
        (self.path / "bin").mkdir()
        for name, text in programs.items():
            (self.path / "bin" / name).write_text(text)
            (self.path / "bin" / name).chmod(0o755)

    def run(
        self, script: str, env: Mapping[str, str], *, shell: tuple[str, ...], within_s: float = 100
    ) -> tuple[int, str]:
        """Status and output of a script."""
        bin_folder = str(self.path / "bin")
        environment = {**os.environ, "PATH": f"{bin_folder}:{os.environ['PATH']}", **env}
        done = subprocess.run(
            [*shell, script],
            cwd=self.path,
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
            timeout=within_s,
        )
        return done.returncode, done.stdout


@pytest.fixture
def checkout(tmp_path: Path, request: pytest.FixtureRequest) -> Checkout:
    """With a service that blocks for 600 ms, and a scenario that allows so many."""
    (tmp_path / "service.py").write_text(SERVICE)
    scenario(
        tmp_path,
        f'[target]\nkind = "program"\ncommand = ["{sys.executable}", "service.py"]\n'
        'ready = { log = "ready" }\n[expect]\n"blocks.max_held_ms" = "< %d"\n' % request.param,
    )
    made = Checkout(tmp_path)
    made.has(**SHIMS)
    return made


def commands(steps: list[dict[str, Any]], checkout: Checkout) -> Iterator[tuple[int, str]]:
    """Runs the steps as GitHub does: after one has failed, only those that always run."""
    has_failed = False
    for step in steps:
        assert ("uses" in step) != ("run" in step)
        assert "uses" not in step or "@v" in step["uses"]
        if (
            "run" not in step
            or step["run"] == INSTALL
            or (has_failed and "always()" not in step.get("if", ""))
        ):
            continue
        assert "${{" not in step["run"]  # text of a pull request must not become code
        env = {"SCENARIO": "scenario.toml", "GITHUB_STEP_SUMMARY": "summary.md", "PULL_REQUEST": "7"}
        shell = ("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c")
        status, output = checkout.run(step["run"], env, shell=shell)
        has_failed = has_failed or status != 0
        yield status, output


@pytest.mark.long
@pytest.mark.parametrize(("checkout", "status"), [(60_000, 0), (100, 1)], indirect=["checkout"])
def test_githubs_job_ends_by_the_status_of_the_run(checkout: Checkout, status: int) -> None:
    """It annotates the line, writes the summary and the files of later steps, and comments."""
    workflow = yaml.safe_load((DOCS / "github.yml").read_text())
    job = workflow["jobs"]["scenario"]
    (run, commented) = commands(job["steps"], checkout)

    assert (run[0], commented[0]) == (status, 0)
    assert "::warning file=service.py,line=6,title=Loop blocked by main::" in run[1]
    assert ("::error file=scenario.toml,line=6," in run[1]) == bool(status)
    comment = (checkout.path / "comment.md").read_text()
    assert (checkout.path / "summary.md").read_text() == comment + "\n"
    assert comment.startswith("## Failed: blocks.max" if status else "## Loop blocked")
    used = {step["uses"].partition("@")[0]: step for step in job["steps"] if "uses" in step}
    for name, key in {
        "actions/upload-artifact": "path",
        "github/codeql-action/upload-sarif": "sarif_file",
    }.items():
        assert used[name]["if"].startswith("always()")
        assert (checkout.path / used[name]["with"][key]).exists()
    assert (checkout.path / "reports/run/report.html").exists()
    assert True in workflow  # `on`, which YAML 1.1 reads as a truth value


@pytest.mark.long
@pytest.mark.parametrize(("checkout", "status"), [(60_000, 0), (100, 1)], indirect=["checkout"])
def test_gitlabs_job_ends_by_the_status_of_the_run(checkout: Checkout, status: int) -> None:
    """The reports that GitLab is told to read are there, also when it fails."""
    job = yaml.safe_load((DOCS / "gitlab.yml").read_text())["harness"]
    script = "\n".join(job["script"])
    ended, _ = checkout.run(script, {"SCENARIO": "scenario.toml"}, shell=("bash", "-eo", "pipefail", "-c"))

    assert ended == status
    assert job["before_script"] == [INSTALL]
    assert job["artifacts"]["when"] == "always"
    reports = {kind: checkout.path / path for kind, path in job["artifacts"]["reports"].items()}
    (suite,) = ElementTree.parse(reports["junit"]).getroot()
    assert int(suite.attrib["failures"]) == status
    quality = json.loads(reports["codequality"].read_text())
    places = {(issue["location"]["path"], issue["severity"]) for issue in quality}
    assert ("service.py", "major") in places
    assert (("scenario.toml", "critical") in places) == bool(status)
    assert all((checkout.path / path).exists() for path in job["artifacts"]["paths"])


@pytest.fixture
def branch(tmp_path: Path) -> Checkout:
    """A clone whose branch takes far more processor time than the one that it began from."""
    origin = tmp_path / "origin"
    origin.mkdir()
    git(origin, "init", "-q", "-b", "main")
    for loops in (1, 200_000):
        (origin / "service.py").write_text(BURNING.format(loops))
        scenario(
            origin,
            f'[target]\nkind = "program"\ncommand = ["{sys.executable}", "service.py"]\n'
            'ready = { log = "ready" }\n[expect]\n"blocks.max_held_ms" = "< 60000"\n',
        )
        git(origin, "add", ".")
        git(origin, "commit", "-q", "-m", "a change")
        git(origin, "checkout", "-q", "-B", "branch")
    git(tmp_path, "clone", "-q", "-b", "branch", origin.as_uri(), "checkout")
    return Checkout(tmp_path / "checkout")


def slower_script(host: str) -> tuple[str, dict[str, str]]:
    """What the job runs that compares, and what its host sets for it."""
    if host == "github":
        job = yaml.safe_load((DOCS / "github.yml").read_text())["jobs"]["slower"]
        (compared,) = (step["run"] for step in job["steps"] if step.get("name") == "Compare")
        return compared, {"GITHUB_BASE_REF": "main", "GITHUB_STEP_SUMMARY": "summary.md"}
    job = yaml.safe_load((DOCS / "gitlab.yml").read_text())["slower"]
    assert job["allow_failure"] == {"exit_codes": 3}
    return "\n".join(job["script"]), {"CI_DEFAULT_BRANCH": "main"}


@pytest.mark.parametrize("host", ["github", "gitlab"])
@pytest.mark.parametrize("status", [0, 1, 3, 4])
def test_the_comparing_job_ends_by_the_status_of_the_comparison(
    branch: Checkout, host: str, status: int
) -> None:
    """It is with the commit that the branch began from. That it cannot be told is no failure."""
    script, env = slower_script(host)
    branch.has(harness=f'#!/bin/bash\necho "$@" >asked.txt\necho told >reports/slower.md\nexit {status}\n')
    ended, _ = branch.run(
        script, {"SCENARIO": "scenario.toml", **env}, shell=("bash", "-eo", "pipefail", "-c")
    )
    asked = (branch.path / "asked.txt").read_text().split()

    # GitLab has a setting for it, and no summary.
    assert ended == (0 if (host, status) == ("github", 3) else status)
    assert (branch.path / "summary.md").exists() == (host == "github")
    assert asked[:4] == ["bench", "scenario.toml", "--base", git(branch.path, "rev-parse", "origin/main")]


@pytest.mark.long
@pytest.mark.timeout(400)
def test_a_slower_branch_is_found_and_told(branch: Checkout) -> None:
    """By the files that the host is told to show."""
    script, env = slower_script("gitlab")
    branch.has(harness=SHIMS["harness"])
    shell = ("bash", "-eo", "pipefail", "-c")
    ended, _ = branch.run(script, {"SCENARIO": "scenario.toml", **env}, shell=shell, within_s=380)
    quality = code_quality_issues((branch.path / "reports/gl-code-quality-slower.json").read_text())

    assert ended == 1
    assert (branch.path / "reports/slower.md").read_text().startswith("### 🔴 slower: process_cpu_us ")
    JUNIT.validate((branch.path / "reports/slower.junit.xml").read_text())
    assert [one["severity"] for one in quality if "slower: process_cpu_us" in one["description"]] == [
        "critical"
    ]


def test_what_the_documentation_links_is_there() -> None:
    """Both workflows, from the page about CI."""
    page = (DOCS.parent / "ci.md").read_text()

    assert sorted(DOCS.iterdir()) == [DOCS / "github.yml", DOCS / "gitlab.yml"]
    assert all(f"(ci/{file.name})" in page for file in DOCS.iterdir())
