"""Prepares a Python environment, so that the probe also enters programs that ignore PYTHONPATH."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from ..errors import UsageError
from ..record.process import invitation

# In site-packages; `site` runs the line that begins with "import" when a Python of the environment starts.
FILE = "harness-probe.pth"
_OLDEST = (3, 11)
_ENTRY = Path(__file__).resolve().parent.parent / "probe" / "pth_entry.py"
_LINE = (
    "import os; _f = {entry!r}; "
    "('HARNESS_PROBE' in os.environ or os.path.isdir({folder})) and os.path.isfile(_f) and "
    "exec((lambda h: (h.read(), h.close()))(open(_f, 'rb'))[0], "
    "{{'__name__': '_harness_pth', '__file__': _f}})"
)
_ASK = "import json, sys, sysconfig; print(json.dumps([sysconfig.get_path('purelib'), sys.version_info[:2]]))"


def enable(environment: Path) -> Path:
    """Put the harness's line into the environment's ``site-packages``; the file that was written.

    Raises:
        UsageError: *environment* has no Python, one that is too old, or cannot be written.
    """
    packages, version = _ask(environment)
    if version < _OLDEST:
        raise UsageError(
            f"{environment}: Python {'.'.join(map(str, version))}, but the probe needs 3.11 or later"
        )
    path = packages / FILE
    # The folder of the invitations by an expression: the user may be another one then.
    pattern = invitation.folder().rpartition("-")[0]
    line = _LINE.format(entry=str(_ENTRY), folder=f"'{pattern}-%d' % os.getuid()")
    text = (
        f"# By `harness enable`; `harness disable {environment}` removes it. It acts only while a run asks.\n"
    )
    try:
        path.write_text(f"{text}{line}\n")
    except OSError as exc:
        raise UsageError(f"{path}: cannot be written: {exc.strerror}") from None
    return path


def disable(environment: Path) -> Path | None:
    """Remove the harness's line; the file that was removed, or `None` if there was none.

    Raises:
        UsageError: *environment* has no Python, or cannot be written.
    """
    packages, _ = _ask(environment)
    path = packages / FILE
    try:
        path.unlink()
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise UsageError(f"{path}: cannot be removed: {exc.strerror}") from None
    return path


def _ask(environment: Path) -> tuple[Path, tuple[int, ...]]:
    """The environment's ``site-packages``, and its version of Python."""
    python = environment if environment.is_file() else environment / "bin" / "python"
    try:
        asked = subprocess.run([python, "-I", "-c", _ASK], capture_output=True, text=True, timeout=60)
        packages, version = json.loads(asked.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        exc = UsageError(f"{environment}: no Python environment")
        exc.add_note("Expected the folder of a virtual environment, or the path of a Python.")
        raise exc from None
    return Path(packages), tuple(version)
