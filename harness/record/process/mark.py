"""The mark that the probe leaves in a run's folder for each process that it enters, with a loop or without.

It is a small text file, ``processes/PID-TIME``: lines ``key=value``, an empty line, and the command, one word
per line. Before a process calls `exec`, it leaves an empty file ``PID-TIME-exec``. A mark is written at the
start of every Python process, so this module imports next to nothing. Keys:

    entered    how: "sitecustomize", "usercustomize", "pth", "attach"
    python     "3.11.7"
    by         "cpython", "pypy"
    unable     why the probe watches no loop here
    framework  another framework whose loop began: "trio"; repeated for each
    fork       "1" in a forked child, whose command is that of its parent
    left_out   why `attach` did not try to enter it: then the probe is not in it
    barred     why `attach` could not enter it: then the probe is not in it, but a loop may be
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

# How the probe came into a process that ran already.
ATTACHED = "attach"


def text(facts: dict[str, str], command: Sequence[str]) -> str:
    """The text of a mark."""
    head = "".join(f"{key}={_line(value)}\n" for key, value in facts.items())
    return head + "\n" + "\n".join(map(_line, command))


def parse(mark: str) -> tuple[dict[str, list[str]], tuple[str, ...]]:
    """The facts, each with all its values, and the command."""
    head, _, command = mark.partition("\n\n") if not mark.startswith("\n") else ("", "", mark[1:])
    facts: dict[str, list[str]] = {}
    for line in head.splitlines():
        key, _, value = line.partition("=")
        facts.setdefault(key, []).append(value)
    return facts, tuple(command.split("\n"))


def _line(word: str) -> str:
    return word.replace("\n", " ")
