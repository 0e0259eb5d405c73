"""Each reason for which a process cannot be entered is one sentence, with what would help."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from harness.drive.attach.subject import Subject
from harness.errors import UsageError
from tests.support.commanded import COMMAND, WITHOUT_PTRACE, wait
from tests.support.entered import attach, needs_setpriv, unprepared
from tests.support.pythons import find_python


def refused(done: subprocess.CompletedProcess[str], status: int = 2) -> str:
    assert (done.returncode, done.stdout) == (status, ""), done
    return done.stderr


def refusal(pid: int) -> str:
    """What is said of a process that cannot be entered, before anything is started for it."""
    with pytest.raises(UsageError) as raised:
        Subject.of(pid)
    return "\n".join([str(raised.value), *raised.value.__notes__])


def test_no_such_process(tmp_path: Path) -> None:
    """The command ends with 2, and says it."""
    assert "no such process" in refused(attach(2**22 + 1, cwd=tmp_path))


def test_a_thread() -> None:
    """The id of a thread is told apart, with that of its process."""
    ended = threading.Event()
    thread = threading.Thread(target=ended.wait)
    thread.start()
    try:
        with pytest.raises(UsageError) as raised:
            Subject.of(thread.native_id or 0)
    finally:
        ended.set()
        thread.join()

    said = f"{thread.native_id}: a thread of process {os.getpid()}; name the process"
    assert str(raised.value) == said


def test_not_a_python() -> None:
    """A program that is no Python is named."""
    process = subprocess.Popen(["sleep", "60"])
    try:
        wait(lambda: Path(f"/proc/{process.pid}/comm").read_text() == "sleep\n")
        with pytest.raises(UsageError, match=f"^{process.pid}: not a Python process: it runs /"):
            Subject.of(process.pid)
    finally:
        process.kill()
        process.wait()


def test_an_earlier_python(tmp_path: Path) -> None:
    """Before 3.14 the answer names that version, and what works instead."""
    old = sys.executable if sys.version_info < (3, 14) else find_python("3.11")
    if old is None:
        pytest.skip("no Python 3.11 on this machine")
    with unprepared(tmp_path, python=old) as program:
        said = refusal(program.pid)

    assert f"{program.pid}: its Python is 3." in said
    assert "entering a running process needs 3.14" in said
    assert f"harness attach {program.pid} --sample 10" in said


@pytest.mark.parametrize("how", ["variable", "option"])
def test_one_that_does_not_let_itself_be_entered(tmp_path: Path, how: str) -> None:
    """Remote debugging that is switched off, by the variable or the option, is named as the reason."""
    options = ("-X", "disable-remote-debug") if how == "option" else ()
    environ = {"PYTHON_DISABLE_REMOTE_DEBUG": "1"} if how == "variable" else {}
    with unprepared(tmp_path, options=options, environ=environ) as program:
        said = refusal(program.pid)

    assert "its Python does not let itself be entered" in said
    assert ("PYTHON_DISABLE_REMOTE_DEBUG is set" if how == "variable" else "-X disable-remote-debug") in said


# Imports asyncio when it is told to, and runs no loop.
WITHOUT_LOOP = """
    import os, sys, time
    print("ready", flush=True)
    while not os.path.exists("import it"):
        time.sleep(0.01)
    import asyncio
    print("imported", flush=True)
    time.sleep(60)
"""


def test_no_loop(tmp_path: Path) -> None:
    """A program without a loop is left at once, and says whether it has asyncio at all."""
    with unprepared(tmp_path, program=WITHOUT_LOOP) as running:
        without_asyncio = refused(attach(running.pid, cwd=tmp_path))
        (tmp_path / "import it").touch()
        assert running.process.stdout.readline() == "imported\n"
        without_loop = refused(attach(running.pid, "--for", "1s", cwd=tmp_path))

    assert "it has not imported asyncio" in without_asyncio
    assert "no event loop runs in it" in without_loop


def test_another_users_process(tmp_path: Path) -> None:
    """The owner is named to a user who is neither that one nor root."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    text = (
        "import os, sys; from harness.drive.attach.subject import Subject\n"
        "os.seteuid(65534)\n"
        "try: Subject.of(int(sys.argv[1]))\nexcept Exception as exc: print(exc)"
    )
    command = [sys.executable, "-c", text, str(os.getpid())]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path.cwd())

    assert done.stdout == f"{os.getpid()}: the process of another user, root\n"


def test_without_the_right_to_look(tmp_path: Path) -> None:
    """Where the kernel does not permit it, the answer names ptrace and what to do."""
    needs_setpriv()
    # A process of this user that has more rights than the one that asks.
    with unprepared(tmp_path) as program:
        command = [*WITHOUT_PTRACE, *COMMAND, "attach", str(program.pid)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=60)

    said = refused(done, 4)
    assert f"{program.pid}: this user may not change the process's memory (ptrace" in said
    assert "SYS_PTRACE" in said


def test_a_process_that_is_watched_already(tmp_path: Path) -> None:
    """One with the probe in it, but without a console, is not entered twice."""
    with unprepared(tmp_path, within=(*COMMAND, "watch", "--out", str(tmp_path / "run"), "--")) as running:
        (pid,) = map(int, Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()[-1:])
        said = refused(attach(pid, cwd=tmp_path))
        running.do("raise SystemExit")

    assert "the probe is in it already" in said
