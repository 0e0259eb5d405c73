"""The built-in chaos service, on its own queue: a file in the run's folder, or a queue on a server."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from ...errors import ScenarioError, TargetError
from ...record import redact
from ...record.run_folder import RunFolder
from ...record.scenario import MayhemTarget, ReadyLog
from .spec import TargetSpec

# -P: a `queue.py` in the working directory must not shadow the standard library's.
SERVICE = (sys.executable, "-P", "-m", "harness.mayhem")
# The service's own drain deadline is 10 s; it is killed only when it far exceeds that.
STOP_WITHIN_S = 20.0
CHECK_WITHIN_S = 30.0


def spec(target: MayhemTarget, folder: RunFolder) -> TargetSpec:
    """The service with its broker and store.

    Raises:
        ScenarioError: The service rejects its settings.
        TargetError: It takes too long to read them.
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
        # The load refers to the hosts that the service has.
        sender={**_place(broker), "hosts": hosts},
        # A broker in memory ends with the service.
        ledger_command=() if "memory:" in backends else (*SERVICE, "ledger", *backends),
        remove_command=(*SERVICE, "remove", *backends) if broker not in (target.broker, database) else (),
    )


def _given(urls: dict[str, str]) -> tuple[list[str], dict[str, str]]:
    """The URLs as options, or, if they hold a password, as variables: any user can read a command line."""
    options: list[str] = []
    env = {}
    for name, url in urls.items():
        if redact.without_password(url) != url:
            env[f"MAYHEM_{name.upper()}"] = url
        else:
            options += [f"--{name}", url]
    return options, env


def _accepted(options: list[str], env: dict[str, str]) -> dict[str, object]:
    """The settings that the options result in, as the service itself reads them."""
    try:
        check = subprocess.run(
            [*SERVICE, "check", *options],
            env={**os.environ, **env},
            capture_output=True,
            text=True,
            timeout=CHECK_WITHIN_S,
        )
    except subprocess.TimeoutExpired:
        raise TargetError(f"the service did not check its settings within {CHECK_WITHIN_S:g} s") from None
    if check.returncode:
        raise ScenarioError(f"target: {check.stderr.strip().removeprefix('mayhem: ')}")
    accepted: dict[str, object] = json.loads(check.stdout)
    return accepted


def _of_this_run(broker: str, folder: RunFolder) -> str:
    """The broker's URL; on a server, with a queue for this run alone, whose messages can be counted."""
    if not re.match(r"\w+://", broker) or "?" in broker:
        return broker
    return f"{broker}?queue={re.sub(r'[^A-Za-z0-9_-]', '-', folder.path.name)[-64:]}"


def _place(broker: str) -> dict[str, object]:
    """The sender's parameters that locate the broker."""
    scheme, _, path = broker.partition(":")
    return {"database": path} if scheme == "sqlite" else {"url": broker}


def _option(name: str, value: bool | int | float | str) -> list[str]:
    option = name.replace("_", "-")
    if isinstance(value, bool):
        return [f"--{option}" if value else f"--no-{option}"]
    return [f"--{option}={value}"]
