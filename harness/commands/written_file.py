"""The files of `--write [F=]FILE`: each has a format, by its name or by its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import click

from ..errors import UsageError

write_option = click.option(
    "--write",
    "files",
    multiple=True,
    metavar="[F=]FILE",
    help="Also write this file, by its ending or in format F; repeatable.",
)


def written_file(text: str, names: Sequence[str], of_file: Callable[[Path], str]) -> tuple[str, Path]:
    """The format and the path of ``junit=report.xml``, or of ``report.junit.xml``.

    Args:
        text: What was asked for.
        names: Of the formats that there are.
        of_file: The name of the format that a file's name ends in.

    Raises:
        UsageError: There is no such format, or no such file can be written.
    """
    name, equals, rest = text.partition("=")
    if not (equals and name in names):
        name, rest = of_file(Path(text)), text
    path = Path(rest)
    if name not in names:
        exc = UsageError(f"--write {text}: its ending does not name a format")
        exc.add_note(f"Write F=FILE, with F one of {', '.join(names)}.")
        raise exc
    if not rest or (path.exists() and not path.is_file()):
        # It would be replaced by a file.
        raise UsageError(f"--write {text}: expected the name of a file")
    if not path.parent.is_dir():
        raise UsageError(f"--write {text}: no folder {path.parent}")
    return name, path
