"""JUnit XML of a run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from harness.read.ci import junit
from harness.read.ci.junit import Case, CaseResult, Suite
from harness.read.formats import render
from harness.read.report import Report
from tests.read.conftest import Full, Record
from tests.support.ci_schema import JUNIT

Shown = tuple[str, str, str]


def cases(text: str) -> dict[str, Shown]:
    """Of each case its group, what became of it, and the message."""
    JUNIT.validate(text)
    (suite,) = ElementTree.fromstring(text)

    def of(case: ElementTree.Element) -> Iterator[str]:
        yield case.attrib["classname"].rpartition(".")[2]
        yield case[0].tag if len(case) else "passed"
        yield case[0].attrib["message"] if len(case) else ""

    found = {case.attrib["name"]: tuple(of(case)) for case in suite.iter("testcase")}
    results = [shown[1] for shown in found.values()]
    for name, tag in {"failures": "failure", "errors": "error", "skipped": "skipped"}.items():
        assert int(suite.attrib[name]) == results.count(tag)
    assert int(suite.attrib["tests"]) == len(results)
    return found  # type: ignore[return-value]


@pytest.fixture
def document(full: Full) -> Report:
    return full().document()


def test_expectations_fail_and_health_checks_do_not(document: Report) -> None:
    """What decides the exit status is a failure, with value and limit; a health check is skipped."""
    found = cases(render(document, "junit"))

    assert found["the run can be judged"] == ("run", "passed", "")
    assert found["ledger.lost == 0"] == ("expectation", "passed", "")
    assert found["blocks.max_held_ms < 100 ms"] == (
        "expectation",
        "failure",
        "blocks.max_held_ms is 301 ms, expected < 100 ms",
    )
    longest = found["No loop turn longer than the block limit: at most 100 ms"]
    assert longest[:2] == ("health", "skipped")
    assert longest[2].startswith("301 ms, at most 100 ms (")
    assert longest[2].endswith("; a health check does not fail the run")
    assert found["No events dropped: at most 0 events"][1] == "passed"


def test_the_suite_is_the_run(document: Report) -> None:
    """Its name, start in UTC, duration and parameters; what was found is its output."""
    (suite,) = ElementTree.fromstring(render(document, "junit"))

    assert suite.attrib["name"] == "shop"
    assert (suite.attrib["timestamp"], suite.attrib["time"]) == ("2026-01-02T03:04:05", "20.000")
    properties = {one.attrib["name"]: one.attrib["value"] for one in suite.iter("property")}
    assert properties["commit"] == "0123456789abcdef"
    assert properties["command"] == "python -m shop"
    output = suite.findtext("system-out") or ""
    assert output.startswith(
        f"{document.run.verdict}\nwarning: /srv/shop/hosts.py:41: Host.restart held the loop"
    )


def test_what_was_not_measured_is_an_error(record: Record) -> None:
    """So is the run that it makes invalid."""
    made = record(expectations=[("ledger.lost", "==", 0)])
    made.loop(turns_ms=[1.2] * 3000)
    made.ended()

    found = cases(render(made.document(), "junit"))
    assert found["the run can be judged"][1] == "error"
    assert found["the run can be judged"][2].startswith("invalid: ledger.lost was not measured")
    assert found["ledger.lost == 0"][1] == "error"
    assert found["ledger.lost == 0"][2].startswith("ledger.lost was not measured: ")


def test_a_run_that_was_cut_off_is_an_error(full: Full) -> None:
    """Although nothing was expected of it, no host shows it as passed."""
    document = replace(full(end=False).document(), expectations=(), audits=())

    assert list(cases(render(document, "junit")).values()) == [
        ("run", "error", "aborted: the runner was killed or is still running")
    ]


def test_an_observed_run_has_one_case_that_passes(record: Record) -> None:
    """Without any case, hosts call a file broken."""
    made = record()
    made.loop(turns_ms=[1.2] * 3000)
    made.ended()

    found = cases(render(replace(made.document(), audits=()), "junit"))
    assert found == {"the run can be judged": ("run", "passed", "")}


def test_any_text_makes_valid_xml() -> None:
    """Control characters, lone surrogates, markup, and a message of a megabyte."""
    hostile = "<b>&\x1b[31m\0\ud800\ufffe]]>" + "x" * 1_000_000
    case = Case("a<", hostile, CaseResult.FAILURE, hostile, hostile)
    text = junit.document([Suite("<s>", (case,), 1.0, "yesterday", (("p", hostile),), hostile)])

    JUNIT.validate(text)
    assert len(text) < 100_000
    (suite,) = ElementTree.fromstring(text)
    assert suite.attrib["timestamp"] == "1970-01-01T00:00:00"
    assert next(suite.iter("failure")).text == f"{'<b>&�[31m���]]>'}{'x' * 10_000}"[:9_999] + "…"


def test_several_suites_are_numbered() -> None:
    """A comparison may have one for each metric's group."""
    text = junit.document([Suite(name, (), 0.0) for name in ("a", "b")])

    JUNIT.validate(text)
    assert [suite.attrib["id"] for suite in ElementTree.fromstring(text)] == ["0", "1"]


def test_the_schema_refuses_what_readers_refuse(document: Report) -> None:
    """A negative control: two results in a case, and a missing time."""
    text = render(document, "junit")

    for broken in (
        text.replace("<skipped ", '<error type="t"/><skipped '),
        text.replace(' time="0"', "", 1),
        text.replace("-02T03:04:05", "-02T03:04:05+01:00"),
    ):
        assert broken != text
        assert not JUNIT.is_valid(broken)
