"""The formats of a report: each module in `renderers/` is one, and describes it in its ``FORMAT``."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from ..errors import OutputError, UsageError
from . import renderers
from .family import members, names_in

if TYPE_CHECKING:
    # The help of a command names the formats, and needs no report.
    from ..record.run_folder import RunFolder
    from .history import History
    from .report import Report

# Maximum length of the other run's id in a file's name.
LETTERS = 100
# A disk, a quota or a file that has no more room.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True, slots=True)
class ReportFormat:
    """A format that shows the report."""

    name: str
    extension: str  # the ending of such a file's name, without the first dot
    render: Callable[[Report], str]


@dataclass(frozen=True, slots=True)
class RecordFormat:
    """A format that shows the record, because it needs every sample or span."""

    name: str
    extension: str
    render: Callable[[History], str | bytes]


F = TypeVar("F", ReportFormat, RecordFormat)


def names() -> tuple[str, ...]:
    """The names of all formats, which are those of their modules; imports none of them."""
    return tuple(names_in(renderers))


def of_file(path: Path) -> str:
    """The name of the format that a file's name ends in, as in ``report.md``; else the name's suffix."""
    found = [module.FORMAT for module in members(renderers)]
    endings = {ending: one.name for one in found for ending in (one.extension, one.name)}
    fitting = [ending for ending in endings if path.name.endswith(f".{ending}")]
    return endings[max(fitting, key=len)] if fitting else path.suffix.removeprefix(".")


def shows_record(name: str) -> bool:
    """Whether the format *name* is made by `export` and not by `render`.

    Raises:
        UsageError: There is no such format.
    """
    found = _named(name)
    if found is None:
        raise _unknown(name)
    return isinstance(found, RecordFormat)


def render(document: Report, name: str) -> str:
    """The report in the format *name*.

    Raises:
        UsageError: There is no such format of a report.
    """
    return _text(_format(name, ReportFormat).render(document))


def export(history: History, name: str) -> str | bytes:
    """The record in the format *name*.

    Raises:
        UsageError: There is no such format of a record.
    """
    content = _format(name, RecordFormat).render(history)
    return content if isinstance(content, bytes) else _text(content)


def publish(folder: RunFolder, document: Report) -> Path:
    """Write `report.json` and `report.html` into the run's folder; returns the path of the latter.

    A comparison is written as `report-against-<id>`, beside the run's own report.

    Raises:
        UsageError: The folder cannot be written.
    """
    stem = "report"
    if document.difference is not None:
        # The id is read from a manifest, and must not leave the folder.
        stem = f"report-against-{re.sub(r'[^A-Za-z0-9_-]', '_', document.difference.base_id)[:LETTERS]}"
    for name in ("json", "html"):
        save(render(document, name), folder.path / f"{stem}.{name}")
    return folder.path / f"{stem}.html"


def save(rendered: str | bytes, path: Path) -> None:
    """Write a rendered report atomically.

    Raises:
        UsageError: *path* cannot be written.
        OutputError: The disk is full.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        aside.write_bytes(rendered if isinstance(rendered, bytes) else rendered.encode())
        aside.replace(path)
    except OSError as exc:
        with suppress(OSError):
            aside.unlink(missing_ok=True)
        if exc.errno in _FULL:
            full = OutputError(f"{path}: cannot be written: {exc.strerror}")
            full.add_note(f"The record is kept: free some space, then: harness report {path.parent}")
            raise full from exc
        raise UsageError(f"{path}: cannot be written: {exc.strerror}") from exc


def _format(name: str, kind: type[F]) -> F:
    found = _named(name)
    if isinstance(found, kind):
        return found
    raise _unknown(name)


def _unknown(name: str) -> UsageError:
    exc = UsageError(f"no format {name!r}")
    exc.add_note(f"There are: {', '.join(names())}.")
    return exc


def _named(name: str) -> object:
    # Its own module first, so that no other one is imported.
    return next((one.FORMAT for one in members(renderers, first=name) if one.FORMAT.name == name), None)


def _text(rendered: str) -> str:
    # File names that were not UTF-8 have lone surrogates, which cannot be encoded.
    return rendered.encode("utf-8", "backslashreplace").decode()
