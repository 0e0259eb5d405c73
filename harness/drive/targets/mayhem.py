"""The built-in chaos service, on a queue of its own: a file in the run's folder, or one on a server."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from ...errors import ScenarioError
from ...record import redact
from ...record.run import RunFolder
from ...record.scenario import MayhemTarget, ReadyLog
from .spec import TargetSpec

# -P: a `queue.py` in the working directory is not the one it imports.
SERVICE = (sys.executable, "-P", "-m", "harness.mayhem")
# Its own drain deadline is 10 s; it is killed only when it misses that by far.
STOP_WITHIN_S = 20.0
CHECK_WITHIN_S = 30.0


def plan(target: MayhemTarget, folder: RunFolder) -> TargetSpec:
    """The service with its broker and store.

    Raises:
        ScenarioError: It does not accept its settings.
    """
    database = f"sqlite:{folder.artefacts / 'mayhem.db'}"
    broker = _of_this_run(target.broker, folder) if target.broker else database
    backends, env = _given({"broker": broker, "store": target.store or database})
    options = [part for name, value in target.settings.items() for part in _option(name, value)]
    if target.config is not None:
        options += ["--config", str(target.config)]
    hosts = _accepted([*options, *backends], env)["hosts"]
    return TargetSpec(
        command=(*SERVICE, "serve", *options, *backends),
        cwd=Path.cwd(),
        ready=ReadyLog(log=re.compile("consuming")),
        stop_signal="SIGTERM",
        stop_within_s=STOP_WITHIN_S,
        env=env,
        # The load names the hosts that the service has.
        sender={**_place(broker), "hosts": hosts},
        # What is in memory ends with the service.
        ledger_command=() if "memory:" in backends else (*SERVICE, "ledger", *backends),
        remove_command=(*SERVICE, "remove", *backends) if broker not in (target.broker, database) else (),
    )


def _given(urls: dict[str, str]) -> tuple[list[str], dict[str, str]]:
    """The URLs as options, or as variables of the environment: everybody can read a command."""
    options: list[str] = []
    env = {}
    for name, url in urls.items():
        if redact.without_password(url) != url:
            env[f"MAYHEM_{name.upper()}"] = url
        else:
            options += [f"--{name}", url]
    return options, env


def _accepted(options: list[str], env: dict[str, str]) -> dict[str, object]:
    """The settings that come of the options, as the service itself understands them."""
    check = subprocess.run(
        [*SERVICE, "check", *options],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=CHECK_WITHIN_S,
    )
    if check.returncode:
        raise ScenarioError(f"target: {check.stderr.strip().removeprefix('mayhem: ')}")
    accepted: dict[str, object] = json.loads(check.stdout)
    return accepted


def _of_this_run(broker: str, folder: RunFolder) -> str:
    """On a server, a queue that no other run has: what is in it is counted."""
    if not re.match(r"\w+://", broker) or "?" in broker:
        return broker
    return f"{broker}?queue={re.sub(r'[^A-Za-z0-9_-]', '-', folder.path.name)[-64:]}"


def _place(broker: str) -> dict[str, object]:
    """Where the sender finds it."""
    scheme, _, path = broker.partition(":")
    return {"database": path} if scheme == "sqlite" else {"url": broker}


def _option(name: str, value: bool | int | float | str) -> list[str]:
    option = name.replace("_", "-")
    if isinstance(value, bool):
        return [f"--{option}" if value else f"--no-{option}"]
    return [f"--{option}={value}"]
