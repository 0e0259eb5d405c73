"""The folder through which a process is entered: in its own file system, for its user alone.

It holds the script, the probe's modules, its configuration, and the socket to which the probe connects. The
process sees it by one path, this one by another where the two have different roots.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
from contextlib import suppress
from pathlib import Path

from ...errors import TargetError
from .subject import Subject

_NAME = "asyncio-harness-attach"
_PLACES = ("/tmp", "/dev/shm", "/var/tmp", "/run")  # noqa: S108  # each is made with a name that nobody knows
# Linux limits the path of a socket to 108 bytes.
_SUN_PATH = 107
# What a script that is no longer wanted does, should the process still execute it.
_LEAVES = "import os\ntry:\n    os.unlink({path!r})\n    os.rmdir({folder!r})\nexcept OSError:\n    pass\n"


class ControlFolder:
    """The folder, until `remove`.

    Raises:
        TargetError: There is no place for it that the process can read.
    """

    def __init__(self, subject: Subject) -> None:
        name = f"{_NAME}-{subject.inner_pid}-{secrets.token_hex(6)}"
        own = subject.environ.get("TMPDIR", "")
        why = "no temporary folder"
        for place in dict.fromkeys((own, *_PLACES)):
            self.inside = f"{place}/{name}"
            self.path = Path(f"{subject.root}{self.inside}")
            if not place.startswith("/") or len(f"{self.path}/attach.sock") > _SUN_PATH:
                continue
            try:
                self.path.mkdir(mode=0o700)
                self._give(self.path, subject)
            except OSError as exc:
                why = f"{place}: {exc.strerror}"
                continue
            break
        else:
            raise TargetError(f"{subject.pid}: there is no place for the script that enters it: {why}")
        self._subject = subject
        # The path through /proc ends with the process, the folder does not.
        self._fd = os.open(self.path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    @property
    def lasting(self) -> Path:
        """A path of this process that works even when the other has ended."""
        return Path(f"/proc/{os.getpid()}/fd/{self._fd}") if self._subject.root else self.path

    @property
    def script(self) -> str:
        """The path of the script, as the process sees it."""
        return f"{self.inside}/enter.py"

    def put(self, name: str, data: bytes) -> None:
        """Write a file for the process."""
        path = self.path / name
        try:
            path.write_bytes(data)
            self._give(path, self._subject)
        except OSError as exc:
            raise TargetError(f"{path}: cannot be written: {exc.strerror}") from exc

    def make(self, name: str) -> Path:
        """Make a folder in which the process can write."""
        path = self.lasting / name
        path.mkdir(mode=0o700)
        self._give(path, self._subject)
        return path

    def listen(self) -> socket.socket:
        """The socket to which the probe connects."""
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        path = self.path / "attach.sock"
        listening.bind(str(path))
        self._give(path, self._subject)
        listening.listen(4)
        return listening

    def is_taken(self) -> bool:
        """Whether the script has run, or never will now: then this is the first to take it."""
        try:
            os.close(os.open(self.lasting / "taken", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except FileExistsError:
            return True
        except OSError:
            return False
        return False

    def remove(self, *, may_run: bool = False) -> None:
        """Remove it; where the script *may_run* yet, only that one stays, and removes itself then."""
        for path in self.lasting.iterdir() if self.lasting.is_dir() else ():
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            elif not (may_run and path.name == "enter.py"):
                path.unlink(missing_ok=True)
        with suppress(OSError):
            if may_run:
                text = _LEAVES.format(path=self.script, folder=self.inside)
                (self.lasting / "enter.py").write_text(text)
            else:
                os.rmdir(self.path)  # noqa: PTH106  # the path through the descriptor cannot be removed
        os.close(self._fd)

    def _give(self, path: Path, subject: Subject) -> None:
        if os.geteuid() != subject.uid or os.getegid() != subject.gid:
            with suppress(PermissionError):
                os.chown(path, subject.uid, subject.gid)
