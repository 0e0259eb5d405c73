"""A decision as annotations of GitHub Actions: commands on stdout, one per line, worst first.

GitHub shows ten annotations of each kind in a step, so no more are made, and the last one says how many were
cut.

Source: "Workflow commands for GitHub Actions", setting an error, a warning or a notice message.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from ..paired.answer import Answer
from ..paired.measure import MeasureGate
from . import figure
from .decision import Decision

MOST = 10
Level = Literal["error", "warning", "notice"]


@dataclass(frozen=True, slots=True)
class Annotation:
    """One message, with the place that it is shown at, if it has one."""

    level: Level
    title: str
    message: str
    file: str = ""
    line: int = 0

    def command(self) -> str:
        """The line that GitHub reads."""
        place = {"file": self.file, "line": str(self.line) if self.line else ""} if self.file else {}
        given = {**place, "title": self.title}
        properties = ",".join(f"{name}={_property(value)}" for name, value in given.items() if value)
        return f"::{self.level} {properties}::{_data(self.message)}"


def render(decided: Decision) -> str:
    """The annotations, and the decision's sentence for the log."""
    found = list(all_annotations(decided))
    levels: tuple[Level, ...] = ("error", "warning", "notice")
    kept = [one for level in levels for one in _cut([one for one in found if one.level == level])]
    return "".join(f"{line}\n" for line in (_log(decided.sentence), *(one.command() for one in kept)))


def all_annotations(decided: Decision) -> Iterator[Annotation]:
    """All of them, worst first."""
    for one in decided.measures:
        if one.gate == MeasureGate.SHOWN:
            continue
        if one.answer == Answer.SLOWER:
            yield Annotation("error", f"slower: {one.name}", figure.difference(one))
        elif one.answer == Answer.UNKNOWN and one.gate == MeasureGate.DECIDES:
            yield Annotation("warning", f"cannot tell: {one.name}", one.why or "more pairs are needed")
        elif one.answer == Answer.FASTER:
            yield Annotation("notice", f"faster: {one.name}", figure.difference(one))
    for reason in decided.reasons:
        title = "why it is slower" + (", changed here" if reason.changed else "")
        yield Annotation("warning", title, reason.text, reason.file, reason.line)


def _cut(found: Sequence[Annotation]) -> Sequence[Annotation]:
    if len(found) <= MOST:
        return found
    left = len(found) - MOST + 1
    return [*found[: MOST - 1], Annotation(found[0].level, "more", f"{left} more are in the table")]


def _log(text: str) -> str:
    # A line of the log must not be a command.
    return text.replace("\n", " ").replace("::", ": :")


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
