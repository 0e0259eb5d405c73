"""The formats a report can have, by name; each one's module is imported only when it is asked for.

A renderer is a module in `renderers/` with ``render(document: Document) -> str``.
"""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import cast

from ..errors import UsageError
from ..record.run import RunFolder
from .document import Document

RENDERERS = {
    "html": "html",
    "json": "json",
    "md": "markdown",
}


def render(document: Document, name: str) -> str:
    """The report in the format *name*.

    Raises:
        UsageError: There is no such format.
    """
    module = RENDERERS.get(name)
    if module is None:
        exc = UsageError(f"no format {name!r}")
        exc.add_note(f"There are: {', '.join(RENDERERS)}.")
        raise exc
    text = cast("str", import_module(f".renderers.{module}", __package__).render(document))
    # File names that were not UTF-8 come as lone surrogates, which no output takes.
    return text.encode("utf-8", "backslashreplace").decode()


def publish(folder: RunFolder, document: Document) -> Path:
    """Write `report.json` and `report.html` into the run's folder; the path of the latter.

    Raises:
        UsageError: The folder cannot be written.
    """
    for name in ("json", "html"):
        save(render(document, name), folder.path / f"report.{name}")
    return folder.path / "report.html"


def save(text: str, path: Path) -> None:
    """Write a rendered report; a reader never meets half of it.

    Raises:
        UsageError: *path* cannot be written.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        aside.write_text(text, encoding="utf-8")
        aside.replace(path)
    except OSError as exc:
        aside.unlink(missing_ok=True)
        raise UsageError(f"{path}: cannot be written: {exc.strerror}") from exc
