"""Which functions a commit has changed, by the source that the head has."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from harness.read.compare.why.place import ChangedLines

SOURCE = """
    @cached
    def outer(n):
        total = 0
        for i in range(n):
            total += inner(i)

        def shift(x):
            return x + 1

        return shift(total)

    def other():
        return 1
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "shop.py").write_text(dedent(SOURCE))
    return tmp_path


@pytest.mark.parametrize(
    ("sampled", "changed", "expected"),
    [
        pytest.param({5, 6}, 4, True, id="before the lines that were seen"),
        pytest.param({5, 6}, 11, True, id="after them"),
        pytest.param({5}, 2, True, id="its decorator"),
        pytest.param({5, 6}, 14, False, id="another function"),
        pytest.param({9}, 6, False, id="the function around it"),
        pytest.param({9}, 8, True, id="the inner one's head"),
        pytest.param({5}, 12, False, id="between functions"),
    ],
)
def test_a_function_is_changed_if_one_of_its_lines_is(
    folder: Path, sampled: set[int], changed: int, expected: bool
) -> None:
    """Samples are seldom at each line of a function: the change may be at one that they missed."""
    of_commit = ChangedLines(str(folder), {"shop.py": {changed}})

    assert of_commit.function(str(folder / "shop.py"), sampled) is expected


@pytest.mark.parametrize("source", [None, "def broken(:\n"], ids=["none", "not Python"])
def test_without_a_source_the_lines_that_were_seen_decide(tmp_path: Path, source: str | None) -> None:
    """A file that cannot be read tells nothing of its functions."""
    if source is not None:
        (tmp_path / "shop.py").write_text(source)
    of_commit = ChangedLines(str(tmp_path), {"shop.py": {4, 9}})
    file = str(tmp_path / "shop.py")

    assert (of_commit.function(file, {3, 4}), of_commit.function(file, {3, 5})) == (True, False)
