"""`harness attach` to a process that lives elsewhere: in other namespaces, as containers are made of."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.support.commanded import wait
from tests.support.entered import Attached, Unprepared, attach, unprepared

# How a target gets a place of its own; in each, its temporary folder is its own as well.
OWN_TMP = 'mount -t tmpfs own /var/tmp && exec "$@"'
PLACES = {
    # As a container that shares the pid namespace of another one.
    "mount": ("unshare", "--mount", "--propagation", "private", "sh", "-c", OWN_TMP, "-"),
    # As one of Docker's, seen from the host.
    "mount and pid": (
        *("unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--mount-proc"),
        *("--kill-child", "sh", "-c", OWN_TMP, "-"),
    ),
    # As a rootless one.
    "user, mount and pid": (
        *("unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork", "--mount-proc"),
        *("--kill-child", "sh", "-c", OWN_TMP, "-"),
    ),
}
DOCKERS = "mount and pid"


def within(place: str) -> tuple[str, ...]:
    """The words before the program's; the test is skipped where there are no such namespaces."""
    words = PLACES[place]
    if not shutil.which("unshare") or subprocess.run([*words, "true"], capture_output=True).returncode:
        pytest.skip("no such namespace here")
    return words


def pid_of(program: Unprepared) -> int:
    """The program's own pid, as it is here: it may be a child of the process that was started."""
    children = Path(f"/proc/{program.pid}/task/{program.pid}/children").read_text().split()
    return int(children[0]) if children else program.pid


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
@pytest.mark.parametrize(
    "place",
    [pytest.param(place, marks=[] if place == DOCKERS else pytest.mark.long) for place in PLACES],
)
def test_it_goes_where_the_process_lives(tmp_path: Path, place: str) -> None:
    """The console answers from there, and both places are as before."""
    with unprepared(tmp_path, within=within(place), environ={"TMPDIR": "/var/tmp"}) as program:
        before = program.state()
        done = attach(pid_of(program), "-c", "status --json", cwd=tmp_path)

        assert done.returncode == 0, done.stderr
        assert program.becomes(before)
        own_pid = int(
            Path(f"/proc/{pid_of(program)}/status")
            .read_text()
            .partition("NSpid:")[2]
            .split("\n")[0]
            .split()[-1]
        )
        own = Path(f"/proc/{pid_of(program)}/root/var/tmp")
        left = [path.name for path in own.iterdir() if path.name.startswith("asyncio-harness-attach")]
    assert json.loads(done.stdout)["pid"] == own_pid
    assert left == []


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_a_record_is_fetched_from_there(tmp_path: Path) -> None:
    """With --for, the record is made in the process's own file system, and the report here."""
    place = within(DOCKERS)
    with unprepared(tmp_path, within=place, environ={"TMPDIR": "/var/tmp"}) as program:
        pid = pid_of(program)
        done = attach_while_holding(program, pid, tmp_path)

    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert done.returncode == 0, done.stderr
    assert "hold" in {block["function"] for block in report["blocks"]}
    assert report["run"]["outcome"] == "observed"


def attach_while_holding(program: Unprepared, pid: int, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """Record the program until it has blocked its loop once."""
    attached = Attached(pid, "--for", "10m", "--out", str(tmp_path / "run"), cwd=tmp_path)
    wait(lambda: list(Path(f"/proc/{pid}/root/var/tmp").glob("*/run/loops/*.page")), within_s=60)
    program.do("hold(0.3); print('held', flush=True)")
    assert program.process.stdout.readline() == "held\n"
    attached.process.send_signal(signal.SIGINT)
    out, errors = attached.process.communicate(timeout=90)
    return subprocess.CompletedProcess([], attached.process.returncode, out, errors)
