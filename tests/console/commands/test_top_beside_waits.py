"""`top` and the step log both replace functions of asyncio: neither distorts the other's figures."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.read import history, report
from harness.record import run
from tests.support.commanded import wait
from tests.support.consoled import consoled

PROGRAM = """
    import asyncio, sys, time
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider

    trace.set_tracer_provider(TracerProvider())
    span = trace.get_tracer("test").start_as_current_span

    async def request():
        with span("GET /cart"):
            await asyncio.sleep(0.06)
            time.sleep(0.04)

    async def serve():
        while True:
            await request()
            await asyncio.sleep(0.01)

    async def main():
        loop = asyncio.get_running_loop()
        serving = asyncio.create_task(serve(), name="serving")
        print("ready", flush=True)
        await loop.run_in_executor(None, sys.stdin.readline)
        serving.cancel()

    asyncio.run(main())
"""


def test_both_count_the_same_steps(tmp_path: Path) -> None:
    """With `top` in use while spans are decomposed, the times of both are right."""
    with consoled(tmp_path, program=PROGRAM, waits=1.0) as console:

        def busy_share() -> float:
            rows = {row["task"]: row for row in console.ask("top --json --limit 0")["rows"]}
            ratio: float = rows.get("serving", {}).get("busy_ratio", 0)
            return ratio

        seen = wait(busy_share)
        console.process.stdin.close()
        console.process.wait(timeout=20)
        run.create(console.folder.path, run.Run("r", "watch", "", 0, 0, "", "", (), 50_000_000))

    told = report.build(history.load(console.folder))
    (row,) = [row for row in told.spans.by_name if row.name == "GET /cart"]
    assert 0.1 < seen < 0.8  # some 40 of 110 ms
    assert row.decomposed > 1
    assert row.run_ms == pytest.approx(40, abs=20)
    assert row.timer_ms == pytest.approx(60, abs=20)
