"""Where results go: to a reader who leaves, to a disk that is full, to a file; and how errors look."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.read.conftest import Record
from tests.support.commanded import COMMAND
from tests.support.process import Heard


@pytest.fixture
def folder(record: Record) -> Path:
    """The record of a run that passed."""
    made = record(expectations=[("blocks.count", "==", 0)])
    made.loop(turns_ms=[1.2] * 300)
    made.ended()
    made.close()
    return made.folder.path


def shell(line: str, *words: object) -> subprocess.CompletedProcess[str]:
    """A line of bash in which ``harness`` is the command; its status, with pipefail."""
    text = f'set -o pipefail; harness() {{ {" ".join(COMMAND)} "$@"; }}; {line}'
    return subprocess.run(
        ["bash", "-c", text, "bash", *map(str, words)], capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize("options", ["", "--json", "--format html", "--help"])
def test_a_reader_that_leaves_is_no_error(folder: Path, options: str) -> None:
    """`| head -1` does not break `set -o pipefail`, and nothing is said about it."""
    done = shell(f'harness report "$1" {options} | head -1', folder)

    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 1


@pytest.mark.parametrize("options", ["", "--json", "--format html"])
def test_a_full_disk_behind_a_redirect_is_one_clear_error(folder: Path, options: str) -> None:
    """3, since the result did not arrive; not 1, which is a missed expectation."""
    done = shell(f'harness report "$1" {options} > /dev/full', folder)

    assert done.returncode == 3
    assert done.stderr == "harness: standard output: cannot be written: No space left on device\n"


def test_a_folder_that_cannot_be_written_still_has_a_summary(folder: Path) -> None:
    """Only the two files are missing; the record is an artefact that nobody may change or add to."""
    (folder / "report.json").mkdir()  # root may write anywhere else
    before = sorted(folder.iterdir())
    done = shell('harness report "$1"', folder)

    assert done.returncode == 2
    assert done.stderr == f"harness: {folder}/report.json: cannot be written: Is a directory\n"
    assert done.stdout.startswith("passed No block: ")
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--format md --json", "--format md and --json: name one format"),
        ("--output .", "--output .: expected a file, got a folder"),
        ("--output report.xyz", "--output report.xyz: its ending does not name a format"),
        ("--format sarf", "no format 'sarf'"),
        ("--format perfetto --against x", "--format perfetto: it shows one record, and cannot compare it"),
        ("--nothing", "no such option '--nothing'"),
    ],
)
def test_what_contradicts_itself_is_refused(folder: Path, options: str, message: str) -> None:
    """2, and one style for our errors and click's."""
    done = shell(f'harness report "$1" {options}', folder)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"harness: {message}")


def test_an_output_file_is_named(folder: Path, tmp_path: Path) -> None:
    """On stderr, where it does not mix with a result."""
    done = shell('harness report "$1" --output "$2"', folder, tmp_path / "x.md")

    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == f"md: {tmp_path}/x.md\n"


def test_quiet_shows_the_verdict_only(folder: Path) -> None:
    """One line, and both files as ever."""
    done = shell('harness report "$1" --quiet', folder)

    assert done.returncode == 0
    assert [line.partition(":")[0] for line in done.stdout.splitlines()] == ["passed No block"]
    assert (folder / "report.html").exists()


def test_open_shows_the_page(folder: Path, tmp_path: Path) -> None:
    """By the browser of the user's choice."""
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {tmp_path}/opened\n')
    browser.chmod(0o755)
    done = shell('BROWSER="$2" harness report "$1" --open', folder, browser)

    assert done.returncode == 0
    assert (tmp_path / "opened").read_text() == f"{(folder / 'report.html').as_uri()}\n"


def test_plain_text_has_no_escape_sequences(folder: Path) -> None:
    """`--no-color`, also where colours are forced on."""
    terminal = "NO_COLOR= TERM=xterm FORCE_COLOR=1"
    forced, plain = (
        shell(f'{terminal} harness report "$1" {option}', folder).stdout for option in ("", "--no-color")
    )

    assert "\x1b[" in forced
    assert "\x1b[" not in plain


def test_sigterm_while_a_report_is_made_is_told(folder: Path) -> None:
    """The record stays, the report can be made again: 143, as for any program that SIGTERM ends."""
    report = Heard(
        [*COMMAND, "report", str(folder), "--format", "html"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        # The page is larger than a pipe holds, so after its first byte the rest waits for a reader.
        assert os.read(report.stdout.fileno(), 1) == b"<"
        report.send_signal(signal.SIGTERM)
        said = report.stderr.read()
        assert report.wait(timeout=30) == 128 + signal.SIGTERM
    finally:
        report.kill()
        report.communicate()

    assert said == (
        "harness: stopped by SIGTERM before the report was complete\n"
        f"  The record is kept: harness report {folder}\n"
    )


BUG = """
import sys
from harness.commands import main
from harness.read import history
def broken(*_): raise RuntimeError("a bug")
history.Follower.new_events = broken
sys.argv[0] = "harness"
main.main()
"""


def test_a_bug_of_the_harness_is_one_line(folder: Path) -> None:
    """3, where the record is, and how to see more; the traceback only on request."""
    arguments = [sys.executable, "-c", BUG, "report", str(folder)]
    plain, debug = (
        subprocess.run(arguments, env=os.environ | env, capture_output=True, text=True, timeout=60)
        for env in ({}, {"HARNESS_DEBUG": "1"})
    )

    assert (plain.returncode, debug.returncode) == (3, 3)
    first, *notes = plain.stderr.splitlines()
    assert first.startswith("harness: internal error: RuntimeError: a bug (<string>:")
    assert notes[0] == f"  The record is kept: harness report {folder}"
    assert "HARNESS_DEBUG=1" in notes[1]
    assert "Traceback" not in plain.stderr
    assert "Traceback" in debug.stderr
