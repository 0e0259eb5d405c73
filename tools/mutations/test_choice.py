"""Which tests belong to a file: the nearest first, so that most faults are noticed in seconds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

# Whole runs, which go through most of a room.
_STORIES = {
    "probe": ("tests/test_watch_loop.py", "tests/drive/test_watch_program.py", "tests/drive/test_dying.py"),
    "read": ("tests/drive/test_watch_program.py", "tests/drive/test_runner_story.py"),
    "drive/bench": ("tests/comparing",),
    "drive/console": ("tests/console/test_attach.py", "tests/console/test_hang_news.py"),
    "drive": ("tests/drive", "tests/commands"),
    "record": ("tests/read", "tests/probe/test_process.py"),
    "stacks": ("tests/read/blocks", "tests/probe/loop"),
    "console": ("tests/console",),
    "mayhem": ("tests/mayhem",),
    "commands": ("tests/commands", "tests/read/test_report_command.py"),
}


def groups(root: Path, file: str) -> Iterator[list[str]]:
    """Groups of tests to run one after the other until one fails; each test in one group only."""
    _, *folders, name = Path(file).parts
    seen: set[str] = set()
    for group in _candidates(root, folders, Path(name).stem):
        found = [test for place in group for test in _files(root, place)]
        if fresh := [test for test in dict.fromkeys(found) if test not in seen]:
            seen.update(fresh)
            yield fresh


def _candidates(root: Path, folders: list[str], stem: str) -> Iterator[list[str]]:
    own = Path("tests", *folders)
    yield [str(own / f"test_{stem}.py")]
    # Tests that speak of it by name.
    yield [
        str(path.relative_to(root))
        for path in sorted((root / own).glob("**/test_*.py"))
        if f".{stem} import" in path.read_text() or f"import {stem}" in path.read_text()
    ]
    # The innermost room first, then those around it.
    for depth in range(len(folders), 0, -1) if folders else (0,):
        room = Path("tests", *folders[:depth])
        yield [str(path.relative_to(root)) for path in sorted((root / room).glob("test_*.py"))]
        yield list(_STORIES.get("/".join(folders[:depth]), ()))
    if folders:
        yield [f"tests/{folders[0]}"]


def _files(root: Path, place: str) -> list[str]:
    path = root / place
    if path.is_dir():
        return [str(file.relative_to(root)) for file in sorted(path.glob("**/test_*.py"))]
    return [place] if path.exists() else []
