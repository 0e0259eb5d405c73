"""What a report tells of the console."""

from __future__ import annotations

from harness.read import report
from harness.read.renderers import html, md
from harness.record import event
from tests.read.conftest import Full, Record


def test_the_latest_count_of_each_process_holds(record: Record) -> None:
    """Of two processes together; what was done is told with who did it, and when."""
    made = record()
    for pid in (1, 2):
        made.write("target", event.ConsoleOpened(made.at(0), pid, "/run/x.json", None))
    made.write("target", event.ConsoleAudited(made.at(1), 1, "uid 0, pid 9", "", "connected"))
    made.write("target", event.ConsoleAudited(made.at(2), 1, "uid 0, pid 9", "cancel <7>", "done"))
    for at_s, pid, commands in ((1, 1, {"ps": 1}), (2, 1, {"ps": 2, "cancel": 1}), (2, 2, {"ps": 1})):
        counted = event.ConsoleCounted(made.at(at_s), pid, 1, pid - 1, commands, 0, 10_000_000, 1_000_000_000)
        made.write("target", counted)
    made.ended()
    judged = made.document()

    console = report.as_json(judged)["console"]
    assert console == {
        "connections": 2,
        "refused": 1,
        "commands": {"ps": 3, "cancel": 1},
        "audited": [
            {"at_s": 1.0, "pid": 1, "client": "uid 0, pid 9", "line": "", "outcome": "connected"},
            {"at_s": 2.0, "pid": 1, "client": "uid 0, pid 9", "line": "cancel <7>", "outcome": "done"},
        ],
        "unlisted": 0,
        "cpu_ratio": 0.01,
    }
    assert "cancel &lt;7&gt;" in html.render(judged)
    assert "- Console: 2 connections, 1 refused, 4 commands, 1 action; 1.0 % of the CPU time" in md.render(
        judged
    )


def test_a_run_without_a_console(full: Full) -> None:
    """Has nothing to tell of one."""
    judged = full().document()

    assert judged.console is None
    assert "Console" not in md.render(judged)
