"""What each command is for, in one line: known without importing it."""

from __future__ import annotations

# In the order of `harness --help`.
SUMMARIES = {
    "run": "Run a scenario: load a service and break it.",
    "watch": "Run any Python program with the probe inside.",
    "attach": "Open the console of a running process.",
    "report": "Render an existing record.",
    "bench": "Run two sides in turn, and say whether one is slower.",
    "compare": "Say whether recorded runs are slower than others.",
    "bisect": "Find the revision that made something slower.",
    "runs": "List earlier runs, and show how a figure went.",
    "faults": "List the kinds of faults that can be injected.",
    "schema": "Print the JSON Schema of report.json or of a scenario.",
    "enable": "Let the probe into programs that ignore PYTHONPATH.",
    "disable": "Undo `harness enable`.",
}
