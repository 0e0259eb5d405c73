"""The formats a report can have, by name; each one's module is imported only when it is asked for.

A renderer is a module in `renderers/` with ``render(document: Document) -> str``; one that needs more than is
in a report, every sample or span, takes the record itself: ``render(history: History) -> str | bytes``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from ..errors import UsageError
from ..record.run import RunFolder
from .history import History
from .report import Report

RENDERERS = {
    "html": "html",
    "json": "json",
    "md": "markdown",
    "prometheus": "prometheus",
}
OF_RECORD = {
    "collapsed": "collapsed",
    "otlp": "otlp",
    "perfetto": "perfetto",
    "pprof": "pprof",
    "speedscope": "speedscope",
}
FORMATS = (*RENDERERS, *OF_RECORD)


def render(document: Report, name: str) -> str:
    """The report in the format *name*.

    Raises:
        UsageError: There is no such format.
    """
    return _text(cast("str", _module(RENDERERS, name).render(document)))


def export(history: History, name: str) -> str | bytes:
    """The record in the format *name*, one of `OF_RECORD`.

    Raises:
        UsageError: There is no such format.
    """
    rendered = cast("str | bytes", _module(OF_RECORD, name).render(history))
    return rendered if isinstance(rendered, bytes) else _text(rendered)


def _module(names: Mapping[str, str], name: str) -> Any:
    if name not in names:
        exc = UsageError(f"no format {name!r}")
        exc.add_note(f"There are: {', '.join(FORMATS)}.")
        raise exc
    return import_module(f".renderers.{names[name]}", __package__)


def _text(rendered: str) -> str:
    # File names that were not UTF-8 come as lone surrogates, which no output takes.
    return rendered.encode("utf-8", "backslashreplace").decode()


def publish(folder: RunFolder, document: Report) -> Path:
    """Write `report.json` and `report.html` into the run's folder; the path of the latter.

    Raises:
        UsageError: The folder cannot be written.
    """
    for name in ("json", "html"):
        save(render(document, name), folder.path / f"report.{name}")
    return folder.path / "report.html"


def save(rendered: str | bytes, path: Path) -> None:
    """Write a rendered report; a reader never meets half of it.

    Raises:
        UsageError: *path* cannot be written.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        aside.write_bytes(rendered if isinstance(rendered, bytes) else rendered.encode())
        aside.replace(path)
    except OSError as exc:
        aside.unlink(missing_ok=True)
        raise UsageError(f"{path}: cannot be written: {exc.strerror}") from exc
