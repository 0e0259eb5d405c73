"""Asking a console adds no finding: its own work is nobody's block, loss or leak."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.read import history, report
from harness.record import run
from harness.record.event import WriterOpened
from tests.support.consoled import consoled

SERVICE = """
    import asyncio, gc, sys

    gc.disable()
    heap = [[[n]] for n in range(400_000)]

    async def wait_for_ever():
        await asyncio.sleep(3600)

    async def tick():
        while True:
            await asyncio.sleep(0.005)

    async def main():
        loop = asyncio.get_running_loop()
        tasks = [asyncio.create_task(wait_for_ever(), name=f"waiting-{n}") for n in range(300)]
        tasks.append(asyncio.create_task(tick(), name="tick"))
        await asyncio.sleep(0.1)
        print("ready", flush=True)
        await loop.run_in_executor(None, sys.stdin.readline)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    RUN
"""
QUESTIONS = (
    *("status", "ps", "ps --sort age", "where 1", "tree", "task 1", "blocks", "lints", "executors", "locks"),
    *("queues", "spans", "gc", "log", "faults", "signal", "help", "record", "profile for 1", "top"),
)


@pytest.mark.parametrize("loop", ["asyncio", pytest.param("uvloop", marks=pytest.mark.long)])
def test_asking_adds_no_finding(loop: str, tmp_path: Path) -> None:
    """Whatever is asked; a collection that is asked for is told as the console's, without a warning."""
    with consoled(tmp_path, program=SERVICE, loop=loop, allow=("chaos", "slow")) as service:
        for question in QUESTIONS:
            answer = service.request(question)
            assert answer["ok"], (question, answer)
        # Under uvloop, a block during which no other thread got the GIL may go unseen on a busy machine.
        asked = [service.request("gc collect") for _ in range(3)]
        service.process.stdin.close()
        service.process.wait(20)
    assert all(answer["ok"] for answer in asked), asked

    started_ns = min(opened.at_ns for opened in service.events(WriterOpened))
    manifest = run.Run("r", "watch", "", started_ns, 0, "", "", (), 50_000_000)
    document = report.build(history.load(run.create(service.folder.path, manifest)))
    # A full machine delays any program, for a cause of its own.
    of_console = {block.cause for block in document.blocks if block.function == "<harness>"}
    assert of_console, [(block.function, block.cause) for block in document.blocks]
    assert of_console <= {"gc", "descheduled", "unknown"}
    told = [(f.level, f.rule) for f in document.findings if f.rule in ("blocks", "tasks")]
    assert {rule for level, rule in told if level != "note"} <= {"blocks"}
    warnings = [f.message for f in document.findings if f.level == "warning" and f.rule == "blocks"]
    assert not [message for message in warnings if "<harness>" in message]
