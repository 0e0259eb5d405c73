"""Checks made before anything is started, so that a mistake leaves nothing to undo."""

from __future__ import annotations

import errno
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..errors import UsageError

HOST = "127.0.0.1"

# The package that each sender of the load driver needs; the extra has the name of the sender.
IMPORTED_WITHIN_S = 60.0
PACKAGES = {"http": "aiohttp", "nats": "nats", "redis": "redis"}


def check_program(name: str, *, cwd: Path, env: Mapping[str, str]) -> None:
    """Check that the program can be started.

    Raises:
        UsageError: It does not exist, or cannot be executed.
    """
    if not cwd.is_dir():
        raise UsageError(f"{cwd}: no such folder to run {name} in")
    file, is_path = cwd / name, os.sep in name
    if shutil.which(file if is_path else name, path=env.get("PATH")):
        return
    if not is_path:
        exc = UsageError(f"{name}: no such program on the PATH")
    elif file.exists():
        exc = UsageError(f"{name}: not an executable program")
    else:
        exc = UsageError(f"{name}: no such program")
    if file.suffix == ".py" and file.is_file():
        exc.add_note(f"Name the Python that runs it: python {name}")
    raise exc


def check_application(names: Iterable[str], *, cwd: Path) -> None:
    """Check the paths of the program's own code, as far as that is possible from outside.

    A name like ``shop.orders`` may be a package that only the program's own environment has.

    Raises:
        UsageError: There is nothing at a path.
    """
    for name in names:
        is_path = not all(part.isidentifier() for part in name.split(".")) or name.endswith(".py")
        if is_path and not (cwd / name).exists():
            raise UsageError(f"--application {name}: no such folder or file")


def check_port(port: int, *, of: str) -> None:
    """Check that no program listens on a loopback port; 0 is always free.

    Raises:
        UsageError: A program listens there, and the run would talk to it instead of its own target.
    """
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((HOST, port))
        except OSError as exc:
            if exc.errno == errno.EADDRINUSE:
                raise UsageError(f"{of}: port {port} is taken by another program") from None


def check_calls(parameters: Mapping[str, object], visits: Iterable[Mapping[str, Any]]) -> None:
    """Check that the functions of a load can be called by the driver; they are imported elsewhere for that.

    Raises:
        UsageError: One of them cannot be imported, or is no coroutine function.
    """
    calls = dict.fromkeys(step["call"] for visit in visits for step in visit["steps"])
    command = [
        sys.executable,
        "-P",
        "-m",
        "harness.drive.load.senders.python",
        str(parameters["cwd"]),
        *calls,
    ]
    try:
        looked = subprocess.run(command, capture_output=True, text=True, timeout=IMPORTED_WITHIN_S)
    except subprocess.TimeoutExpired:
        text = f"load.call: the import of {', '.join(calls)} did not end within {IMPORTED_WITHIN_S:g} s"
        raise UsageError(text) from None
    if looked.returncode:
        raise UsageError((looked.stderr.strip().splitlines() or [f"load.call: {looked.returncode}"])[-1])


def check_sender(sender: str) -> None:
    """Check for the package that the load driver, a separate process, imports only later.

    Raises:
        UsageError: It is not installed.
    """
    package = PACKAGES.get(sender)
    if package is not None and importlib.util.find_spec(package) is None:
        exc = UsageError(f'load.sender = "{sender}" needs the package {package}, which is not installed')
        exc.add_note(f"pip install 'asyncio-harness[{sender}]'")
        raise exc
