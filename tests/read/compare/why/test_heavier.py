"""Which functions got heavier, from the times of each run."""

from __future__ import annotations

import random

from harness.read.compare.why.function_time import FunctionTime, FunctionTimes
from harness.read.compare.why.place import ChangedLines
from harness.read.compare.why.reasons import heavier

NAMES = [f"step_{number}" for number in range(40)]


def times(draw: random.Random, **more: float) -> FunctionTimes:
    """One run: each function takes 1 ms, more or less by a tenth, and some of them that much more."""
    found = {}
    for name in (*NAMES, *(name for name in more if name not in NAMES)):
        ms = draw.gauss(1.0 if name in NAMES else 0.0, 0.1) + more.get(name, 0.0)
        found[name, "shop.py"] = FunctionTime(name, "shop.py", "/tree/shop.py", ms, {12: ms})
    return found


def told(draw: random.Random, runs: int, **more: float) -> list[str]:
    before, after = [times(draw) for _ in range(runs)], [times(draw, **more) for _ in range(runs)]
    return [one.text for one in heavier(before, after, ChangedLines(), per="per request")]


def test_what_got_heavier_is_told_with_its_line() -> None:
    """And what is new; a function beside them, whose times only vary, is not."""
    found = told(random.Random(1), 4, step_3=2.0, encode=3.0)

    assert [text.split(" takes ")[0] for text in found] == [
        "encode (shop.py:12) is new, and",
        "step_3 (shop.py:12)",
    ]
    assert found[1].endswith(" per request")


def test_runs_that_are_alike_tell_nothing() -> None:
    """Of a hundred comparisons of forty functions each, hardly one names a function."""
    draw = random.Random(2)

    assert sum(bool(told(draw, 4)) for _ in range(100)) <= 5


def test_lines_that_the_commit_changed_are_marked() -> None:
    """By the file below the revision's folder, and only near where the time went."""
    draw = random.Random(3)
    before, after = [times(draw) for _ in range(4)], [times(draw, step_3=2.0) for _ in range(4)]
    marks = [
        [one.changed for one in heavier(before, after, ChangedLines("/tree", {file: {line}}), per="per run")]
        for file, line in (("shop.py", 12), ("shop.py", 90), ("other.py", 12))
    ]

    assert marks == [[True], [False], [False]]


def test_a_new_function_is_told_however_much_its_time_varies() -> None:
    """It is in every run of the head and in none of the base; a seldom one may be there by chance."""

    def run(encode_ms: float) -> FunctionTimes:
        found = {("work", "shop.py"): FunctionTime("work", "shop.py", "shop.py", 10.0, {3: 10.0})}
        if encode_ms:
            found["encode", "shop.py"] = FunctionTime(
                "encode", "shop.py", "shop.py", encode_ms, {9: encode_ms}
            )
        return found

    def functions(*encode_ms: float) -> list[str]:
        after = [run(ms) for ms in encode_ms]
        return [one.text for one in heavier([run(0)] * 4, after, ChangedLines(), per="per run")]

    assert functions(0.2, 9.0, 1.0, 4.0) == ["encode (shop.py:9) is new, and takes 3.5 ms per run"]
    assert functions(0.2, 9.0, 0.0, 4.0) == []
