"""Words in a file that several processes see."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from harness.record.process.shared_words import map_words


def test_a_change_is_seen_in_the_file_and_by_other_mappings(tmp_path: Path) -> None:
    """At once, also after the file was closed; who only reads cannot write."""
    path = tmp_path / "words"
    path.write_bytes(bytes(16))
    with path.open("r+b") as file:
        words, seen = map_words(file.fileno(), 2), map_words(file.fileno(), 2, write=False)
    words[1] = -7

    assert (list(seen), path.read_bytes()[8:]) == ([0, -7], (-7).to_bytes(8, sys.byteorder, signed=True))
    with pytest.raises(TypeError):
        seen[0] = 1


def test_a_file_that_is_too_short_is_refused(tmp_path: Path) -> None:
    """It would be the kernel that says so, with a signal."""
    path = tmp_path / "words"
    path.write_bytes(bytes(15))
    with path.open("r+b") as file, pytest.raises(ValueError, match="length"):
        map_words(file.fileno(), 2)


@pytest.mark.skipif(sys.version_info < (3, 13), reason="before Python 3.13 each mapping keeps a descriptor")
def test_a_mapping_keeps_no_descriptor(tmp_path: Path) -> None:
    """A watched program has no more of them for it, however late its garbage is collected."""
    path = tmp_path / "words"
    path.write_bytes(bytes(16))
    before = len(os.listdir("/proc/self/fd"))
    with path.open("r+b") as file:
        words = map_words(file.fileno(), 2)

    assert len(os.listdir("/proc/self/fd")) == before
    assert words[0] == 0
