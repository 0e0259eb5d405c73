"""A copy of the checkout in which faults are tried, with an environment that imports this copy alone."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .mutation import Mutation

# Longer than any group of tests takes; a fault that makes them hang is noticed.
WITHIN_S = 600.0


@dataclass(frozen=True, slots=True)
class TestRun:
    """One run of pytest."""

    passed: bool
    failures: tuple[str, ...]  # ids of tests that failed; or why there are none
    took_s: float


class Scratch:
    """The copy: every file that git knows, as it is in the checkout now."""

    def __init__(self, checkout: Path, folder: Path, *, processes: int) -> None:
        self.root = folder / "checkout"
        self.left_out: list[str] = []  # tests that fail without a fault
        self._processes = processes
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=checkout,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for name in filter(None, listed.split("\0")):
            source, target = checkout / name, self.root / name
            if source.is_file():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, target)
        # Not installed again: the environment's packages are found, but its `harness` is this copy.
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "venv")], check=True)
        self._python = folder / "venv/bin/python"
        packages = next((folder / "venv").glob("lib/python*/site-packages"))
        (packages / "copy.pth").write_text(f"{self.root}\n{sysconfig.get_path('purelib')}\n")
        # Programs such as py-spy, which tests look for beside Python. Scripts would run the other Python.
        for program in Path(sysconfig.get_path("scripts")).iterdir():
            beside = folder / "venv/bin" / program.name
            if not beside.exists() and program.is_file() and program.read_bytes()[:4] == b"\x7fELF":
                beside.symlink_to(program.resolve())

    @contextmanager
    def changed(self, mutation: Mutation) -> Iterator[None]:
        """The copy with one fault in it, for as long as the block lasts."""
        path = self.root / mutation.file
        text = path.read_text()
        path.write_text(mutation.applied(text))
        try:
            yield
        finally:
            path.write_text(text)

    def test(self, tests: Sequence[str], *, without: Sequence[str] = ()) -> TestRun:
        """Run the tests until the first failure."""
        began = time.monotonic()
        parallel = ["-n", str(self._processes)] if self._processes > 1 else ["-p", "no:xdist"]
        deselected = [f"--deselect={test}" for test in (*self.left_out, *without)]
        process = subprocess.Popen(
            [
                str(self._python),
                "-m",
                "pytest",
                "-q",
                "-x",
                "--no-header",
                "-rfE",
                *parallel,
                *deselected,
                *tests,
            ],
            cwd=self.root,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            said, _ = process.communicate(timeout=WITHIN_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            return TestRun(False, ("the tests did not end",), time.monotonic() - began)
        # "FAILED tests/read/test_x.py::test_name[a b] - AssertionError: ..."
        found = (re.match(r"(?:FAILED|ERROR) (\S.*?)(?: - .*)?$", line) for line in said.splitlines())
        failures = tuple(match[1] for match in found if match)
        if process.returncode not in (0, 5) and not failures:
            failures = tuple(said.strip().splitlines()[-1:])
        # 5: no test was collected.
        return TestRun(process.returncode in (0, 5), failures, time.monotonic() - began)
