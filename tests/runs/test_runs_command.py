"""`harness runs`: the list, its filters, trends and the page."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from rich.console import Console

from harness.errors import UsageError
from harness.runs import journal, table
from harness.runs.row import checked
from tests.support.past_runs import noisy, run_row, runs, series


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a history where it is by default."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HARNESS_HISTORY")
    return tmp_path


def remember(*rows: object) -> None:
    journal.append(Path("reports/history.jsonl"), rows)  # type: ignore[arg-type]


def listed(capsys: pytest.CaptureFixture[str], *arguments: object) -> list[str]:
    """The ids of the runs that are listed."""
    assert runs("--json", *arguments) == 0
    return [run["id"] for run in json.loads(capsys.readouterr().out)]


def test_the_newest_run_comes_first(capsys: pytest.CaptureFixture[str]) -> None:
    """A line for each, with what people look for, and a dash for what is not known."""
    remember(run_row(1, blocks_count=3, loop_lag_ms_p99=250.5, dirty=True), run_row(2, outcome=None))
    assert runs() == 0

    heading, newest, oldest = capsys.readouterr().out.splitlines()
    assert heading.split()[:5] == ["when", "scenario", "run", "outcome", "commit"]
    assert newest.split()[3:] == ["20261101-000002-shop-0", "unfinished", "000000000", *"––––"]
    assert oldest.split()[3:7] == ["20261101-000001-shop-0", "passed", "000000000+", "3"]
    assert "250 ms" in oldest


@pytest.mark.parametrize("width", [60, 80, 100, 125, 160, 300])
def test_the_table_fits_the_terminal(width: int) -> None:
    """However long an id or a verdict is; from 80 columns on every outcome and figure is whole."""
    cells = dict.fromkeys(("blocks_count", "loop_lag_ms_max", "load_latency_ms_p99", "verdict"))
    run = {
        **cells,
        **run_row(1, id="20261101-120000-a-scenario-with-a-long-name-7f3a90c2", outcome="unfinished").cells,
        "started": datetime(2026, 11, 1),
        "loop_lag_ms_p99": 250.5,
        "verdict": "a sentence " * 30,
    }
    console = Console(width=width, force_terminal=True, color_system=None)
    with console.capture() as shown:
        table.show_runs([run], console)

    lines = shown.get().splitlines()
    assert len(lines) == 2
    assert max(map(len, lines)) <= width
    assert "unfinished" in lines[1]
    assert "250 ms" in lines[1]


def test_filters_hold_together(capsys: pytest.CaptureFixture[str]) -> None:
    """Each leaves out what it says; the limit is of what is left."""
    now = datetime.now(UTC)
    remember(
        run_row(1, id="old", started=(now - timedelta(days=8)).isoformat()),
        run_row(2, id="other", scenario="shop-slow", started=(now - timedelta(days=2)).isoformat()),
        run_row(3, id="branch", branch="faster", started=(now - timedelta(hours=3)).isoformat()),
        run_row(
            4, id="failed", outcome="failed", host="laptop", started=(now - timedelta(hours=2)).isoformat()
        ),
        run_row(5, id="killed", outcome=None, started=(now - timedelta(hours=1)).isoformat()),
    )

    assert listed(capsys) == ["killed", "failed", "branch", "other", "old"]
    assert listed(capsys, "--limit", 2) == ["killed", "failed"]
    assert listed(capsys, "--since", "7d") == ["killed", "failed", "branch", "other"]
    assert listed(capsys, "--since", "90m") == ["killed"]
    assert listed(capsys, "--scenario", "shop") == ["killed", "failed", "branch", "old"]
    assert listed(capsys, "--scenario", "shop*", "--since", "3d", "--limit", 9)[-1] == "other"
    assert listed(capsys, "--outcome", "failed", "--outcome", "unfinished") == ["killed", "failed"]
    assert listed(capsys, "--branch", "faster") == ["branch"]
    assert listed(capsys, "--host", "laptop", "--outcome", "passed") == []


def test_json_has_every_column(capsys: pytest.CaptureFixture[str]) -> None:
    """What is not known is null, and the time has its offset."""
    remember(run_row(1, loop_lag_ms_p99=0.0))
    assert runs("--json") == 0
    (run,) = json.loads(capsys.readouterr().out)

    assert (run["started"], run["loop_lag_ms_p99"]) == ("2026-11-01T01:00:00+00:00", 0.0)
    assert run["load_latency_ms_p99"] is None


def test_a_step_is_told_with_its_commit_and_what_else_changed(capsys: pytest.CaptureFixture[str]) -> None:
    """In the terminal: the chart has a line there."""
    pytest.importorskip("ruptures", reason="no ruptures for this Python", exc_type=ImportError)
    rows = series(noisy(40, step_at=25))
    remember(*rows[:25], *(checked({**row.cells, "table": "runs", "host": "other"}) for row in rows[25:]))
    assert runs("--metric", "loop.lag_ms.p99") == 0

    out = capsys.readouterr().out
    assert out.startswith("loop.lag_ms.p99 of shop: ")
    assert "┊" in out
    (told,) = [line for line in out.splitlines() if line.startswith("changed ")]
    assert " %) with run 20261101-000025-shop-0, commit 000000000019 (before: 000000000018)" in told
    assert told.endswith("; also changed: host ci -> other")


def test_a_healthy_trend_has_no_change_point(capsys: pytest.CaptureFixture[str]) -> None:
    """And says so, by either name of the figure. Runs that cannot be trusted are no part of it."""
    pytest.importorskip("ruptures", reason="no ruptures for this Python", exc_type=ImportError)
    wrong = [run_row(n, outcome="invalid", loop_lag_ms_p99=900.0) for n in range(50, 60)]
    remember(*series(noisy(40)), *wrong)
    assert runs("--metric", "loop_lag_ms_p99") == 0

    out = capsys.readouterr().out
    assert "40 runs" in out.splitlines()[0]
    assert out.splitlines()[-1] == "no change point"
    assert "┊" not in out


def test_the_page_stands_by_itself_and_believes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """The change is marked and named, nothing is fetched, and no text of a row becomes markup."""
    pytest.importorskip("ruptures", reason="no ruptures for this Python", exc_type=ImportError)
    remember(*series(noisy(40, step_at=25), scenario="<script>alert(1)</script>"))
    assert runs("--output", "trends.html") == 0

    page = Path("trends.html").read_text()
    assert page.count('class="cut"') == 1
    assert page.count("<circle") == 40
    assert "commit 000000000019 (before: 000000000018)" in page
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert [link for link in ("http://", "https://", "src=") if link in page] == []


def test_scenarios_are_not_mixed(capsys: pytest.CaptureFixture[str]) -> None:
    """Each has a trend of its own, the one with the most runs first."""
    remember(*series([1.0, 2.0, 3.0]), run_row(9, scenario="other", loop_lag_ms_p99=500.0))
    assert runs("--metric", "loop.lag_ms.p99", "--json") == 0
    first, second = json.loads(capsys.readouterr().out)

    assert [point["value"] for point in first["points"]] == [1.0, 2.0, 3.0]
    assert (second["scenario"], len(second["points"])) == ("other", 1)
    assert first["unknown"] == "change points need 10 runs, there are 3"


def test_a_query_is_answered(capsys: pytest.CaptureFixture[str]) -> None:
    """As a table or as JSON."""
    remember(run_row(1), run_row(2, outcome="failed"))
    query = "SELECT outcome, count(*) AS runs FROM runs GROUP BY outcome ORDER BY outcome"
    assert runs("--sql", query) == 0
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [
        ["outcome", "runs"],
        ["failed", "1"],
        ["passed", "1"],
    ]

    assert runs("--sql", query, "--json") == 0
    assert json.loads(capsys.readouterr().out)[0] == {"outcome": "failed", "runs": 1}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--outcome", "lost"], "--outcome lost: expected one of passed"),
        (["--since", "tuesday"], "--since tuesday: expected a time such as 12h"),
        (["--metric", "loop.lag_ms.p9"], r"unknown figure; did you mean loop.lag_ms.p"),
        (["--metric", "blocks.count", "--comparisons"], "expected one of them"),
        (["--format", "html", "--json"], "name one format"),
        (["--output", "runs.txt"], "it needs --json or --format html"),
        (["import"], "name a PATH or a --branch"),
        (["export"], "name a PATH or a --branch"),
        (["export", "out.jsonl"], "there is nothing to export"),
    ],
)
def test_what_cannot_be_done_is_one_clear_error(arguments: list[str], message: str, project: Path) -> None:
    """And nothing is written."""
    with pytest.raises(UsageError, match=message):
        runs(*arguments)

    assert list(project.iterdir()) == []


def test_a_history_that_is_off_is_a_usage_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says what turned it off; `--history` names one nevertheless."""
    monkeypatch.setenv("HARNESS_HISTORY", "off")
    with pytest.raises(UsageError, match="the history is off: HARNESS_HISTORY=off"):
        runs()

    assert runs("--history", "elsewhere") == 0


def test_no_run_that_fits_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """On stderr, and it is no error."""
    assert runs() == 0

    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "harness: no runs that fit in reports/history.jsonl\n")
