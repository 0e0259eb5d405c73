"""The data of a load's visits: a table with a column for each value, from a CSV or JSON lines file."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from ...errors import ScenarioError

Row = dict[str, str]


def rows(path: Path) -> list[Row]:
    """The rows of the file, by column.

    Raises:
        ScenarioError: It cannot be read, has no rows, or one of them does not fit the others.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as exc:
        raise ScenarioError(f"{path}: cannot be read: {getattr(exc, 'strerror', None) or exc}") from None
    made = _from_json_lines(path, text) if path.suffix in (".jsonl", ".ndjson") else _from_csv(path, text)
    if not made:
        raise ScenarioError(f"{path}: no rows; expected at least one below the names of the columns")
    return made


def _from_csv(path: Path, text: str) -> list[Row]:
    reader = csv.DictReader(text.splitlines())
    made = []
    for row in reader:
        if None in row or None in row.values():
            raise ScenarioError(f"{path}:{reader.line_num}: expected {len(reader.fieldnames or ())} values")
        made.append(row)
    return made


def _from_json_lines(path: Path, text: str) -> list[Row]:
    made: list[Row] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as exc:
            raise ScenarioError(f"{path}:{number}: not JSON: {exc}") from None
        if not isinstance(row, dict) or (made and row.keys() != made[0].keys()):
            keys = f" with the keys {', '.join(made[0])}" if made else ""
            raise ScenarioError(f"{path}:{number}: expected an object{keys}")
        made.append(
            {name: value if isinstance(value, str) else json.dumps(value) for name, value in row.items()}
        )
    return made
