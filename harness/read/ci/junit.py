"""Cases as JUnit XML, which every CI host shows as tests.

It has what both the schema of Apache Ant and the one of Jenkins' xUnit plugin ask for, in that order.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from xml.etree import ElementTree

from .markdown import clipped

# Characters that XML cannot have, not even as references.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# Of one message or text: Jenkins keeps all of them in memory.
LETTERS = 10_000


class CaseResult(StrEnum):
    """What became of a case: each but the first is an element of that name."""

    PASSED = "passed"
    FAILURE = "failure"  # it was measured, and is beyond its limit
    ERROR = "error"  # it could not be judged
    SKIPPED = "skipped"  # it decides nothing


@dataclass(frozen=True, slots=True)
class Case:
    """One thing that was judged."""

    group: str
    name: str
    result: CaseResult
    message: str = ""  # one line: why it did not pass
    details: str = ""  # more of it


@dataclass(frozen=True, slots=True)
class Suite:
    """One run, or one comparison."""

    name: str
    cases: tuple[Case, ...]
    took_s: float
    started: str = ""  # ISO 8601 with its offset
    properties: tuple[tuple[str, str], ...] = ()
    output: str = ""  # what stands below all cases


def document(suites: Sequence[Suite]) -> str:
    """The XML of all suites."""
    root = ElementTree.Element("testsuites")
    for number, suite in enumerate(suites):
        _add(root, suite, number)
    ElementTree.indent(root, " ")
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, "unicode") + "\n"


def _add(root: ElementTree.Element, suite: Suite, number: int) -> None:
    results = [case.result for case in suite.cases]
    element = _element(
        root,
        "testsuite",
        name=suite.name,
        package="harness",
        id=str(number),
        timestamp=_utc(suite.started),
        hostname="localhost",
        tests=str(len(results)),
        failures=str(results.count(CaseResult.FAILURE)),
        errors=str(results.count(CaseResult.ERROR)),
        skipped=str(results.count(CaseResult.SKIPPED)),
        time=f"{suite.took_s:.3f}",
    )
    properties = _element(element, "properties")
    for name, value in suite.properties:
        # Apache Ant takes no empty value.
        if value:
            _element(properties, "property", name=name, value=value)
    for case in suite.cases:
        # The run took its time as a whole, and no case took a part of it.
        made = _element(element, "testcase", name=case.name, classname=f"{suite.name}.{case.group}", time="0")
        if case.result != CaseResult.PASSED:
            why = _element(made, case.result, message=case.message, type=f"{case.group}.{case.result}")
            why.text = _text(case.details or case.message)
    _element(element, "system-out").text = _text(suite.output)
    _element(element, "system-err")


def _element(parent: ElementTree.Element, tag: str, /, **attributes: str) -> ElementTree.Element:
    return ElementTree.SubElement(parent, tag, {key: _text(value) for key, value in attributes.items()})


def _text(text: str) -> str:
    return _NOT_XML.sub("\ufffd", clipped(text, LETTERS))


def _utc(started: str) -> str:
    """The time as Apache Ant has it: without an offset, to the second."""
    try:
        at = datetime.fromisoformat(started)
    except ValueError:
        at = datetime.fromtimestamp(0, UTC)
    at = at if at.tzinfo is None else at.astimezone(UTC)
    return at.strftime("%Y-%m-%dT%H:%M:%S")
