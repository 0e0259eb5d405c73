"""`harness schema`: the JSON Schema of what the harness reads and writes."""

from __future__ import annotations

import json

import click

from . import results
from .summary import SUMMARIES


@click.command(short_help=SUMMARIES["schema"])
@click.argument("document", type=click.Choice(["report", "scenario"]))
def schema(document: str) -> None:
    """Print the JSON Schema of report.json, or of a scenario file.

    \b
    harness schema scenario > scenario.schema.json

    An editor that knows it completes and checks the keys of a scenario.
    """
    # Not at the top: `--help` needs neither.
    if document == "report":
        from ..read import report_schema

        made = report_schema.schema()
    else:
        from ..record.toml import scenario_schema

        made = scenario_schema.described()
    results.write(json.dumps(made, indent=1, ensure_ascii=False) + "\n")
