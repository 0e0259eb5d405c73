"""The database: made from the journal, and never a reason for not seeing the history."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import duckdb
import pytest

from harness.errors import RecordError, UsageError
from harness.runs import database, journal
from harness.runs.column import SCHEMA
from harness.runs.location import HistoryPlace
from tests.support.past_runs import run_row

HOLDS = """
import duckdb, sys
connection = duckdb.connect(sys.argv[1])
print("open", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def where(tmp_path: Path) -> HistoryPlace:
    """A history of three runs, the last of which has not ended."""
    place = HistoryPlace(tmp_path / "history.duckdb")
    journal.append(place.journal, [run_row(1, blocks_count=2), run_row(2), run_row(3, outcome=None)])
    return place


def seen(where: HistoryPlace) -> tuple[list[object], list[str]]:
    """The outcome of each run, oldest first, and the notes."""
    with database.opened(where) as history:
        rows = history.rows("SELECT outcome FROM runs ORDER BY started")
        return [row["outcome"] for row in rows], history.notes


@contextmanager
def held(file: Path) -> Iterator[None]:
    """Another process has the database open, to write."""
    command = [sys.executable, "-c", HOLDS, str(file)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        yield
        process.communicate("")


def test_it_takes_in_what_is_new(where: HistoryPlace) -> None:
    """Once: also what was written while nobody looked, and the end of a run whose beginning it has."""
    assert seen(where) == (["passed", "passed", None], [])
    journal.append(where.journal, [run_row(3, outcome="failed"), run_row(4)])

    assert seen(where) == (["passed", "passed", "failed", "passed"], [])
    assert seen(where) == (["passed", "passed", "failed", "passed"], [])


def test_what_is_not_known_is_null(where: HistoryPlace) -> None:
    """And times are UTC."""
    with database.opened(where) as history:
        first, second, _ = history.rows("SELECT * FROM runs ORDER BY started")

    assert (first["blocks_count"], second["blocks_count"]) == (2, None)
    assert first["started"] == datetime(2026, 11, 1, 1)


def test_a_journal_that_was_replaced_is_read_from_its_beginning(where: HistoryPlace) -> None:
    """What the database has of the old one stays."""
    assert len(seen(where)[0]) == 3
    where.journal.unlink()
    assert len(seen(where)[0]) == 3
    journal.append(where.journal, [run_row(n) for n in range(7, 20)])

    assert len(seen(where)[0]) == 16


def test_a_database_of_an_older_version_gets_its_columns(where: HistoryPlace) -> None:
    """With what the journal knows of them."""
    assert len(seen(where)[0]) == 3
    with duckdb.connect(str(where.database)) as connection:
        connection.execute("ALTER TABLE runs DROP COLUMN blocks_count")

    with database.opened(where) as history:
        assert history.rows("SELECT sum(blocks_count) AS blocks FROM runs") == [{"blocks": 2}]


@pytest.mark.parametrize("damage", [b"no database", b"", bytes(8) + b"DUCK" + bytes(20_000)])
def test_a_damaged_database_hides_nothing(where: HistoryPlace, damage: bytes) -> None:
    """The journal is read instead, the file stays as it was, and a note says so."""
    where.database.write_bytes(damage)
    outcomes, notes = seen(where)

    assert outcomes == ["passed", "passed", None]
    if damage:  # an empty file is a new database
        assert where.database.read_bytes() == damage
        assert len(notes) == 1
        assert notes[0].startswith(f"{where.database}: not used, only history.jsonl is read: ")


def test_a_database_that_is_open_elsewhere_hides_nothing(
    where: HistoryPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a bounded time, the journal is read instead."""
    monkeypatch.setattr(database, "_TRIES", 3)
    with held(where.database):
        outcomes, notes = seen(where)

    assert outcomes == ["passed", "passed", None]
    assert "Could not set lock" in notes[0]
    assert seen(where) == (["passed", "passed", None], [])


def test_a_newer_database_is_left_alone(where: HistoryPlace) -> None:
    """Its columns may mean something else."""
    assert len(seen(where)[0]) == 3
    with duckdb.connect(str(where.database)) as connection:
        connection.execute("UPDATE meta SET schema_version = ?", [SCHEMA + 1])
    before = where.database.read_bytes()
    outcomes, notes = seen(where)

    assert outcomes == ["passed", "passed", None]
    assert notes[0].endswith(f"it was written by a newer version of the harness (schema {SCHEMA + 1})")
    assert where.database.read_bytes() == before


def test_damaged_lines_are_one_note(where: HistoryPlace) -> None:
    """The others are read."""
    with where.journal.open("a") as file:
        file.write("half a li\n{}\n")

    assert seen(where) == (["passed", "passed", None], [f"{where.journal}: 2 damaged lines left out"])


def test_a_journal_that_cannot_be_read_is_an_error(where: HistoryPlace) -> None:
    """Not an empty history."""
    where.journal.unlink()
    where.journal.mkdir()

    with pytest.raises(RecordError, match="cannot be read: Is a directory"):
        seen(where)


def test_looking_at_no_history_makes_no_file(tmp_path: Path) -> None:
    """Nor a folder."""
    assert seen(HistoryPlace(tmp_path / "reports" / "history.duckdb")) == ([], [])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM runs",
        "SELECT 1; DROP TABLE runs",
        "COPY runs TO 'stolen.csv'",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SET enable_external_access = true",
        "SELECT nothing FROM runs",
        "SELEKT",
        "",
    ],
)
def test_a_query_only_reads_the_history(
    where: HistoryPlace, sql: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it is, it changes nothing and reads no file."""
    monkeypatch.chdir(tmp_path)
    with database.opened(where) as history, pytest.raises(UsageError, match=r"^--sql: "):
        history.answer(sql)

    assert seen(where)[0] == ["passed", "passed", None]
    assert {path.name for path in tmp_path.iterdir()} == {"history.duckdb", "history.jsonl"}


def test_without_duckdb_it_says_what_to_install(tmp_path: Path) -> None:
    """Status 2, and no traceback."""
    program = (
        "import sys; sys.modules['duckdb'] = None; sys.argv = ['harness', 'runs', '--history', '.']\n"
        "from harness.commands.main import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[:2] == [
        "harness: the history is read by DuckDB, which is not installed",
        "  pip install 'asyncio-harness[history]'",
    ]
