"""Looking at the stacks of all threads leaves the program as it is."""

from __future__ import annotations

from pathlib import Path

from harness.record.event import Blocked
from tests.support.watched import watched

COLLECTED = """
    import asyncio, gc, json, threading, time

    class Node:
        pass

    def garbage():
        node = Node()
        node.itself, node.local = node, threading.local()
        node.local.value = 1

    def wait():
        time.sleep(3)

    async def main():
        for _ in range(60):
            threading.Thread(target=wait, daemon=True).start()
        gc.set_threshold(20, 1000, 1000)  # in the midst of nearly every look at 60 threads
        until = time.monotonic() + 1.5
        while time.monotonic() < until:  # one block, at which the probe looks again and again
            garbage()
            time.sleep(0.001)
        print(json.dumps({"collects": gc.isenabled(), "threshold": gc.get_threshold()[0]}), flush=True)

    asyncio.run(main())
"""


def test_a_collection_in_the_midst_of_a_look_is_no_deadlock(tmp_path: Path) -> None:
    """Python 3.11 holds a lock while it makes the frames, which a collected `threading.local` takes, too."""
    seen = watched(COLLECTED, tmp_path)

    assert seen.said == {"collects": True, "threshold": 20}
    [block] = [block for block in seen.of(Blocked) if block.ended]
    assert sum(sample.count for sample in block.samples) > 20
