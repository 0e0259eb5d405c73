"""What two runs of a program print, without what differs each time."""

from __future__ import annotations

import re
from collections import Counter

CHANGING = (
    (re.compile(r"\x1b\[[0-9;]*m"), ""),
    (re.compile(r"\d{4}[-/]\d\d[-/]\d\d|\d\d/[A-Z][a-z]{2}/\d{4}"), "DATE"),
    (re.compile(r"\d\d:\d\d:\d\d([.,]\d+)?( ?[+-]\d{4})?"), "TIME"),
    (re.compile(r"\b\d+\.\d+ ?(ms|s|seconds)?\b"), "NUMBER"),
    (re.compile(r"0x[0-9a-f]+"), "ADDRESS"),
    (re.compile(r"\b[0-9a-f]{32}\b|\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"), "ID"),
    (re.compile(r"mem_usage=\S+"), "mem_usage=SIZE"),
    # Of a message, shortened.
    (re.compile(r"\| [0-9A-Za-z-]{7,10} +- (?=Received|Processed)"), "| ID - "),
    # Which of two workers was asked is chance.
    (re.compile(r"Srv \d"), "Srv N"),
    # Pids, ports, sizes.
    (re.compile(r"\d{3,}"), "N"),
)


def lines(text: str) -> Counter[str]:
    """The lines and how often each came, in any order: several processes write them."""
    for pattern, replacement in CHANGING:
        text = pattern.sub(replacement, text)
    return Counter(filter(None, (line.strip() for line in text.splitlines())))


def differences(before: str, after: str, by_chance: str = "") -> list[str]:
    """The lines that only one of them has, or more often, as in a patch, but for those *by_chance*."""
    was, now = lines(before), lines(after)
    found = [f"-{line}" for line in (was - now).elements()] + [f"+{line}" for line in (now - was).elements()]
    return [line for line in found if not by_chance or not re.search(by_chance, line)]
