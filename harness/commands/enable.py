"""`harness enable`: lets the probe into programs of an environment that ignore PYTHONPATH."""

from __future__ import annotations

from pathlib import Path

import click

from ..drive import environment
from .summary import SUMMARIES


@click.command(short_help=SUMMARIES["enable"])
@click.argument("venv", type=click.Path(path_type=Path))
def enable(venv: Path) -> int:
    """Let the probe into the programs of VENV that ignore PYTHONPATH, or have a clean environment.

    \b
    harness enable .venv

    Writes one file into its site-packages, which does nothing unless a run of this user asks. VENV is the
    folder of a virtual environment, or the path of a Python. `harness disable VENV` removes the file.
    """
    click.echo(f"wrote {environment.enable(venv)}")
    return 0
