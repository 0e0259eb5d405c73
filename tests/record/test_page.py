"""The counters that outlive their process."""

from __future__ import annotations

from pathlib import Path

from harness.record import page


def test_the_latest_late_turns_are_kept_and_older_ones_make_room(tmp_path: Path) -> None:
    """As many as can end between two writes of the record, in their order, however many there were."""
    words = page.create(tmp_path / "0.page", started_ns=1, limit_ns=100)
    for number in range(page.LATE_KEPT + 3):
        page.note_late(words, 1000 * number, number)
        page.note_delayed(words, 2 * number)
    page.note_late(words, 999_000, 500)

    seen = page.read(tmp_path / "0.page")
    assert seen is not None
    assert len(seen.late) == page.LATE_KEPT
    assert seen.late[0] == page.LateTurn(4000, 4, 8)
    assert seen.late[-2:] == (page.LateTurn(66_000, 66, 132), page.LateTurn(999_000, 500, None))


def test_a_page_of_a_version_that_knew_no_late_turns_has_none(tmp_path: Path) -> None:
    """Its words are 0."""
    page.create(tmp_path / "0.page", started_ns=1, limit_ns=100)

    seen = page.read(tmp_path / "0.page")
    assert seen is not None
    assert (seen.late, seen.since_ns, seen.ran_ns) == ((), 0, 0)


def test_a_page_has_its_room_on_the_disk_from_the_start(tmp_path: Path) -> None:
    """On a disk that is full by then, the first write into a hole would end the process with SIGBUS."""
    page.create(tmp_path / "0.page", started_ns=1, limit_ns=1)

    assert (tmp_path / "0.page").stat().st_blocks * 512 >= page.WORDS * 8
