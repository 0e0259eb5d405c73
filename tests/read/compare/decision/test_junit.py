"""A decision as JUnit XML."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree

from harness.read.compare.decision.decision import Decision
from harness.read.compare.decision.junit import render
from harness.read.compare.paired.false_alarms import FalseAlarms
from tests.support.ci_schema import JUNIT
from tests.support.decided import decided

WHOLE = "it can be told whether the head is slower"


def cases(found: Decision) -> dict[str, tuple[str, str]]:
    """Of each case what became of it, and the message."""
    text = render(found)
    JUNIT.validate(text)
    (suite,) = ElementTree.fromstring(text)
    return {
        case.attrib["name"]: (case[0].tag, case[0].attrib["message"]) if len(case) else ("passed", "")
        for case in suite.iter("testcase")
    }


def test_what_is_slower_fails_and_what_is_only_shown_does_not() -> None:
    """With its figures in the message; what is faster passes."""
    base = {"cpu_ms": 50.0, "turns": 5.0, "wall_ms": 60.0, "same_ms": 1.0}
    found = cases(
        decided(base, {"cpu_ms": 60.0, "turns": 4.0, "wall_ms": 90.0, "same_ms": 1.0}, shown="wall_ms")
    )

    assert found[WHOLE] == found["turns"] == found["same_ms"] == ("passed", "")
    assert found["cpu_ms"][0] == "failure"
    assert found["cpu_ms"][1].startswith("slower: cpu_ms 50 ms → 60 ms, +20.0 % (")
    assert found["wall_ms"][0] == "skipped"


def test_what_cannot_be_told_is_an_error() -> None:
    """The figure, and the comparison; so is one in which nothing was measured, or that was interrupted."""
    missing = cases(decided({"cpu_ms": 50.0}, {}))
    same = decided({"cpu_ms": 50.0}, {"cpu_ms": 50.0})

    assert missing["cpu_ms"] == ("error", "cannot tell: not measured in the head")
    assert missing[WHOLE][0] == "error"
    assert cases(decided({}, {})) == {WHOLE: ("error", "cannot tell: nothing that decides was measured")}
    assert cases(same)[WHOLE][0] == "passed"
    assert cases(replace(same, interrupted=True))[WHOLE][0] == "error"


def test_a_side_against_itself_is_one_case() -> None:
    """What looks slower there is noise, and no failure."""
    found = replace(
        decided({"cpu_ms": 50.0}, {"cpu_ms": 60.0}),
        false_alarms=(FalseAlarms("cpu_ms", 100, 0, 0, 0, 5),),
    )

    assert list(cases(found)) == [WHOLE]


def test_the_suite_is_the_comparison() -> None:
    """With both sides among its properties, and the summary as its output."""
    (suite,) = ElementTree.fromstring(render(decided({"cpu_ms": 50.0}, {"cpu_ms": 60.0})))
    properties = {one.attrib["name"]: one.attrib["value"] for one in suite.iter("property")}

    assert suite.attrib["name"] == "comparison of b"
    assert properties == {"comparison": "x", "verdict": "slower", "base": "a", "head": "b", "pairs": "10"}
    assert (suite.findtext("system-out") or "").startswith("slower: cpu_ms 50 ms → 60 ms")
