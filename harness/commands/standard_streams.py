"""The three standard streams, also where whoever started the command has closed some: ``harness ... >&-``."""

from __future__ import annotations

import os
import sys

NAMES = ("stdin", "stdout", "stderr")


def open_missing() -> None:
    """Put the null device in place of each closed one; called before anything else is opened.

    The kernel gives the lowest free number to the next file. That would be one of the record, into which
    every child process then writes what it prints.
    """
    for number, name in enumerate(NAMES):
        try:
            os.fstat(number)
        except OSError:
            null = os.open(os.devnull, os.O_RDWR)  # gets this number, as all lower ones are open
            os.set_inheritable(null, True)
        if getattr(sys, name) is None:
            mode = "w" if number else "r"
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8", closefd=False))
