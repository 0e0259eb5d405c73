"""The folder through which a process is entered, where this process stands for the other."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from harness.drive.attach import control_folder
from harness.drive.attach.control_folder import ControlFolder
from harness.drive.attach.subject import Subject
from harness.errors import TargetError


def subject(temporary: Path | str) -> Subject:
    """This process, with that folder for temporary files."""
    return Subject(
        pid=os.getpid(),
        inner_pid=os.getpid(),
        uid=os.geteuid(),
        gid=os.getegid(),
        version=(3, 14),
        python=sys.executable,
        environ={"TMPDIR": str(temporary)},
        root_id=(0, 0),
        moved=(),
    )


@pytest.fixture
def places(runtime_folder: str, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Where such folders are made, in their order; under a path that is short enough for a socket."""
    found = [Path(runtime_folder, name) for name in ("first", "second")]
    for place in found:
        place.mkdir()
    monkeypatch.setattr(control_folder, "_PLACES", tuple(map(str, found)))
    return found


def test_it_is_made_where_the_process_has_its_temporary_files(
    runtime_folder: str, places: list[Path]
) -> None:
    """Nowhere else, for its user alone; and nothing is left of it."""
    own = Path(runtime_folder, "own")
    own.mkdir()
    made = ControlFolder(subject(own))
    made.put("enter.py", b"pass")

    assert list(own.iterdir()) == [made.path]
    assert (made.path.stat().st_mode & 0o777, [list(place.iterdir()) for place in places]) == (
        0o700,
        [[], []],
    )
    made.remove()
    assert list(own.iterdir()) == []


@pytest.mark.parametrize("temporary", ["", "relative", "/no/such/folder", f"/{'long' * 30}"])
def test_it_is_made_in_the_first_place_that_will_do(temporary: str, places: list[Path]) -> None:
    """A relative path, one that is missing, or that is too long for a socket is passed over."""
    made = ControlFolder(subject(temporary))

    assert [len(list(place.iterdir())) for place in places] == [1, 0]
    made.remove()


def test_no_place_is_told_with_the_reason_of_the_last_one(places: list[Path]) -> None:
    """There is nothing to remove."""
    for place in places:
        place.rmdir()
    with pytest.raises(TargetError) as raised:
        ControlFolder(subject(""))

    assert str(raised.value) == (
        f"{os.getpid()}: there is no place for the script that enters it: {places[-1]}: "
        "No such file or directory"
    )
