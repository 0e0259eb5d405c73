"""What the counts of synchronous calls mean: places, what is allowed or known, and what is new."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from harness.read.calls.allowlist import AllowedCall, Allowlist
from harness.read.finding import Finding, Level
from harness.read.history import load
from harness.read.report import Report, as_json, build
from harness.record.event import CallsCounted
from tests.read.conftest import Record

APPLICATION = "/srv/shop/"


def counted(
    call: str = "open",
    function: str = "shop.cart:load",
    *,
    line: int = 7,
    file: str = "cart.py",
    pid: int = 4242,
    took_ms: float = 1.0,
    count: int = 1,
    at_ns: int = 1,
    caller: str = "shop.app:serve",
    argument: str = "cart.toml",
) -> CallsCounted:
    """One count as the probe writes it; *took_ms* is that of each call."""
    return CallsCounted(
        at_ns=at_ns,
        pid=pid,
        call=call,
        function=function,
        file=file and APPLICATION + file,
        line=line,
        caller=caller,
        argument=argument,
        count=count,
        total_ns=round(took_ms * 1e6) * count,
        max_ns=round(took_ms * 1e6),
    )


Judge = Callable[..., Report]


@pytest.fixture
def judged(record: Record) -> Judge:
    """The document of a run that counted these calls."""

    def judge(
        *counts: CallsCounted,
        accept: Allowlist | None = None,
        expectations: Sequence[tuple[str, str, float]] = (),
    ) -> Report:
        made = record(settings={"calls": (accept or Allowlist()).settings()}, expectations=expectations)
        made.loop(turns_ms=[1.0] * 10)
        made.write("target", *counts)
        made.ended()
        return made.document()

    return judge


def test_the_counts_of_one_line_are_one_entry(judged: Judge) -> None:
    """The newest of each count holds; processes and arguments are added up."""
    document = judged(
        counted(count=1),
        counted(count=3, at_ns=2),
        counted(count=2, argument="prices.toml", took_ms=5.0),
        counted(count=4, pid=4243),
        counted(call="os.stat", line=8),
    )

    assert as_json(document)["calls"] == [
        {
            "call": "open",
            "function": "shop.cart:load",
            "file": "/srv/shop/cart.py",
            "line": 7,
            "where": "cart.py:7",
            "caller": "shop.app:serve",
            "arguments": ["prices.toml", "cart.toml"],
            "count": 9,
            "total_ms": 17.0,
            "max_ms": 5.0,
            "allowed": False,
            "reason": "",
            "known": False,
        },
        {
            "call": "os.stat",
            "function": "shop.cart:load",
            "file": "/srv/shop/cart.py",
            "line": 8,
            "where": "cart.py:8",
            "caller": "shop.app:serve",
            "arguments": ["cart.toml"],
            "count": 1,
            "total_ms": 1.0,
            "max_ms": 1.0,
            "allowed": False,
            "reason": "",
            "known": False,
        },
    ]


def test_new_places_are_warnings_and_known_ones_notes_worst_first(judged: Judge) -> None:
    """What is allowed is no finding at all; what is known is one after all that is new."""
    document = judged(
        counted(function="shop.cart:known", took_ms=90.0),
        counted(function="shop.cart:small", line=9, took_ms=2.0, count=1000),
        counted(function="shop.cart:allowed", took_ms=70.0),
        counted(function="shop.cart:large", line=11, took_ms=3000.0),
        accept=Allowlist(
            allow=(AllowedCall("open", "it is tiny", function="*:allowed"),),
            known=frozenset({("open", "shop.cart:known"), ("os.stat", "shop.cart:small")}),
        ),
    )

    assert [found for found in document.findings if found.rule == "calls"] == [
        _finding(Level.WARNING, "shop.cart:large", 11, "1 time, 3.00 s"),
        _finding(Level.WARNING, "shop.cart:small", 9, "1,000 times, 2.00 s"),
        _finding(Level.NOTE, "shop.cart:known", 7, "1 time, 90 ms"),
    ]
    assert document.calls is not None
    assert [(c.function, c.reason) for c in document.calls if c.allowed] == [
        ("shop.cart:allowed", "it is tiny")
    ]


def _finding(level: Level, function: str, line: int, took: str) -> Finding:
    message = f"{function} called open on the loop: {took} in total"
    return Finding("calls", level, message, "/srv/shop/cart.py", line)


@pytest.mark.parametrize(
    ("allow", "covered"),
    [
        ({"call": "open"}, True),
        ({"call": "o*"}, True),
        ({"call": "file.*"}, False),
        ({"call": "*", "function": "shop.cart:*"}, True),
        ({"call": "*", "function": "shop.app:*"}, False),
        ({"call": "*", "function": "shop.cart"}, False),
        ({"call": "*", "caller": "shop.app:*"}, True),
        ({"call": "*", "caller": "shop.cart:*"}, False),
        ({"call": "*", "argument": "*/settings.toml"}, True),
        ({"call": "*", "argument": "settings.toml"}, False),
        ({"call": "open", "argument": "*.toml", "caller": "nobody"}, False),
    ],
)
def test_a_rule_covers_what_all_of_its_patterns_fit(allow: dict[str, str], covered: bool) -> None:
    """Call, function, caller and argument are globs over the whole text, and all count."""
    made = counted(argument="/etc/shop/settings.toml")

    assert AllowedCall(**allow, reason="tested").covers(made) is covered


def test_an_argument_that_no_rule_allows_stands_by_itself(judged: Judge) -> None:
    """One line may read a file that is meant, and another that is not."""
    document = judged(
        counted(argument="/etc/shop/settings.toml", count=3),
        counted(argument="/tmp/upload", count=2),
        accept=Allowlist(allow=(AllowedCall("open", "read once", argument="*/settings.toml"),)),
    )

    assert document.calls is not None
    assert [(c.allowed, c.arguments, c.count) for c in document.calls] == [
        (False, ("/tmp/upload",), 2),
        (True, ("/etc/shop/settings.toml",), 3),
    ]


def test_places_that_were_counted_together_are_a_note(judged: Judge) -> None:
    """What is beyond the bound has no place, and is never new."""
    document = judged(counted(function="", file="", line=0, caller="", argument="", count=50))

    (found,) = [found for found in document.findings if found.rule == "calls"]
    assert (found.level, found.message) == (
        "note",
        "open was called on the loop in other places: 50 times, 50 ms in total",
    )
    assert document.calls is not None
    assert [(call.where, call.new) for call in document.calls] == [("", False)]


def test_without_the_option_there_are_no_calls(record: Record) -> None:
    """Null, not an empty list: nobody looked."""
    made = record(expectations=[("calls.new", "<=", 0)])
    made.loop()
    made.ended()
    document = made.document()

    assert document.calls is None
    assert [(e.value, e.passed) for e in document.expectations] == [(None, False)]


@pytest.mark.parametrize(("known", "passed"), [(set(), False), ({("open", "shop.cart:load")}, True)])
def test_a_new_place_can_fail_a_run(judged: Judge, known: set[tuple[str, str]], passed: bool) -> None:
    """The figure `calls.new` counts the places that are neither allowed nor known."""
    document = judged(
        counted(), accept=Allowlist(known=frozenset(known)), expectations=[("calls.new", "<=", 0)]
    )

    assert [(e.value, e.passed) for e in document.expectations] == [(len({1} - {passed}), passed)]


def test_an_old_record_is_judged_by_what_was_accepted_then_or_by_new_rules(record: Record) -> None:
    """The manifest keeps what was accepted; other rules can take its place."""
    then = Allowlist(allow=(AllowedCall("open", "then"),), known=frozenset({("os.stat", "shop.cart:load")}))
    made = record(settings={"calls": then.settings()})
    made.write("target", counted(), counted(call="os.stat"))
    made.ended()
    made.close()
    history = load(made.folder)

    assert Allowlist.of_run(history.run) == then
    accepted, judged_anew = build(history).calls, build(history, allowlist=Allowlist()).calls
    assert accepted is not None
    assert judged_anew is not None
    assert [call.new for call in accepted] == [False, False]
    assert [call.new for call in judged_anew] == [True, True]
