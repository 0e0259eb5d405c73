"""An issue: one thing that hosts of CI show, beside the line of code that it is about."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

from ..finding import Level
from .source_tree import SourceTree

# What differs from run to run in the message of an issue that is the same: figures with their units.
_FIGURE = re.compile(r"\d[\d,.]*\s?(?:µs|ms|s|%|MB|times?\b)?")


@dataclass(frozen=True, slots=True)
class Issue:
    """One trouble. Its message is whole sentences, and may have several lines."""

    rule: str  # a key of `rule.RULES`
    level: Level
    title: str
    message: str
    file: str = ""  # relative to the repository's root; "" if it is about no file there
    line: int | None = None
    subject: str = ""  # what tells it from other issues of its rule at its line
    fingerprint: str = ""  # the same in every run, also if the line moves; see `identified`


def identified(issues: Iterable[Issue], repository: SourceTree) -> tuple[Issue, ...]:
    """The issues with a fingerprint each, all different.

    It depends on the text of the line and not on its number. Without a readable line it depends on the
    message, but for the figures in it.
    """
    seen: Counter[str] = Counter()
    found = []
    for issue in issues:
        about = repository.source(issue.file, issue.line) or _FIGURE.sub("#", issue.subject or issue.message)
        key = "\0".join((issue.rule, issue.file, about, issue.subject))
        seen[key] += 1
        made = hashlib.sha256(f"{key}\0{seen[key]}".encode(errors="replace")).hexdigest()
        found.append(replace(issue, fingerprint=made[:32]))
    return tuple(found)
