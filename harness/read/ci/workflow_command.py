"""Issues as workflow commands of GitHub Actions, which it shows beside the code and in the job's summary.

Their form and escapes: https://docs.github.com/en/actions/reference/workflow-commands-for-github-actions. Of
each kind GitHub shows ten per step, and drops the others without a word.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from ..finding import Level
from ..units import plural, printable
from .issue import Issue
from .markdown import clipped

SHOWN = 10
KINDS = {Level.ERROR: "error", Level.WARNING: "warning", Level.NOTE: "notice"}
# The limits of an annotation's title and message.
TITLE, MESSAGE = 255, 4_000


def commands(issues: Iterable[Issue]) -> Iterator[str]:
    """A line for each issue, worst first, and one that says how many are cut."""
    everything = tuple(issues)
    by_kind = {kind: [one for one in everything if one.level == level] for level, kind in KINDS.items()}
    # The line about the cut is a notice, too.
    is_cut = any(len(members) > SHOWN for members in by_kind.values())
    room = {kind: SHOWN - (is_cut and kind == "notice") for kind in by_kind}
    for kind, members in by_kind.items():
        yield from (_command(kind, issue) for issue in members[: room[kind]])
    if is_cut:
        more = [
            plural(len(members) - room[kind], kind)
            for kind, members in by_kind.items()
            if len(members) > room[kind]
        ]
        message = (
            f"{_listed(more)} not shown: GitHub shows {SHOWN} of each kind per step. The report has all."
        )
        yield f"::notice title={_property('asyncio-harness')}::{_data(message)}"


def _command(kind: str, issue: Issue) -> str:
    properties = {"file": issue.file, "line": str(issue.line) if issue.file and issue.line else ""}
    properties["title"] = clipped(printable(issue.title), TITLE)
    shown = ",".join(f"{name}={_property(value)}" for name, value in properties.items() if value)
    message = "\n".join(printable(line) for line in issue.message.split("\n"))
    return f"::{kind} {shown}::{_data(clipped(message, MESSAGE))}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _listed(parts: Sequence[str]) -> str:
    """``4 errors and 12 warnings``"""
    return " and ".join((", ".join(parts[:-1]), parts[-1])) if len(parts) > 1 else parts[0]
