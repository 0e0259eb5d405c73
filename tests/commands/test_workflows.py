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
# What GitHub's own program is asked to do.
GH = """#!/bin/bash
[ "$1 $2 $3 $4 $5 $6" = "pr comment 7 --edit-last --create-if-none --body-file" ] && cp "$7" comment.md
"""


@dataclass(frozen=True)
class Checkout:
    """A repository in which a job runs, with `harness` and `gh` on its path."""

    path: Path

    def run(self, script: str, env: Mapping[str, str], *, shell: tuple[str, ...]) -> tuple[int, str]:
        """Status and output of a script."""
        bin_folder = str(self.path / "bin")
        environment = {**os.environ, "PATH": f"{bin_folder}:{os.environ['PATH']}", **env}
        done = subprocess.run(
            [*shell, script], cwd=self.path, env=environment, stdout=subprocess.PIPE, text=True, timeout=100
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
    (tmp_path / "bin").mkdir()
    shims = {"harness": f'#!/bin/bash\nexec {" ".join(COMMAND)} "$@"\n', "gh": GH}
    for name, text in shims.items():
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    return Checkout(tmp_path)


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
    (job,) = workflow["jobs"].values()
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
    (job,) = yaml.safe_load((DOCS / "gitlab.yml").read_text()).values()
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


def test_what_the_documentation_links_is_there() -> None:
    """Both workflows, from the page about CI."""
    page = (DOCS.parent / "ci.md").read_text()

    assert sorted(DOCS.iterdir()) == [DOCS / "github.yml", DOCS / "gitlab.yml"]
    assert all(f"(ci/{file.name})" in page for file in DOCS.iterdir())
