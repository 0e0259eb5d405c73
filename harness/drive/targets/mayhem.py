"""The built-in chaos service, with a queue and store of its own in the run's folder."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from ...record.run import RunFolder
from ...record.scenario import MayhemTarget, ReadyLog
from .plan import Plan

# Its own drain deadline is 10 s; it is killed only when it misses that by far.
STOP_WITHIN_S = 20.0
# The load names the hosts that the service is given, so both are told how many there are.
HOSTS = 12


def plan(target: MayhemTarget, folder: RunFolder) -> Plan:
    """The service on a fresh SQLite file."""
    database = folder.artefacts / "mayhem.db"
    # -P: a `queue.py` in the working directory is not the one it imports.
    module = (sys.executable, "-P", "-m", "harness.mayhem")
    settings = {"hosts": HOSTS, **target.settings}
    options = [part for name, value in settings.items() for part in _option(name, value)]
    return Plan(
        command=(*module, "serve", "--db", str(database), *options),
        cwd=Path.cwd(),
        ready=ReadyLog(log=re.compile("consuming")),
        stop_signal="SIGTERM",
        stop_within_s=STOP_WITHIN_S,
        sender={"database": str(database), "hosts": settings["hosts"]},
        ledger_command=(*module, "ledger", "--db", str(database)),
    )


def _option(name: str, value: bool | int | float | str) -> list[str]:
    flag = f"--{name.replace('_', '-')}"
    if isinstance(value, bool):
        return [flag] if value else []
    return [flag, str(value)]
