"""The standard library's own sampling profiler (Python 3.15, PEP 799) reads a target's stacks from outside.

Profiler and target must be of the same minor version and build, so it runs in the target's own interpreter.
Only its command line is used; what stands under it is private to Python.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from ...record.event import Coroutine, Frame, TasksAtPlace, ThreadDump
from ..process import examination
from . import tachyon_dumper
from .permission import PTRACE
from .tachyon_standby import TachyonStandby

NAME = tachyon_dumper.NAME
LEAST = (3, 15)
MODULE = ("-I", "-S", "-m", NAME)  # neither the target's environment nor its site-packages
DUMP_WITHIN_S = 8.0
# It shortens the paths of files below its working directory.
ELSEWHERE = "/proc"

_SECTION = re.compile(r"Stack dump(?: for PID \d+)?, thread (\d+) \((.*); most recent call last\):")
_FRAME = re.compile(r'  File "(.*?)"(?:, line (\d+))?, in (.*)')
_TASK = "<task>"


def interpreter(pid: int) -> str:
    """The interpreter of process *pid*, if it can look into that process.

    Raises:
        LookupError: It has none that can; the message says why.
    """
    version = examination.version_of(pid)
    if version is None:
        raise LookupError(f"process {pid} is no Python, or has ended")
    if version < LEAST:
        raise LookupError(
            f"process {pid} runs Python {version[0]}.{version[1]}, and {NAME} needs {LEAST[0]}.{LEAST[1]}"
        )
    link = f"/proc/{pid}/exe"
    try:
        path = os.readlink(link)  # noqa: PTH115  # of a process in another root it names no file here
        is_same = Path(path).samefile(link)
    except OSError as exc:
        raise LookupError(f"the interpreter of process {pid} cannot be started here: {exc.strerror}") from exc
    if not is_same or not examination.is_python(path):
        raise LookupError(f"the interpreter of process {pid} cannot be started: {path}")
    return path


def standby(interpreter: str) -> TachyonStandby:
    """A sampler that is ready to look at the processes of that interpreter.

    Raises:
        OSError: It cannot be started.
    """
    return TachyonStandby(interpreter, environment=environment(), cwd=ELSEWHERE)


def dump(pid: int, by: TachyonStandby | None = None) -> tuple[ThreadDump, ...]:
    """The threads of process *pid* at this moment; empty when they could not be read.

    A sampler that stands by looks sooner.

    Raises:
        OSError: The one that stands by does not answer any more.
        LookupError: As `interpreter` does.
        PermissionError: This user may not read the process.
    """
    names = thread_names(pid)
    return tuple(
        ThreadDump(
            name=names.get(thread, ""),
            native_id=thread,
            has_gil="has GIL" in status,
            active="on CPU" in status,
            stack=tuple(frames),
        )
        for thread, status, frames in _sections(_dumped(pid, "-a", by=by))
    )


def tasks(pid: int) -> tuple[TasksAtPlace, ...]:
    """All pending tasks of process *pid*, the largest groups first; empty when they could not be read.

    Raises:
        LookupError: As `interpreter` does.
        PermissionError: This user may not read the process.
    """
    stacks: dict[str, tuple[Frame, ...]] = {}
    for _, _, frames in _sections(_dumped(pid, "--async-aware", "--async-mode", "all")):
        # A task that awaits others stands in the stack of each of them.
        starts = [n for n, frame in enumerate(frames) if frame.file == _TASK]
        for start, end in zip(starts, [*starts[1:], len(frames)], strict=True):
            stacks.setdefault(frames[start].function, tuple(frames[start + 1 : end]))
    names: dict[tuple[Frame, ...], list[str]] = {}
    for name, stack in stacks.items():
        names.setdefault(stack, []).append(name)
    found = (TasksAtPlace(_coroutine(stack), tuple(sorted(of)), len(of)) for stack, of in names.items())
    return tuple(sorted(found, key=lambda group: -group.count))


def thread_names(pid: int) -> dict[int, str]:
    """The names of the threads of process *pid* by native id, as Python has told them to the kernel."""
    found = {pid: "MainThread"}
    for path in Path(f"/proc/{pid}/task").glob("*/comm"):
        thread = int(path.parent.name)
        if thread != pid:
            try:
                found[thread] = path.read_text(errors="replace").strip()
            except OSError:
                continue  # it ended
    return found


def why(errors: str) -> str:
    """The reason of a failure, by what it printed."""
    if "unable to access process memory" in errors:
        return PTRACE
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    return lines[-1] if lines else "no reason given"


def environment() -> dict[str, str]:
    """The environment in which it runs: without colours, in English."""
    kept = {name: value for name in ("PATH", "LD_LIBRARY_PATH") if (value := os.environ.get(name))}
    return {**kept, "NO_COLOR": "1", "TERM": "dumb", "LC_ALL": "C.UTF-8"}


def _dumped(pid: int, *options: str, by: TachyonStandby | None = None) -> str:
    arguments = ["dump", *options, str(pid)]
    if by is not None:
        return _judged(*by.run(arguments, within_s=DUMP_WITHIN_S))
    command = [interpreter(pid), *MODULE, *arguments]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=DUMP_WITHIN_S,
            cwd=ELSEWHERE,
            env=environment(),
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return _judged(done.returncode, done.stdout, done.stderr)


def _judged(status: int, printed: str, errors: str) -> str:
    if status and (reason := why(errors)) == PTRACE:
        raise PermissionError(reason)
    return printed  # nothing if the process ended, or its stacks changed while they were read


def _sections(text: str) -> Iterator[tuple[int, str, list[Frame]]]:
    """Each stack in a dump: its thread, its status, and its frames, outermost first."""
    section: tuple[int, str, list[Frame]] | None = None
    for line in text.splitlines():
        if head := _SECTION.fullmatch(line):
            if section is not None:
                yield section
            section = int(head[1]), head[2], []
        elif section is not None and (frame := _FRAME.fullmatch(line)):
            section[2].append(Frame(frame[1], int(frame[2] or 0), frame[3]))
    if section is not None:
        yield section


def _coroutine(stack: tuple[Frame, ...]) -> Coroutine:
    outer = stack[0] if stack else Frame("", 0, "")
    return Coroutine(outer.function, outer.file, outer.line, stack)
