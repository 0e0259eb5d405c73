"""`harness report` with `--write` and `--step-summary`."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from harness.commands.report import report
from harness.errors import UsageError
from tests.read.conftest import Full


@pytest.fixture
def folder(full: Full) -> Path:
    made = full()
    made.close()
    return made.folder.path


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(report, [str(argument) for argument in arguments], catch_exceptions=False)


def test_files_are_written_beside_the_summary_or_a_format(folder: Path, tmp_path: Path) -> None:
    """Those that show the record, too; with the status of the run."""
    shown: dict[tuple[str, ...], str] = {
        (): "failed ",
        ("--format", "md"): "## Failed",
        ("--output", str(tmp_path / "out.md")): "",
    }
    for options, beginning in shown.items():
        files = [tmp_path / "all.junit.xml", tmp_path / "all.pb.gz"]
        done = invoke(folder, *options, "--write", files[0], "--write", f"pprof={files[1]}")

        assert done.exit_code == 1
        assert [file.read_bytes()[:2] for file in files] == [b"<?", b"\x1f\x8b"]
        assert done.stdout.startswith(beginning)
        for file in files:
            file.unlink()


def test_a_file_that_cannot_be_written_is_told_and_the_others_are(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run has failed, and that stays its status; a run that passed would end with that of the error."""
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path))
    done = invoke(folder, "--format", "json", "--step-summary", "--write", tmp_path / "a.md")

    assert (tmp_path / "a.md").exists()
    assert f"harness: {tmp_path}: cannot be written: Is a directory\n" in done.stderr
    assert done.exit_code == 1


def test_a_comparison_writes_no_record(folder: Path, tmp_path: Path) -> None:
    """As `--format` does not."""
    with pytest.raises(UsageError, match="--format pprof: it shows one record"):
        invoke(folder, "--against", folder, "--write", f"pprof={tmp_path / 'a'}")
