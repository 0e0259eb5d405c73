"""The summary on terminals of any width, and in a pipe."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from harness.read import terminal
from harness.read.compare.comparison import comparison
from harness.read.report import Report
from harness.read.spans.wait_report import WaitReport
from harness.read.terminal_layout import FigureRow, FigureTable, LabelledLine, lines, wrapped
from tests.read.conftest import Full

PATH = Path("reports/20260102-030405-shop-7f3a/report-against-20260102-030405-shop-0000.html")


@pytest.fixture
def document(full: Full) -> Report:
    """A run with blocks, decomposed spans with figures for each state, and a comparison."""
    before, after = full("before", blocks=0).document(), full("after", blocks=14).document()
    root = replace(
        after.spans.by_name[0],
        run_ms=123.4,
        ready_ms=123.4,
        wait_ms=496.35,
        io_ms=123.4,
        timer_ms=123.4,
        queued_ms=123.4,
        executor_ms=123.4,
        task_ms=2.75,
        decomposed=1200,
    )
    after = replace(after, spans=replace(after.spans, by_name=(root,)))
    waits = WaitReport(1.0, 1200, 5000, 0, (), (root.name,), ())
    return replace(after, waits=waits, difference=comparison(before, after, "there are no samples"))


def shown(document: Report, width: int | None, *, whole: bool = False) -> list[str]:
    """The lines of the summary on a terminal of that width, or in a pipe."""
    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=width is not None, color_system=None)
    terminal.show(document, console, report=PATH, whole=whole)
    return out.getvalue().splitlines()


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_nothing_is_cut_and_nothing_is_lost(document: Report, width: int) -> None:
    """Each line fits, but a path; the words, put together again, are those of the widest terminal."""
    told = shown(document, width)
    words, all_words = (
        set(" ".join(some).replace(",", " ").split()) for some in (told, shown(document, 500))
    )

    assert all(cell_len(line) <= width or PATH.name in line for line in told)
    assert all(line == line.rstrip() for line in told)
    assert all_words <= words


@pytest.mark.parametrize("width", [40, 60, 80, 120, 500])
def test_every_figure_stands_with_its_name(document: Report, width: int) -> None:
    """Whole, in its column or beside its name, at any width."""
    told = "\n".join(shown(document, width))

    heading = re.search(r"^mean time by state  spans .* task$", told, re.MULTILINE)
    if heading is None:
        assert "spans 1,200" in told
        assert "task 2.8 ms" in told
    else:
        row = told[heading.end() + 1 :].splitlines()[0]
        assert row.index("2.8 ms") + len("2.8 ms") == len(heading[0])
        assert row.index("1,200") + len("1,200") == heading[0].index("spans") + len("spans")
    assert not re.search(r"\d\n *(ms|s|%)\b", told)


def test_a_pipe_has_one_line_for_each_row(document: Report) -> None:
    """However long: the sentence, the hint, the place; without blanks at the ends."""
    told = shown(document, None)

    assert told[0].startswith("failed blocks.max_held_ms is 301 ms")
    assert told[0].endswith(".")
    assert sum(line.lstrip().startswith("hint ") for line in told) == 1
    assert any(" at hosts.py:41 " in line and line.endswith(" in span restart host") for line in told)
    assert all(line == line.rstrip() for line in told)


def test_the_whole_summary_has_every_row_and_finding(document: Report) -> None:
    """Without it, the first few, and how many more there are."""
    note, root = document.findings[-1], document.spans.by_name[0]
    names = [f"root {n}" for n in range(terminal.ROOTS + 2)]
    assert document.waits is not None
    document = replace(
        document,
        findings=tuple(
            replace(note, rule="tasks", message=f"note {n}") for n in range(terminal.FINDINGS + 3)
        ),
        spans=replace(document.spans, by_name=tuple(replace(root, name=name) for name in names)),
        waits=replace(document.waits, roots=tuple(names)),
    )
    few, whole = "\n".join(shown(document, None)), "\n".join(shown(document, None, whole=True))

    assert ("and 3 more findings" in few, "and 2 more names" in few) == (True, True)
    assert "more finding" not in whole
    assert "more name" not in whole
    assert all(f"note {n}" in whole for n in range(terminal.FINDINGS + 3))
    assert all(name in whole for name in names)
    assert "note 10" not in few


def test_a_path_is_never_cut(document: Report) -> None:
    """A terminal can still open it, and it can be copied."""
    assert any(line.endswith(f"report  {PATH}") for line in shown(document, 40))


@pytest.mark.parametrize(
    ("text", "width", "expected"),
    [
        ("tasks waited 35 times", 12, ["tasks waited", "35 times"]),
        ("took 66.6 ms in all", 9, ["took", "66.6 ms", "in all"]),
        ("within ± 30.8 ms, worse", 12, ["within", "± 30.8 ms,", "worse"]),
        ("harness/mayhem/hosts/simulated.py:46", 20, ["harness/mayhem/", "hosts/simulated.py:", "46"]),
        ("SimulatedHost.restart", 16, ["SimulatedHost.", "restart"]),
        ("aaaaaaaa", 3, ["aaa", "aaa", "aa"]),
        ("日本語の関数", 4, ["日本", "語の", "関数"]),
        ("", 5, [""]),
    ],
)
def test_a_text_is_cut_between_words(text: str, width: int, expected: list[str]) -> None:
    """A figure keeps its unit; a long word is cut after a separator, else where the line ends."""
    assert [line.plain for line in wrapped(Text(text), width)] == expected


def test_a_narrow_table_becomes_a_list() -> None:
    """With the name beside each figure; one without a value is left out."""
    row = FigureRow((Text("process restart"), Text("in shop")), ("931", "2.3 ms", "", "57 µs"))
    table = FigureTable("mean time", ("spans", "run", "ready", "queued"), (row,))

    assert [line.plain for line in lines(table, 60)] == [
        "mean time        spans     run  ready  queued",
        "process restart    931  2.3 ms          57 µs",
        "in shop",
    ]
    assert [line.plain for line in lines(table, 30)] == [
        "mean time",
        "process restart",
        "    in shop",
        "    spans 931, run 2.3 ms",
        "    queued 57 µs",
    ]


def test_a_label_stands_beside_all_lines_of_its_text() -> None:
    """They are indented to where the text began."""
    told = [line.plain for line in lines(LabelledLine("hint", Text("Use a thread instead.")), 22)]

    assert told == ["     hint  Use a", "           thread", "           instead."]


def test_a_comparison_stands_apart(document: Report) -> None:
    """A blank line is before it, and only where a run is compared."""
    alone, compared = shown(replace(document, difference=None), 120), shown(document, 120)
    at = next(number for number, line in enumerate(compared) if line.lstrip().startswith("against "))

    assert compared[at - 1] == ""
    assert compared.count("") == alone.count("") + 1
