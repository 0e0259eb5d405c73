"""A program with the probe inside, as a run of the harness starts it, and the proof that it was there."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from harness.drive.process import probe_env
from harness.record import page
from harness.record.probe_config import ProbeConfig
from harness.record.run_folder import RunFolder

# The default of a scenario. The other watchers are told the same.
LIMIT_NS = 100_000_000


def environment(path: Path, **order: Any) -> dict[str, str]:
    """This process's environment, and in it the order to record into the new run's folder *path*.

    *order* is what else to switch on: fields of `ProbeConfig`.
    """
    folder = RunFolder(path)
    for part in (folder.processes, folder.events, folder.loops, folder.artefacts):
        part.mkdir(parents=True)
    return probe_env.environment(ProbeConfig(str(path), limit_ns=LIMIT_NS, **order), os.environ)


def turns(path: Path) -> list[int]:
    """Of each process that the probe entered, how many turns it timed; 0 where no loop ran."""
    folder = RunFolder(path)
    counted = {int(mark.name.partition("-")[0]): 0 for mark in folder.processes.iterdir()}
    for seen in map(page.read, folder.loops.iterdir()):
        if seen is not None:
            counted[seen.pid] += seen.turns
    return list(counted.values())
