"""The probe in a process that runs already, without the way in."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

from harness.record.probe_config import ProbeConfig
from tests.support.watched import run_folder

PROGRAM = """
    import asyncio, json, os, socket, sys, threading, warnings
    from harness.probe.attachment import Attachment

    warnings.simplefilter("ignore", DeprecationWarning)  # of a fork beside threads
    left, forgotten = threading.Event(), []

    def state():
        return {
            "own": asyncio.events._set_running_loop is own,
            "closed": channel.fileno() < 0,
            "forgotten": forgotten == [os.getpid()],
        }

    def in_child():
        read, write = os.pipe()
        if not (child := os.fork()):
            os.write(write, json.dumps(state()).encode())
            os._exit(0)
        os.close(write)
        os.waitpid(child, 0)
        with open(read) as told:
            return json.load(told)

    async def main():
        global channel
        ours, channel = socket.socketpair()
        attachment = Attachment(
            sys.argv[1], channel, forget=lambda: forgotten.append(os.getpid()), end=left.set
        )
        attachment.begin(asyncio.get_running_loop())
        await asyncio.sleep(0.01)
        told = {"inside": state(), "child": in_child()}
        ours.close()
        await asyncio.to_thread(left.wait, 30)
        print(json.dumps(told | {"afterwards": state()["own"]}))

    own = asyncio.events._set_running_loop
    asyncio.run(main())
"""


def test_a_forked_child_of_a_process_that_was_entered_has_nothing_of_it(tmp_path: Path) -> None:
    """The probe's modules and channel are given up there; the parent keeps them until it is left."""
    order = ProbeConfig(folder=str(run_folder(tmp_path / "run").path), limit_ns=10**9).text()
    done = subprocess.run(
        [sys.executable, "-c", dedent(PROGRAM), order], capture_output=True, text=True, timeout=60
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == {
        "inside": {"own": False, "closed": False, "forgotten": False},
        "child": {"own": True, "closed": True, "forgotten": True},
        "afterwards": True,
    }
