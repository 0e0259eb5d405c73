"""What every server of this folder answers, with the one line that blocks its loop."""

import os
import time
from pathlib import Path


def ready():
    """Tell the test that this process serves from now on."""
    Path(f"ready-{os.getpid()}").touch()


def ok():
    """The answer that costs nothing."""
    return {"pid": os.getpid()}


def block():
    """Hold the loop; the answer tells when, on the clock of the whole machine."""
    from_ns = time.monotonic_ns()
    time.sleep(0.18)
    return {"pid": os.getpid(), "from_ns": from_ns, "to_ns": time.monotonic_ns()}


ANSWERS = {"ok": ok, "block": block}
