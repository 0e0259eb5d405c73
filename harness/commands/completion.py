"""What a shell completes: formats, profilers, figures, runs, and processes with a console.

Everything is imported only when a shell asks.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from click import Context, Parameter
from click.shell_completion import CompletionItem

Items = list[CompletionItem]


def formats(context: Context, parameter: Parameter, start: str) -> Items:
    """The formats of a report."""
    from ..read import formats

    return _beginning(start, formats.names())


def profilers(context: Context, parameter: Parameter, start: str) -> Items:
    """The profilers of `run` and `watch`."""
    from .profile_option import OTHERS, PYINSTRUMENT

    return _beginning(start, (*OTHERS, PYINSTRUMENT))


def figures(context: Context, parameter: Parameter, start: str) -> Items:
    """The figures that a condition of `watch` can be about."""
    from ..record.metric import FIGURES

    return [
        CompletionItem(figure.key, help=figure.meaning) for figure in FIGURES if figure.key.startswith(start)
    ]


def runs(context: Context, parameter: Parameter, start: str) -> Items:
    """The folders of runs below `reports/`, newest first; else any folder."""
    from ..record.run import MANIFEST

    found = [str(path.parent) for path in sorted(Path("reports").glob(f"*/{MANIFEST}"), reverse=True)]
    return _beginning(start, found) or [CompletionItem(start, type="dir")]


def scenarios(context: Context, parameter: Parameter, start: str) -> Items:
    """TOML files and folders beside what is typed."""
    head = start[: start.rfind("/") + 1]
    folder = Path(head or ".")
    beside = sorted(folder.iterdir()) if folder.is_dir() else ()
    found = [f"{head}{path.name}{'/' * path.is_dir()}" for path in beside]
    return _beginning(start, (name for name in found if name.endswith(("/", ".toml"))))


def consoles(context: Context, parameter: Parameter, start: str) -> Items:
    """The processes of this user that have an open console."""
    from ..drive.console import client

    return [
        CompletionItem(str(one.pid), help=" ".join(one.program))
        for one in client.consoles()
        if str(one.pid).startswith(start)
    ]


def _beginning(start: str, names: Iterable[str]) -> Items:
    return [CompletionItem(name) for name in names if name.startswith(start)]
