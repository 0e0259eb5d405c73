"""Which tests belong to a file: the nearest first, so that most faults are noticed in seconds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

# Whole runs, which go through most of a room.
_STORIES = {
    "probe": ("tests/test_watch_loop.py", "tests/drive/test_watch_program.py", "tests/drive/test_dying.py"),
    "read": ("tests/drive/test_watch_program.py", "tests/drive/test_runner_story.py"),
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
        fresh = [test for test in group if (root / test).exists() and test not in seen]
        seen.update(fresh)
        if fresh:
            yield fresh


def _candidates(root: Path, folders: list[str], stem: str) -> Iterator[list[str]]:
    own = Path("tests", *folders)
    yield [str(own / f"test_{stem}.py")]
    # Tests that speak of it by name.
    naming = [
        str(path.relative_to(root))
        for path in sorted((root / own).glob("**/test_*.py"))
        if f".{stem} import" in path.read_text() or f"import {stem}" in path.read_text()
    ]
    yield naming
    yield [str(path.relative_to(root)) for path in sorted((root / own).glob("test_*.py"))]
    if len(folders) > 1:
        yield [str(path.relative_to(root)) for path in sorted((root / own.parent).glob("test_*.py"))]
    yield list(_STORIES.get(folders[0], ())) if folders else []
    if folders:
        yield [str(path.relative_to(root)) for path in sorted(root.glob(f"tests/{folders[0]}/**/test_*.py"))]
