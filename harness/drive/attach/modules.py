"""The probe's modules in one file, compiled by the Python that will load them.

A process that is attached to may have another root, other users and no package of the harness; and a module
that it would have to compile itself would hold its GIL for as long as that takes. The file is kept for the
next time, by the compiler's version and the modules' text.

It is the length of an index (8 bytes, little-endian), the index as JSON, and the code of each module. The
index has, for each name, whether it is a package, its path, and the place and length of its code.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# What runs inside a target.
ROOMS = ("probe", "console", "read", "record", "stacks")
FILES = ("errors.py",)
# Stands for the harness's folder; see `probe/entry/sitecustomize.py`.
INSIDE = "<harness>"
_LEFT_OUT = (
    *("record/scenario.py", "probe/entry"),
    # The rules come along for the console; what renders and compares reports does not.
    *("read/renderers", "read/compare", "read/samples", "read/chart", "read/formats", "read/report"),
    *("read/template_cache", "read/terminal", "read/calls/baseline", "read/calls/project"),
)


def sources() -> dict[str, tuple[bool, str, str]]:
    """For each module, by its name within the harness: whether it is a package, its path, and its text."""
    found = {}
    paths = [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]
    for path in (*(ROOT / name for name in FILES), *paths):
        place = path.relative_to(ROOT).as_posix()
        if place.startswith(_LEFT_OUT):
            continue
        parts = place.removesuffix(".py").split("/")
        is_package = parts[-1] == "__init__"
        name = ".".join(parts[:-1] if is_package else parts)
        found[name] = (is_package, f"{INSIDE}/{place}", path.read_text())
    return found


def digest(texts: dict[str, tuple[bool, str, str]]) -> str:
    """What tells these modules from others."""
    made = hashlib.sha256()
    for name, (_, _, text) in sorted(texts.items()):
        made.update(f"{name}\0{len(text)}\0{text}".encode())
    return made.hexdigest()[:16]


def kept(version: tuple[int, int], of: str) -> Path:
    """Where the compiled modules of a version of Python are kept for this user; the file may not exist."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache, "asyncio-harness", f"modules-{version[0]}.{version[1]}-{of}")


def keep(path: Path, data: bytes) -> None:
    """Keep compiled modules; without a place for them they are compiled again."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        for old in path.parent.glob(f"{path.name.rpartition('-')[0]}-*"):
            old.unlink(missing_ok=True)
        aside = path.with_suffix(f".{os.getpid()}")
        aside.write_bytes(data)
        aside.rename(path)
    except OSError:
        pass
