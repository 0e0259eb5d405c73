"""`harness.toml` and the baseline: files that say which synchronous calls nobody is to be warned of."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.read.calls import baseline, project
from harness.read.calls.allowlist import AllowedCall
from harness.read.calls.call import Call


def call(
    name: str = "open", function: str = "shop.cart:load", *, line: int = 7, allowed: bool = False
) -> Call:
    return Call(name, function, "cart.py", line, f"cart.py:{line}", "", (), 1, 1.0, 1.0, allowed, "", False)


def test_the_rules_of_a_project(tmp_path: Path) -> None:
    """Each entry with its patterns; what it does not name fits anything."""
    file = tmp_path / "harness.toml"
    file.write_text("""
        [[calls.allow]]
        call = "open"
        caller = "shop.settings:*"
        argument = "*/settings.toml"
        reason = "read once at start"
        [[calls.allow]]
        call = "ssl.*"
        function = "shop.tls:context"
        reason = "one context for the whole program"
    """)

    assert project.load_allowances(file) == (
        AllowedCall("open", "read once at start", caller="shop.settings:*", argument="*/settings.toml"),
        AllowedCall("ssl.*", "one context for the whole program", function="shop.tls:context"),
    )


WRONG = {
    "a misspelt key": (
        '[[calls.allow]]\ncall = "open"\nreson = "x"\nreason = "x"',
        "3: calls.allow.0.reson: unknown key; did you mean reason?",
    ),
    "a misspelt table": ("[call]\nallow = []", "1: call: unknown key; did you mean calls?"),
    "no reason": (
        '[[calls.allow]]\ncall = "open"',
        "1: calls.allow.0.reason: missing; expected a non-empty string",
    ),
    "an empty reason": (
        '[[calls.allow]]\ncall = "open"\nreason = ""',
        '3: calls.allow.0.reason: expected a non-empty string, got ""',
    ),
    "no call": (
        '[[calls.allow]]\nreason = "x"',
        "1: calls.allow.0.call: missing; expected a non-empty string",
    ),
    "no text": (
        '[[calls.allow]]\ncall = "a"\nreason = "b"\n[[calls.allow]]\ncall = 5\nreason = "c"',
        "5: calls.allow.1.call: expected a non-empty string, got 5",
    ),
    "not TOML": ("[calls\n", "1: not TOML: Expected ']' at the end of a table declaration"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_file_is_refused_with_line_and_key(name: str, tmp_path: Path) -> None:
    """One error, which says where and what was expected."""
    content, message = WRONG[name]
    file = tmp_path / "harness.toml"
    file.write_text(content)

    with pytest.raises(UsageError) as caught:
        project.load_allowances(file)
    assert str(caught.value) == f"{file}:{message}"


def test_a_baseline_knows_calls_and_functions_but_no_lines(tmp_path: Path) -> None:
    """What a rule allows and what has no place is not in it; the file is sorted, so that it diffs well."""
    file = tmp_path / "baseline.json"
    seen = [call("os.stat"), call(), call(line=99), call("import", allowed=True), call("open", "")]

    assert baseline.save(seen, file) == 2
    assert json.loads(file.read_text()) == {
        "schema": 1,
        "calls": [
            {"call": "open", "function": "shop.cart:load"},
            {"call": "os.stat", "function": "shop.cart:load"},
        ],
    }
    assert baseline.load(file) == {("open", "shop.cart:load"), ("os.stat", "shop.cart:load")}


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"schema": 1, "calls": [{"call": "open"}]}', '{"schema": "x"}']
)
def test_a_file_that_is_no_baseline_is_refused(content: str, tmp_path: Path) -> None:
    """Whatever it holds, the error is one and names the file."""
    file = tmp_path / "baseline.json"
    file.write_text(content)

    with pytest.raises(UsageError, match="not a baseline of calls"):
        baseline.load(file)


def test_a_baseline_of_a_newer_version_or_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """A newer one says so; for a missing one there is advice."""
    file = tmp_path / "baseline.json"
    with pytest.raises(UsageError, match="no such baseline") as caught:
        baseline.load(file)
    assert caught.value.__notes__ == ["With --update-baseline the run writes it."]

    file.write_text('{"schema": 2, "calls": []}')
    with pytest.raises(UsageError, match="schema 2, but this version reads up to 1"):
        baseline.load(file)
