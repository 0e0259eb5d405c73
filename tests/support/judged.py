"""The report of a small program that was watched, and the lines of its text."""

from __future__ import annotations

from pathlib import Path

from harness.read import history, report
from harness.read.finding import Finding
from harness.read.report import Report
from harness.record import run
from harness.record.event import ProbeFailed, WriterOpened
from tests.support.watched import LIMIT_MS, Outcome


def judged(seen: Outcome) -> Report:
    """The report of its record; nothing of the probe has failed."""
    assert seen.of(ProbeFailed) == []
    started_ns = min(opened.at_ns for opened in seen.of(WriterOpened))
    manifest = run.Run("r", "watch", "", started_ns, 0, "", "", (), LIMIT_MS * 1_000_000)
    return report.build(history.load(run.create(seen.folder.path, manifest)))


def findings_of(rule: str, seen: Outcome) -> list[Finding]:
    """What one rule has found."""
    return [finding for finding in judged(seen).findings if finding.rule == rule]


def line_of(text: str, program: str) -> int:
    """The number of the first line of the program's text that has *text* in it."""
    return next(n for n, line in enumerate(program.splitlines(), start=1) if text in line)


def program_line(text: str, folder: Path) -> int:
    """The same of the program that was written into *folder*."""
    return line_of(text, (folder / "program.py").read_text())
