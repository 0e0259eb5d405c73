"""Runs an interpreter of the target's own kind, where the target lives."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from ...errors import TargetError
from . import modules
from .subject import Subject, disabled, not_permitted, without

HERE = Path(__file__).parent
# Compiling all modules takes a second or two, and ten times that where there is no processor to spare.
WITHIN_S = 60.0
_CANNOT_GO = 77


def modules_for(subject: Subject) -> bytes:
    """The probe's modules for the subject's Python, from the files kept for it or compiled now.

    Raises:
        TargetError: Its interpreter does not run here.
    """
    texts = modules.sources()
    path = modules.kept(subject.version, modules.digest(texts))
    if path.is_file():
        return path.read_bytes()
    _, data = _ask(subject, {"sources": texts})
    modules.keep(path, data)
    return data


def ask_for_entry(subject: Subject, script: str, *, with_wakeup: bool) -> int | None:
    """Ask that the subject's main thread executes the file *script* at its next safe point.

    Returns:
        Where in its interpreter's state the descriptor lies that signals write to, if that is asked for and
        known.

    Raises:
        UsageError: Its Python does not let itself be entered.
        TargetError: This user, or this container, may not do that.
    """
    request = {"pid": subject.inner_pid, "script": script, "wakeup": with_wakeup}
    about, _ = _ask(subject, request)
    if "error" not in about:
        return about.get("wakeup")
    kind, text = about["error"]
    if tuple(about["version"]) != subject.version or about["by"] != "cpython":
        raise without(subject.pid, f"its interpreter is {about['by']} {about['python']}")
    if kind == "PermissionError":
        raise not_permitted(subject.pid)
    if "not enabled" in text or "disabled" in text:
        raise disabled(subject.pid, text.rstrip("."))
    if kind == "ProcessLookupError":
        raise TargetError(f"process {subject.pid} has ended")
    raise TargetError(f"{subject.pid}: it cannot be entered: {kind}: {text}")


def _ask(subject: Subject, request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    command = [subject.python, "-I", "-S", "-c", (HERE / "helper.py").read_text()]
    if subject.moved:
        flags = ["1" if name in _to_enter(subject) else "0" for name in ("user", "mnt", "pid", "root")]
        text = (HERE / "launcher.py").read_text()
        command = [sys.executable, "-I", "-S", "-c", text, str(subject.pid), *flags, *command]
    try:
        done = subprocess.run(
            command, input=json.dumps(request).encode(), capture_output=True, timeout=WITHIN_S
        )
    except OSError as exc:
        raise TargetError(f"{subject.pid}: its interpreter {subject.python}: {exc.strerror}") from exc
    except subprocess.TimeoutExpired:
        raise TargetError(f"{subject.python} did not answer within {WITHIN_S:g} s") from None
    errors = done.stderr.decode(errors="replace").strip()
    if done.returncode == _CANNOT_GO:
        lost = TargetError(f"{subject.pid}: {errors}")
        lost.add_note("It lives in another container: run the harness there, or as root of the machine.")
        raise lost
    line, _, data = done.stdout.partition(b"\n")
    try:
        about: dict[str, Any] = json.loads(line)
    except ValueError:
        said = errors.splitlines()[-1] if errors else f"exit status {done.returncode}"
        raise TargetError(f"{subject.pid}: its interpreter {subject.python} does not run: {said}") from None
    return about, data


def _to_enter(subject: Subject) -> tuple[str, ...]:
    """What has to be entered: with the same processes in sight, another root is enough.

    In another user's user namespace, root would be nobody after `exec`; outside, it may do all there as well.
    """
    needed = subject.moved if "pid" in subject.moved else ("user", "root")
    inside = set(subject.moved) | {"root"}
    return tuple(name for name in needed if name in inside and not (name == "user" and os.geteuid() == 0))
