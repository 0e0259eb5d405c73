"""The history as a DuckDB database, made from the journal and brought up to date when somebody looks.

The journal has everything, so the database is never needed: where its file cannot be used, because another
program has it open, it is damaged or must not be written, the same tables are made in memory.
"""

from __future__ import annotations

import importlib
import json
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from ..errors import RecordError, UsageError
from ..read.units import plural
from . import journal
from .column import COLUMNS, SCHEMA, ColumnKind, HistoryTable
from .location import HistoryPlace
from .row import Cell, HistoryRow, utc

if TYPE_CHECKING:
    import duckdb

# Another `harness runs` has the file for a fraction of a second.
_TRIES, _BETWEEN_S = 20, 0.1


class _OfNewerVersionError(Exception):
    """The database has a schema that this version does not know."""


@dataclass(frozen=True, slots=True)
class HistoryDatabase:
    """The tables of the history, to be read."""

    connection: duckdb.DuckDBPyConnection
    notes: list[str] = field(default_factory=list)  # what could not be read, or not be used

    def rows(self, sql: str, parameters: Sequence[object] = ()) -> list[dict[str, Cell]]:
        """The answer to a query of ours, a dictionary for each row."""
        cursor = self.connection.execute(sql, list(parameters))
        names = [column[0] for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def answer(self, sql: str) -> tuple[list[str], list[tuple[object, ...]]]:
        """The columns and rows of a query that somebody typed.

        Raises:
            UsageError: It is no single SELECT, or cannot be answered.
        """
        library = _duckdb()
        try:
            statements = library.extract_statements(sql)
            if [each.type for each in statements] != [library.StatementType.SELECT]:
                raise UsageError("--sql: expected one SELECT: the history is only read")
            cursor = self.connection.execute(sql)
            return [column[0] for column in cursor.description or ()], cursor.fetchall()
        except library.Error as exc:
            message, *details = [line for line in str(exc).splitlines() if line.strip()]
            wrong = UsageError(f"--sql: {message}")
            for line in details:
                wrong.add_note(line)
            raise wrong from exc


@contextmanager
def opened(where: HistoryPlace) -> Iterator[HistoryDatabase]:
    """The history at *where*, with all that runs have written until now.

    Raises:
        UsageError: DuckDB is not installed.
        RecordError: The journal cannot be read.
    """
    library = _duckdb()
    notes: list[str] = []
    try:
        connection = _in_file(where, notes)
    except (library.Error, OSError, _OfNewerVersionError) as exc:
        notes.append(f"{where.database}: not used, only {where.journal.name} is read: {_first(exc)}")
        connection = _in_memory(where, notes)
    try:
        # From here on it is only read, whatever is typed.
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        yield HistoryDatabase(connection, list(dict.fromkeys(notes)))
    except library.Error as exc:
        damaged = RecordError(f"{where.database}: cannot be read: {_first(exc)}")
        damaged.add_note(f"Remove it: it is made again from {where.journal.name}.")
        raise damaged from exc
    finally:
        with suppress(library.Error):
            connection.close()


def stored(database: Path) -> list[HistoryRow]:
    """All rows of a database, such as another machine's.

    Raises:
        UsageError: DuckDB is not installed.
        RecordError: It is no history.
    """
    library = _duckdb()
    from . import row

    found = []
    try:
        with library.connect(str(database), read_only=True) as connection:
            reader = HistoryDatabase(connection)
            for table in HistoryTable:
                for cells in reader.rows(f"SELECT * FROM {table}"):  # noqa: S608 - our own name
                    started = cells.pop("started", None)
                    text = f"{started:%Y-%m-%dT%H:%M:%S.%f}+00:00" if started is not None else None
                    found.append(row.checked({**cells, "table": table, "started": text}))
    except (library.Error, row.RowError) as exc:
        raise RecordError(f"{database}: no history of runs: {_first(exc)}") from exc
    return found


def _duckdb() -> ModuleType:
    try:
        return importlib.import_module("duckdb")
    except ImportError:
        missing = UsageError("the history is read by DuckDB, which is not installed")
        missing.add_note("pip install 'asyncio-harness[history]'")
        missing.add_note("Runs are written to the history nevertheless.")
        raise missing from None


def _in_file(where: HistoryPlace, notes: list[str]) -> duckdb.DuckDBPyConnection:
    """The database in its file, brought up to date, to be read."""
    library = _duckdb()
    if not where.journal.exists() and not where.database.exists():
        return _in_memory(where, notes)
    for attempt in range(_TRIES):
        try:
            connection: duckdb.DuckDBPyConnection = library.connect(str(where.database))
            break
        except library.IOException as exc:
            if "lock" not in str(exc) or attempt == _TRIES - 1:
                raise
            time.sleep(_BETWEEN_S)
    try:
        _bring_up_to_date(connection, where, notes)
    except BaseException:
        connection.close()
        raise
    return connection


def _in_memory(where: HistoryPlace, notes: list[str]) -> duckdb.DuckDBPyConnection:
    connection: duckdb.DuckDBPyConnection = _duckdb().connect()
    _bring_up_to_date(connection, where, notes)
    return connection


def _bring_up_to_date(connection: duckdb.DuckDBPyConnection, where: HistoryPlace, notes: list[str]) -> None:
    """Make the tables as this version has them, and take in what the journal has beyond the last time."""
    connection.begin()
    is_changed = _migrate(connection)
    beginning, end = connection.execute("SELECT beginning, journal_end FROM meta").fetchone() or ("", 0)
    try:
        found = where.journal.open("rb")
    except FileNotFoundError:
        connection.commit()
        return
    except OSError as exc:
        connection.rollback()
        raise RecordError(f"{where.journal}: cannot be read: {exc.strerror}") from exc
    with found as file:
        now_begins, size = file.readline().hex(), where.journal.stat().st_size
    # Another file than the last time, or columns that its lines may know more about: all of it again.
    start = 0 if is_changed or now_begins != beginning or size < end else end
    part = journal.read(where.journal, start=start)
    _insert(connection, journal.latest(part.rows).values())
    connection.execute("UPDATE meta SET beginning = ?, journal_end = ?", [now_begins, part.end])
    connection.commit()
    if part.damaged:
        notes.append(f"{where.journal}: {plural(part.damaged, 'damaged line')} left out")
    if part.newer:
        notes.append(
            f"{where.journal}: {plural(part.newer, 'line')} of a newer version of the harness left out"
        )


def _migrate(connection: duckdb.DuckDBPyConnection) -> bool:
    """Give the database the tables and columns of this version; whether any was missing.

    Raises:
        _OfNewerVersionError: Its columns mean something that this version does not know.
    """
    connection.execute(
        "CREATE TABLE IF NOT EXISTS meta (schema_version INTEGER, beginning VARCHAR, journal_end BIGINT)"
    )
    version = connection.execute("SELECT schema_version FROM meta").fetchone()
    if version is None:
        connection.execute("INSERT INTO meta VALUES (?, '', 0)", [SCHEMA])
    elif version[0] > SCHEMA:
        raise _OfNewerVersionError(f"it was written by a newer version of the harness (schema {version[0]})")
    is_changed = version is None
    for table, columns in COLUMNS.items():
        listed = ", ".join(f'"{column.name}" {column.kind}' for column in columns)
        keys = ", ".join(f'"{column.name}"' for column in columns if column.is_key)
        connection.execute(f"CREATE TABLE IF NOT EXISTS {table} ({listed}, PRIMARY KEY ({keys}))")
        has = {name for (name, *_) in connection.execute(f"DESCRIBE {table}").fetchall()}
        for column in columns:
            if column.name not in has:
                connection.execute(f'ALTER TABLE {table} ADD COLUMN "{column.name}" {column.kind}')
                is_changed = True
    return is_changed


def _insert(connection: duckdb.DuckDBPyConnection, rows: Iterable[HistoryRow]) -> None:
    """Insert rows by a file, which takes a hundredth of the time of one statement for each."""
    groups: dict[tuple[HistoryTable, bool], list[HistoryRow]] = {}
    for each in rows:
        groups.setdefault((each.table, each.is_whole), []).append(each)
    for (table, is_whole), members in groups.items():
        columns = {column.name: str(column.kind) for column in COLUMNS[table]}
        with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
            file.writelines(f"{json.dumps(_typed(each))}\n" for each in members)
            file.flush()
            # The beginning of a run does not replace its end.
            how = "REPLACE" if is_whole else "IGNORE"
            names = ", ".join(f"'{name}': '{kind}'" for name, kind in columns.items())
            connection.execute(
                f"INSERT OR {how} INTO {table} BY NAME SELECT * FROM read_json('{file.name}', "  # noqa: S608
                f"format = 'newline_delimited', columns = {{{names}}})"
            )


def _typed(each: HistoryRow) -> dict[str, Cell]:
    """The cells as the database reads them: times in UTC."""
    times = [column.name for column in COLUMNS[each.table] if column.kind == ColumnKind.TIME]
    return {
        name: f"{utc(str(value)):%Y-%m-%d %H:%M:%S.%f}" if name in times else value
        for name, value in each.cells.items()
    }


def _first(exc: BaseException) -> str:
    """The first line of what a library says."""
    return (str(exc).splitlines() or [type(exc).__name__])[0]
