"""A client of a console, and a process that does not answer."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from harness.drive.console.client import ConsoleClient
from tests.support.commanded import wait
from tests.support.consoled import consoled


def stop(pid: int) -> None:
    os.kill(pid, signal.SIGSTOP)
    wait(lambda: Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T")


def test_a_process_that_does_not_answer_has_no_completions(tmp_path: Path) -> None:
    """And its late answer is not taken for that to a later question."""
    with (
        consoled(tmp_path) as running,
        ConsoleClient(running.card, columns=80, on_say=print, on_ask=lambda _: None) as client,
    ):
        before = wait(lambda: client.completions("hel"))
        stop(running.process.pid)
        silent = client.completions("execu")
        os.kill(running.process.pid, signal.SIGCONT)

        assert (before, silent) == (["help"], [])
        assert client.ask("help --json", wait_s=60).status == "ok"


def test_what_does_not_answer_is_asked_from_outside(tmp_path: Path) -> None:
    """`status`, also by the beginning of its name; as a document if that was asked for."""
    with (
        consoled(tmp_path) as running,
        ConsoleClient(running.card, columns=80, on_say=print, on_ask=lambda _: None) as client,
    ):
        stop(running.process.pid)
        told, document = client.ask("stat", wait_s=60), client.ask("status --json", wait_s=60)
        os.kill(running.process.pid, signal.SIGCONT)

    assert told.text.startswith("answered from outside: the process did not answer for 1.0 s\n")
    assert (told.status, told.answer, document.status) == ("ok", None, "ok")
    assert isinstance(document.answer, dict)
