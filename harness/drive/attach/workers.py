"""The Python child processes of one that is attached to: its workers."""

from __future__ import annotations

import os
from collections import defaultdict
from time import monotonic_ns

from ...record.process import mark
from ...record.run_folder import RunFolder
from ..process import proc
from ..process.examination import python_of

# Keys of a mark (`record/process/mark.py`): the probe was not wanted in the process, or could not enter.
LEFT_OUT, BARRED = "left_out", "barred"


def of(pid: int) -> list[int]:
    """The Python processes that descend from process *pid*, parents first."""
    children: dict[int, list[int]] = defaultdict(list)
    for each in sorted(proc.ids()):
        if (seen := proc.stat(each)) is not None and seen.state not in "ZX":
            children[seen.parent].append(each)
    found, waiting = [], [pid]
    while waiting:
        waiting += (below := children[waiting.pop(0)])
        found += below
    return [each for each in found if python_of(each)[0]]


def leave_mark(folder: RunFolder, pid: int, key: str, reason: str) -> None:
    """Note in the record why the probe is not in a process."""
    path = folder.processes / f"{pid}-{monotonic_ns():x}"
    path.write_text(mark.text({"python": python_of(pid)[0], key: reason}, proc.command(pid)))


def marked(folder: RunFolder) -> set[int]:
    """The processes that have a mark."""
    return {int(name.partition("-")[0]) for name in os.listdir(folder.processes)}  # noqa: PTH208
