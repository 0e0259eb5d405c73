"""`harness report`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from harness.commands.report import report
from harness.errors import RecordError, UsageError
from tests.read.conftest import Full

Invoke = Callable[..., Result]


@pytest.fixture
def invoke() -> Invoke:
    """Runs the command; errors of the harness come as they are raised."""

    def run(*arguments: object) -> Result:
        return CliRunner().invoke(report, [str(argument) for argument in arguments], catch_exceptions=False)

    return run


@pytest.fixture
def folder(full: Full) -> Path:
    made = full()
    made.close()
    return made.folder.path


def test_without_a_format_the_reports_are_written_and_summed_up(invoke: Invoke, folder: Path) -> None:
    """Verdict on the standard output, both files in the folder, the run's own exit status."""
    done = invoke(folder)

    assert done.exit_code == 1
    assert done.stdout.startswith(
        "failed blocks.max_held_ms is 301 ms, expected < 100 ms. Loop blocked 7.5 % of the run"
    )
    assert (folder / "report.html").exists()
    assert (folder / "report.json").exists()


def test_a_format_goes_to_the_standard_output(invoke: Invoke, folder: Path) -> None:
    """`--json` and `--format json` give the same document and write nothing."""
    by_format, by_flag = invoke(folder, "--format", "json"), invoke(folder, "--json")

    assert json.loads(by_format.stdout)["run"]["scenario"] == "shop"
    assert by_flag.stdout == by_format.stdout
    assert not (folder / "report.json").exists()


def test_an_output_files_name_chooses_the_format(invoke: Invoke, folder: Path, tmp_path: Path) -> None:
    """What is asked for by name wins; else the suffix decides."""
    invoke(folder, "--output", tmp_path / "out.md")
    invoke(folder, "--format", "md", "--output", tmp_path / "out.txt")

    assert (tmp_path / "out.md").read_text().startswith("## Failed: blocks.max\\_held\\_ms is 301 ms")
    assert (tmp_path / "out.txt").read_text() == (tmp_path / "out.md").read_text()


def test_a_record_that_was_cut_off_ends_with_status_3(invoke: Invoke, full: Full) -> None:
    """The report is there, and CI is told that it is partial."""
    made = full(end=False)
    made.close()

    done = invoke(made.folder.path)
    assert done.exit_code == 3
    assert "Partial record" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "error"),
    [(("--format", "checkstyle"), UsageError), (("--output", "/nowhere/at/all.md"), UsageError)],
)
def test_what_cannot_be_rendered_is_a_usage_error(
    invoke: Invoke, folder: Path, arguments: tuple[str, ...], error: type[UsageError]
) -> None:
    """A format that does not exist, a file that cannot be written."""
    with pytest.raises(error):
        invoke(folder, *arguments)


def test_a_folder_without_a_record_is_a_record_error(invoke: Invoke, tmp_path: Path) -> None:
    """Not a traceback of a missing file."""
    with pytest.raises(RecordError):
        invoke(tmp_path)
