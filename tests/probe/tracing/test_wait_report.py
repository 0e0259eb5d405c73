"""What a run with `--waits` shows."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from tests.support.commanded import COMMAND, Ended, harness

PROGRAM = """
    import asyncio, time
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider

    trace.set_tracer_provider(TracerProvider())
    span = trace.get_tracer("test").start_as_current_span

    async def hold():
        await asyncio.sleep(0.02)
        time.sleep(0.06)

    async def request():
        with span("GET /cart"):
            await asyncio.sleep(0.03)
            with span("load"):
                await asyncio.to_thread(time.sleep, 0.02)

    async def main():
        await asyncio.to_thread(int)  # to start a thread takes its time
        await asyncio.gather(request(), hold())

    asyncio.run(main())
"""


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    folder = tmp_path_factory.mktemp("watched")
    (folder / "shop.py").write_text(dedent(PROGRAM))
    return harness("watch", "--waits", "--block-ms", 50, "--", sys.executable, "shop.py", cwd=folder)


def test_the_report_tells_where_the_time_of_spans_went(ended: Ended) -> None:
    """`report.json` has the mean parts by name, a critical path, the parts of each span, and the blame."""
    report = ended.report
    by_name = {row["name"]: row for row in report["spans"]["by_name"]}
    request = by_name["GET /cart"]
    trace = report["traces"][0]

    assert ended.status == 0
    assert request["decomposed"] == 1
    assert request["ready_ms"] > 20
    assert request["wait_ms"] == pytest.approx(
        sum(request[part] for part in ("io_ms", "timer_ms", "queued_ms", "executor_ms", "task_ms")), abs=0.01
    )
    assert by_name["load"]["executor_ms"] > 10
    assert sum(part["took_ms"] for part in trace["path"]) == pytest.approx(trace["took_ms"], abs=0.5)
    assert [sum(part["took_ms"] for part in span["parts"]) for span in trace["spans"]] == [
        pytest.approx(span["took_ms"], abs=0.05) for span in trace["spans"]
    ]
    assert report["waits"]["share"] == 1
    assert report["waits"]["roots"] == ["GET /cart"]
    assert ("GET /cart", "hold") in [(row["span"], row["holder"]) for row in report["waits"]["blame"]]


def test_the_summaries_have_a_table_of_it(ended: Ended) -> None:
    """The terminal and the Markdown show where the time went, and that it was measured at a price."""
    shown = ended.stderr
    markdown = _rendered(ended, "md")

    assert "mean time by state" in shown
    assert "100 % of traces decomposed" in shown
    assert "| mean time by state | spans | run | ready | io | timer | queued | executor | task |" in markdown
    assert "`GET /cart` | 1 |" in markdown


def test_nothing_of_it_is_shown_unless_asked_for(tmp_path: Path) -> None:
    """Without `--waits` a report has no such figures, and says so by nulls."""
    (tmp_path / "shop.py").write_text(dedent(PROGRAM))
    ended = harness("watch", "--", sys.executable, "shop.py", cwd=tmp_path)
    by_name = {row["name"]: row for row in ended.report["spans"]["by_name"]}

    assert ended.report["waits"] is None
    assert by_name["GET /cart"]["run_ms"] is None
    assert ended.report["traces"][0]["path"] is None
    assert "mean time by state" not in ended.stderr


def _rendered(ended: Ended, name: str) -> str:
    done = subprocess.run(
        [*COMMAND, "report", str(ended.folder.path), "--format", name],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout
