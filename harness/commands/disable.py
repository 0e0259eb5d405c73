"""`harness disable`: undoes `harness enable`."""

from __future__ import annotations

from pathlib import Path

import click

from ..drive import environment
from .summary import SUMMARIES


@click.command(short_help=SUMMARIES["disable"])
@click.argument("venv", type=click.Path(path_type=Path))
def disable(venv: Path) -> int:
    """Remove from VENV what `harness enable VENV` wrote."""
    removed = environment.disable(venv)
    click.echo(f"removed {removed}" if removed else f"{venv}: was not enabled")
    return 0
