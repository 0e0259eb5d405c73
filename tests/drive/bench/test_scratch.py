"""Folders that do not stay."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.drive.bench.scratch import RUNS, scratch_folder


def test_a_folder_that_something_else_removes_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cleans up the temporary files may come first; otherwise it goes with all that is in it."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with scratch_folder(RUNS) as path:
        path.rmdir()
    with scratch_folder(RUNS) as path:
        (path / "stdout").write_text("")

        assert list(tmp_path.iterdir()) == [path]
    assert list(tmp_path.iterdir()) == []
