"""Coverage, tracers and `tracemalloc` of a program show the program's files, and none of the probe's."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import harness
from harness.record.event import Blocked
from tests.support.pythons import needs_python
from tests.support.watched import watched

HARNESS = str(Path(harness.__file__).parent)

WORK = """
import asyncio, json, sys, threading, time

async def main():
    await asyncio.to_thread(time.sleep, 0.01)
    time.sleep(0.12)
    await asyncio.sleep(0.01)
"""
# As coverage does, a file is what a code or its module names; what begins with "<" is none.
TRACER = """
seen = set()

def note(code, space=None):
    for file in (code.co_filename, (space or {}).get("__file__") or ""):
        if not file.startswith("<"):
            seen.add(file)
"""
SETTRACE = """
def trace(frame, event, argument):
    note(frame.f_code, frame.f_globals)

threading.settrace(trace)
sys.settrace(trace)
asyncio.run(main())
sys.settrace(None)
print(json.dumps(sorted(seen)))
"""
MONITORING = """
events = sys.monitoring.events
sys.monitoring.use_tool_id(3, "test")
sys.monitoring.register_callback(3, events.PY_START, lambda code, offset: note(code))
sys.monitoring.set_events(3, events.PY_START)
asyncio.run(main())
sys.monitoring.set_events(3, 0)
print(json.dumps(sorted(seen)))
"""
SNAPSHOT = """
import tracemalloc
tracemalloc.start()
asyncio.run(main())
kept = [json.loads(json.dumps({"a": n})) for n in range(100)]
print(json.dumps(sorted({trace.traceback[0].filename for trace in tracemalloc.take_snapshot().traces})))
"""


@pytest.mark.parametrize(
    ("tool", "python"),
    [(SETTRACE, ""), (SETTRACE, "3.13"), (MONITORING, "3.13"), (MONITORING, "3.15"), (SNAPSHOT, "")],
    ids=["settrace", "settrace-3.13", "monitoring", "monitoring-3.15", "tracemalloc"],
)
def test_a_tool_of_the_program_sees_none_of_the_probes_files(tool: str, python: str, tmp_path: Path) -> None:
    """It sees the program's, and those of the standard library that the program uses."""
    program = f"{WORK}{TRACER}{tool}"
    with_what = needs_python(python) if python else sys.executable
    seen = watched(program, tmp_path, python=with_what, sample_hz=50, waits=1.0, calls=True)

    assert (seen.status, seen.stderr) == (0, "")
    assert str(tmp_path / "program.py") in seen.said
    assert [file for file in seen.said if file.startswith((HARNESS, "<harness>"))] == []
    assert [block for block in seen.of(Blocked) if block.ended]
