"""Text that is safe to print: names come from the program, or from its clients."""

from __future__ import annotations


def printable(text: str) -> str:
    """*text*, with each character that could control a terminal replaced."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "\ufffd" for c in text)
