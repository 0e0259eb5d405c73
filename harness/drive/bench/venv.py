"""The virtual environment of a revision: what its project and lock files ask for, installed once and kept.

It has the packages that the revision needs. The revision's own code comes from its checkout, which stands
before them on the path, so two revisions with the same files of dependencies share one environment.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ...errors import OutputError, TargetError
from ..process.guard import Guard, kill_group
from .checkout import Checkout

# What says which packages there are.
FILES = (
    *("pyproject.toml", "setup.py", "setup.cfg", "Pipfile.lock", "poetry.lock", "uv.lock", "pdm.lock"),
    *("pylock.toml", "requirements.txt"),
)
# Of these, what makes the folder itself installable.
PROJECTS = ("pyproject.toml", "setup.py")
REQUIREMENTS = "requirements.txt"
INSTALL_WITHIN_S = 1800.0
LINES = 6
_DONE = "complete"
# What pip says of a full disk, and of a full quota.
FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True, slots=True)
class Venv:
    """An environment, and the variables that make programs use it."""

    path: Path | None  # null: the present one

    @property
    def python(self) -> str:
        """Its interpreter."""
        return sys.executable if self.path is None else str(self.path / "bin" / "python")

    def variables(self, checkout: Path, own: Mapping[str, str]) -> dict[str, str]:
        """*own* with this environment's programs and the checkout's code first."""
        code = [str(path) for path in (checkout / "src", checkout) if path.is_dir()]
        env = {**own, "PYTHONPATH": os.pathsep.join([*code, *filter(None, [own.get("PYTHONPATH")])])}
        if self.path is None:
            return env
        env |= {
            "VIRTUAL_ENV": str(self.path),
            "PATH": f"{self.path / 'bin'}{os.pathsep}{own.get('PATH', '')}",
        }
        env.pop("PYTHONHOME", None)
        return env


PRESENT = Venv(None)


def cache_folder() -> Path:
    """Where environments are kept."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "harness" / "environments"


def venv_of(checkout: Checkout, install: Sequence[str], tell: Callable[[str], None]) -> Venv:
    """The environment of a revision, made if there is none yet.

    Args:
        checkout: Its project and lock files are the key.
        install: Arguments for `pip install`, run in the checkout; by default what the files call for.
        tell: Called with a line before something that takes long.

    Raises:
        TargetError: The revision cannot be installed.
        OutputError: The disk is full.
    """
    asked = tuple(install) or _default(checkout.path)
    if not asked:
        return PRESENT
    path = cache_folder() / _key(checkout.path, asked)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _locked(path.with_suffix(".lock")):
        if not (path / _DONE).exists():
            tell(f"installing {checkout.revision} ({checkout.commit[:12]}) into {path}")
            _make(path, checkout, asked)
    return Venv(path)


def _default(path: Path) -> tuple[str, ...]:
    asked: tuple[str, ...] = ()
    if (path / REQUIREMENTS).is_file():
        asked += ("-r", REQUIREMENTS)
    if any((path / name).is_file() for name in PROJECTS):
        asked += (".",)
    return asked


def _key(path: Path, install: Sequence[str]) -> str:
    digest = hashlib.sha256("\0".join((sys.executable, sys.version, *install)).encode())
    for name in FILES:
        if (path / name).is_file():
            digest.update(name.encode() + b"\0" + (path / name).read_bytes())
    return digest.hexdigest()[:24]


def _make(path: Path, checkout: Checkout, install: Sequence[str]) -> None:
    shutil.rmtree(path, ignore_errors=True)  # what an earlier one left half done
    try:
        _run([sys.executable, "-m", "venv", str(path)], checkout)
        pip = [str(path / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
        _run([*pip, *install], checkout)
        (path / _DONE).touch()
    except BaseException:
        shutil.rmtree(path, ignore_errors=True)
        raise


def _run(command: Sequence[str], checkout: Checkout) -> None:
    with Guard() as guard:
        # A group of its own: what builds the project is a child of pip's, which would go on without it.
        process = subprocess.Popen(
            command,
            cwd=checkout.path,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            process_group=0,
        )
        guard.over(process.pid, whole_group=True)
        try:
            stdout, stderr = process.communicate(timeout=INSTALL_WITHIN_S)
        except subprocess.TimeoutExpired:
            raise TargetError(f"{checkout.revision}: not installed within {INSTALL_WITHIN_S:.0f} s") from None
        finally:
            kill_group(process.pid)
            process.wait()
    if process.returncode:
        told = stderr or stdout
        # No fault of the revision, which a search would pass over.
        kind = OutputError if any(os.strerror(number) in told for number in FULL) else TargetError
        exc = kind(f"{checkout.revision} ({checkout.commit[:12]}): cannot be installed")
        for line in told.strip().splitlines()[-LINES:]:
            exc.add_note(line)
        raise exc


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Two comparisons at a time must not make the same environment."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
