"""Text that is safe to show: names come from the program, or from whoever its clients are."""

from __future__ import annotations


def printable(text: str) -> str:
    """*text* without what would change a terminal."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "\ufffd" for c in text)
