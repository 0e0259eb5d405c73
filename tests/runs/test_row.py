"""Rows: what a report knows is in one, and what it does not know is not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.bisecting import Bisected, BisectStep
from harness.bisecting import as_json as as_json_of_search
from harness.drive.bench.checkout import Commit
from harness.read.compare.decision.decision import ComparedSide, as_json, decision
from harness.read.compare.paired import once
from harness.read.compare.paired.answer import Answer
from harness.read.compare.paired.measure import Measure
from harness.record.metric import FIGURES
from harness.runs import row
from harness.runs.column import COLUMNS, PER_REQUEST, PLOTTED, HistoryTable, column_of
from tests.support.past_runs import run_row

SAMPLE = Path(__file__).parents[2] / "reports" / "sample" / "report.json"


@pytest.fixture
def report() -> dict[str, Any]:
    """The report of a run under load."""
    document: dict[str, Any] = json.loads(SAMPLE.read_text())
    return document


def test_a_report_is_a_row(report: dict[str, Any]) -> None:
    """With its figures by their keys, the commit without its mark, and what it does not have left out."""
    report["run"] |= {"commit": "abc123+", "branch": "main", "host": "ci", "cpu_s": 9.31}
    cells = row.of_report(report, Path("reports/one")).cells

    assert {name: cells[name] for name in ("id", "scenario", "outcome", "verdict", "started")} == {
        name: report["run"][name] for name in ("id", "scenario", "outcome", "verdict", "started")
    }
    assert (cells["commit"], cells["dirty"], cells["branch"], cells["host"]) == ("abc123", True, "main", "ci")
    assert (cells["folder"], cells["seed"]) == ("reports/one", report["run"]["seed"])
    assert cells["load_latency_ms_p99"] == report["load"]["latency_ms"]["p99"]
    assert cells["blocks_count"] == report["block_totals"]["count"]
    assert cells["run_cpu_per_request_ms"] == 9310 / report["load"]["completed"]
    assert "calls_new" not in cells
    assert "loop_tasks_started" not in cells


def test_what_a_run_did_not_measure_is_left_out(report: dict[str, Any]) -> None:
    """Never 0: neither load nor ledger, and no commit outside a repository."""
    report |= {"load": None, "ledger": None}
    report["run"] |= {"commit": "", "branch": "", "cpu_s": 9.31}
    cells = row.of_report(report, Path("one")).cells

    assert not [name for name in cells if name.startswith(("load_", "ledger_"))]
    assert {"commit", "dirty", "branch", "run_cpu_per_request_ms"} & set(cells) == set()


def test_every_figure_that_a_run_has_once_is_a_column() -> None:
    """A new one, too."""
    names = {column.name for column in COLUMNS[HistoryTable.RUNS]}

    keys = [each.key for each in FIGURES if "<" not in each.key and not each.key.startswith("profile.")]
    assert {column_of(key) for key in keys} | {column_of(PER_REQUEST.key)} <= names
    assert len(PLOTTED) == len(keys) + 1


def test_a_line_is_the_row_again() -> None:
    """As JSON of one line, whatever is in it."""
    written = run_row(1, verdict='a "quote"\n and \udcff', loop_lag_ms_p99=1e-9, seed=-(2**63))

    assert "\n" not in written.line()
    assert row.read(written.line()) == written


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({"id": None}, "id: missing"),
        ({"started": ""}, "started: missing"),
        ({"started": "yesterday"}, "started: unexpected value 'yesterday'"),
        ({"seed": 1.5}, "seed: unexpected value 1.5"),
        ({"seed": 2**63}, "seed: unexpected value 9223372036854775808"),
        ({"dirty": "yes"}, "dirty: unexpected value 'yes'"),
        ({"loop_lag_ms_p99": float("nan")}, "loop_lag_ms_p99: unexpected value nan"),
        ({"loop_lag_ms_p99": True}, "loop_lag_ms_p99: unexpected value True"),
        ({"verdict": ["fine"]}, r"verdict: unexpected value \['fine'\]"),
        ({"table": "users"}, "table: expected runs or comparisons, got 'users'"),
    ],
)
def test_a_row_cannot_be_wrong(cells: dict[str, object], message: str) -> None:
    """The message says where, what was expected, and what came."""
    with pytest.raises(row.RowError, match=f"^{message}$"):
        run_row(1, **cells)


def test_a_decision_is_a_row_for_each_metric() -> None:
    """With the change, its interval, and the answer."""
    measures = [Measure("turns", "count"), Measure("spans", "count")]
    base = [{"turns": 100.0 + n, "spans": 5.0} for n in range(6)]
    trial = once.judge_groups(base, [{**one, "turns": one["turns"] * 2} for one in base], measures)
    made = decision(
        trial,
        comparison_id="20261130-compare-1",
        base=ComparedSide("base", "old", "abc"),
        head=ComparedSide("head", "new"),
    )
    turns, spans = sorted(row.of_decision(as_json(made)), key=lambda each: str(each.cells["metric"]))[::-1]

    assert (turns.cells["answer"], spans.cells["answer"]) == ("slower", "no difference")
    assert (turns.cells["change"], turns.cells["base"], turns.cells["base_commit"]) == (1.0, "old", "abc")
    assert "head_commit" not in turns.cells
    assert turns.key != spans.key
    assert row.read(turns.line()) == turns


def test_a_search_is_a_row_for_its_outcome_and_one_for_each_step() -> None:
    """Also for a revision that did not run, of which there is no comparison."""
    good, bad, broken = (Commit(letter * 40, f"change {letter}") for letter in "abc")
    steps = (
        BisectStep(bad.id, bad.subject, Answer.SLOWER, "slower: by 20 %"),
        BisectStep(broken.id, broken.subject, Answer.UNKNOWN, "the program ended with status 1"),
    )
    asked = {"good": good.id, "limit": 0.05}
    found = Bisected(1, Answer.UNKNOWN, "it is in between", asked, good, bad, 1, steps)
    outcome, *each = row.of_search(as_json_of_search(found), "20261130-bisect-1")

    assert {
        name: outcome.cells[name] for name in ("metric", "role", "answer", "base_commit", "head_commit")
    } == {
        "metric": "search",
        "role": "decides",
        "answer": "cannot tell",
        "base_commit": good.id,
        "head_commit": bad.id,
    }
    assert [(one.cells["metric"], one.cells["answer"], one.cells["head"]) for one in each] == [
        ("revision bbbbbbbbbbbb", "slower", "change b: slower: by 20 %"),
        ("revision cccccccccccc", "cannot tell", "change c: the program ended with status 1"),
    ]
    assert len({one.key for one in (outcome, *each)}) == 3
    assert [row.read(one.line()) for one in each] == each
