"""`report.json`: the report for machines."""

from __future__ import annotations

import json

from ..formats import ReportFormat
from ..report import Report, as_json


def render(document: Report) -> str:
    """The report as JSON, ASCII only."""
    return json.dumps(as_json(document), indent=1) + "\n"


FORMAT = ReportFormat("json", extension="json", render=render)
