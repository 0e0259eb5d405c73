"""A row of the history: made from a manifest, a report or a decision, or read from a line."""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..record.run import Run
from .column import COLUMNS, PER_REQUEST, PLOTTED, SCHEMA, ColumnKind, HistoryColumn, HistoryTable, column_of

Cell = str | float | int | bool | datetime | None
# A verdict is a sentence, and a command a line; what is longer is cut.
LETTERS = 2_000
_LARGEST = 2**63


class RowError(ValueError):
    """A line is no row of the history; the message says what was expected."""


class NewerRowError(RowError):
    """A row has a schema that this version does not know."""


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """What is known of one run, or of one metric of a comparison; what is not known is left out."""

    table: HistoryTable
    cells: Mapping[str, Cell]

    @property
    def key(self) -> tuple[Cell, ...]:
        """By what it is told from all others."""
        return (self.table, *(self.cells.get(column.name) for column in COLUMNS[self.table] if column.is_key))

    @property
    def is_whole(self) -> bool:
        """Whether it is more than the beginning of a run."""
        return self.table != HistoryTable.RUNS or "outcome" in self.cells

    def line(self) -> str:
        """As it stands in a journal."""
        written = {"schema": SCHEMA, "table": self.table, **self.cells}
        return json.dumps(written, allow_nan=False, separators=(",", ":"))


def of_manifest(run: Run, folder: Path) -> HistoryRow:
    """A run that has begun, as far as its manifest tells."""
    return _row(
        HistoryTable.RUNS,
        {
            "id": run.id,
            "started": run.started,
            "scenario": run.scenario,
            **_revision(run.commit),
            "branch": run.branch,
            "python": run.python,
            "host": run.host,
            "command": " ".join(run.command),
            "block_limit_ms": run.block_limit_ns / 1e6,
            "seed": run.seed,
            "folder": str(folder),
        },
    )


def of_report(document: Mapping[str, Any], folder: Path) -> HistoryRow:
    """A run that has ended.

    Args:
        document: The content of its `report.json`.
        folder: Where it lies.

    Raises:
        RowError: It is no report.
    """
    run = document.get("run")
    if not isinstance(run, dict):
        raise RowError("no report of a run: expected an object `run`")
    figures = dict(_figures(document))
    cpu_s, completed = figures.get("run.cpu_s"), figures.get("load.completed")
    if cpu_s is not None and completed:
        figures[PER_REQUEST.key] = round(cpu_s * 1000 / completed, 6)
    target = run.get("target")
    command = target.get("command") if isinstance(target, dict) else None
    names = ("id", "started", "scenario", "outcome", "verdict", "branch", "python", "host")
    return checked(
        {
            "table": HistoryTable.RUNS,
            **{name: run.get(name) for name in names},
            **_revision(str(run.get("commit") or "")),
            "command": " ".join(map(str, command)) if isinstance(command, list | tuple) else None,
            "block_limit_ms": run.get("block_limit_ms"),
            "seed": run.get("seed"),
            "folder": str(folder),
            **{column_of(figure.key): figures.get(figure.key) for figure in PLOTTED},
        }
    )


def of_decision(document: Mapping[str, Any]) -> tuple[HistoryRow, ...]:
    """A comparison that was made now, a row for each metric.

    Args:
        document: The decision, as `harness compare --json` prints it.
    """
    started = datetime.now().astimezone().isoformat(timespec="milliseconds")
    base, head = document["base"], document["head"]
    return tuple(
        _row(
            HistoryTable.COMPARISONS,
            {
                "id": document["id"],
                "metric": one["name"],
                "started": started,
                "verdict": str(document["verdict"]),
                "base": base["what"],
                "head": head["what"],
                "base_commit": base["commit"],
                "head_commit": head["commit"],
                "host": platform.node(),
                "pairs": document["pairs"],
                "unit": one["unit"],
                "role": one["gate"],
                "answer": one["answer"],
                "base_value": one["base"],
                "head_value": one["head"],
                "change": one["change"],
                "low": one["low"],
                "high": one["high"],
                "smallest": one["limit"],
            },
        )
        for one in document["measures"]
    )


def of_search(document: Mapping[str, Any], search_id: str) -> tuple[HistoryRow, ...]:
    """A search for a revision: a row for its outcome, and one for each revision that was compared.

    Args:
        document: The result, as `harness bisect --json` prints it.
        search_id: By what the search is told from others.
    """
    started = datetime.now().astimezone().isoformat(timespec="milliseconds")
    good, slower = document["good"], document["slower"]
    common = {
        "id": search_id,
        "started": started,
        "verdict": str(document["verdict"]),
        "host": platform.node(),
        "smallest": document["asked"]["limit"],
    }
    first = document["asked"]["good"]
    steps = [
        {
            "metric": f"revision {step['commit'][:12]}",
            "role": "step",
            "answer": step["answer"],
            "base_commit": first,
            "head": f"{step['subject']}: {step['sentence']}",
            "head_commit": step["commit"],
        }
        for step in document["steps"]
    ]
    outcome = {
        "metric": "search",
        "role": "decides",
        "answer": str(document["verdict"]),
        "base": good["subject"],
        "base_commit": good["id"],
        "head": f"{slower['subject']}: {document['sentence']}",
        "head_commit": slower["id"],
    }
    return tuple(_row(HistoryTable.COMPARISONS, {**common, **row}) for row in (outcome, *steps))


def read(line: str | bytes) -> HistoryRow:
    """A line of a journal, which anybody may have written.

    Raises:
        RowError: It is none.
    """
    try:
        raw = json.loads(line)
    except ValueError as exc:
        raise RowError(f"expected JSON: {exc}") from None
    if not isinstance(raw, dict):
        raise RowError("expected an object")
    schema = raw.get("schema")
    if type(schema) is not int or schema < 1:
        raise RowError(f"schema: expected {SCHEMA}, got {json.dumps(schema)}")
    if schema > SCHEMA:
        raise NewerRowError(f"schema {schema} is of a newer version of the harness, this one knows {SCHEMA}")
    return checked(raw)


def checked(raw: Mapping[str, Any]) -> HistoryRow:
    """The row that *raw* is; keys that this version does not know are left out.

    Raises:
        RowError: A value is not what its column holds, or what tells the row from others is missing.
    """
    try:
        table = HistoryTable(str(raw.get("table")))
    except ValueError:
        raise RowError(f"table: expected {' or '.join(HistoryTable)}, got {raw.get('table')!r:.50}") from None
    cells = {}
    for column in COLUMNS[table]:
        value = raw.get(column.name)
        if value is not None and value != "":
            cells[column.name] = _cell(column, value)
        elif column.is_key or column.name == "started":
            raise RowError(f"{column.name}: missing")
    return HistoryRow(table, cells)


def _cell(column: HistoryColumn, value: object) -> Cell:
    match column.kind:
        case ColumnKind.TEXT if isinstance(value, str):
            # Names that were not UTF-8 have lone surrogates, which a database refuses.
            return value[:LETTERS].encode("utf-8", "backslashreplace").decode()
        case ColumnKind.FLAG if isinstance(value, bool):
            return value
        case ColumnKind.NUMBER if isinstance(value, int | float) and not isinstance(value, bool):
            if math.isfinite(value):
                return float(value)
        case ColumnKind.WHOLE if type(value) is int and -_LARGEST <= value < _LARGEST:
            return value
        case ColumnKind.TIME if isinstance(value, str):
            try:
                utc(value)
            except ValueError:
                pass
            else:
                return value
    raise RowError(f"{column.name}: unexpected value {value!r:.50}")


def number(cell: Cell) -> float | None:
    """The figure in a cell; `None` where there is none."""
    return float(cell) if isinstance(cell, int | float) else None


def utc(started: str) -> datetime:
    """The moment, in UTC and without an offset, as the database has it.

    Raises:
        ValueError: It is no time of ISO 8601.
    """
    moment = datetime.fromisoformat(started)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC).replace(tzinfo=None)


def _row(table: HistoryTable, cells: Mapping[str, Any]) -> HistoryRow:
    """A row of values of our own."""
    return checked({"table": table, **cells})


def _revision(commit: str) -> dict[str, Cell]:
    """The commit, and whether there were changes; nothing outside a git repository."""
    if not commit:
        return {}
    return {"commit": commit.removesuffix("+"), "dirty": commit.endswith("+")}


def _figures(document: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """The figures of a report that were measured."""
    # A figure named `blocks` is of all of them together.
    parts = {**document, "blocks": document.get("block_totals")}
    for figure in PLOTTED:
        value: Any = parts
        for name in figure.key.split("."):
            value = value.get(name) if isinstance(value, dict) else None
        if value is None and figure.key == "calls.new":
            value = _new_calls(document.get("calls"))
        if isinstance(value, int | float) and not isinstance(value, bool):
            yield figure.key, value


def _new_calls(calls: object) -> int | None:
    if not isinstance(calls, list):
        return None
    places = [call for call in calls if isinstance(call, dict) and call.get("function")]
    return sum(not (call.get("allowed") or call.get("known")) for call in places)
