"""Keeps the compiled templates of the page, which take a quarter of a second to compile."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from jinja2 import BytecodeCache, FileSystemBytecodeCache
from jinja2.bccache import Bucket


class _TemplateCache(FileSystemBytecodeCache):
    def dump_bytecode(self, bucket: Bucket) -> None:
        with suppress(OSError):  # a full disk, or a folder that has gone
            super().dump_bytecode(bucket)


def template_cache() -> BytecodeCache | None:
    """The cache in the user's cache folder, or `None` where there is no such folder of this user's own.

    Compiled templates are code, so a folder of another user's is not trusted.
    """
    try:
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        folder = home / "asyncio-harness" / "templates"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        held = folder.stat()
    except (OSError, RuntimeError):  # no home
        return None
    is_ours = held.st_uid == os.geteuid() and not held.st_mode & 0o022
    return _TemplateCache(str(folder)) if is_ours and os.access(folder, os.W_OK) else None
