"""The baseline: a file to commit with the known synchronous calls of a project, so that only new ones warn.

A call is identified by what is called and by the calling function, not by its line: code moves.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from ...errors import UsageError
from .call import Call

SCHEMA = 1


def load(path: Path) -> frozenset[tuple[str, str]]:
    """The known calls, each with its calling function.

    Raises:
        UsageError: The file cannot be read or is not a baseline.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["schema"] > SCHEMA:
            raise UsageError(f"{path}: schema {content['schema']}, but this version reads up to {SCHEMA}")
        return frozenset((str(entry["call"]), str(entry["function"])) for entry in content["calls"])
    except FileNotFoundError:
        exc = UsageError(f"{path}: no such baseline")
        exc.add_note("With --update-baseline the run writes it.")
        raise exc from None
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, LookupError, TypeError):
        raise UsageError(f"{path}: not a baseline of calls") from None


def save(calls: Iterable[Call], path: Path) -> int:
    """Write a baseline of *calls* without the allowed ones; returns its number of entries.

    Raises:
        UsageError: The file cannot be written.
    """
    known = sorted({(call.call, call.function) for call in calls if call.function and not call.allowed})
    entries = [{"call": call, "function": function} for call, function in known]
    text = json.dumps({"schema": SCHEMA, "calls": entries}, indent=1)
    try:
        path.write_text(text + "\n", encoding="utf-8")
    except OSError as exc:
        raise UsageError(f"{path}: cannot be written: {exc.strerror}") from None
    return len(known)
