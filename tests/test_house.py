"""The house keeps its own rules: import contracts, style and types, and what a visitor reads."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent


def run(*command: str) -> str:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_rooms_import_only_what_they_may() -> None:
    """The import contracts hold."""
    assert " 0 broken" in run(str(BIN / "lint-imports"), "--no-cache")


@pytest.mark.parametrize("check", [("check",), ("format", "--check")], ids=" ".join)
def test_the_code_is_in_style(check: tuple[str, ...]) -> None:
    """ruff has nothing to say."""
    run(str(BIN / "ruff"), *check, ".")


@pytest.mark.timeout(300)
def test_the_types_hold() -> None:
    """mypy --strict has nothing to say."""
    run(str(BIN / "mypy"))


def test_the_probe_and_the_record_read_no_clock_that_can_be_frozen() -> None:
    """They have one of their own."""
    frozen = re.compile(r"from time import .*(monotonic|perf_counter)|time\.(monotonic|perf_counter)(_ns)?\(")
    files = {path for room in ("probe", "record") for path in (ROOT / "harness" / room).rglob("*.py")}

    assert [path for path in files if frozen.search(path.read_text())] == []


def test_packages_have_empty_beginnings() -> None:
    """An `__init__.py` has no code, except the public faces."""
    full = {path for path in (ROOT / "harness").rglob("__init__.py") if path.read_text().strip()}

    assert full == {ROOT / "harness" / "__init__.py", ROOT / "harness" / "testing" / "__init__.py"}


@pytest.mark.parametrize("page", sorted(path.name for path in ROOT.glob("*.md")))
def test_links_of_a_page_lead_somewhere(page: str) -> None:
    """Every relative link names a file of the repository."""
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", (ROOT / page).read_text())

    assert [link for link in links if not (ROOT / link).exists()] == []
