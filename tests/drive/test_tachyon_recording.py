"""A recording by the target's own Python, where its profiler is played by another module."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from harness.drive.profilers import tachyon
from harness.drive.profilers.tachyon_recording import TachyonRecording
from harness.record.event import ArtefactWritten, Event
from tests.support.recorded import of_kind
from tests.support.watched import run_folder

# It takes the options of `profiling.sampling`, and has no module that could read the recording back.
PROFILER = """
    import pathlib, sys
    command, *options = sys.argv[1:]
    out = pathlib.Path(options[options.index("--output") + 1])
    if command == "attach":
        assert options[-1].isdigit() and options[options.index("--sampling-rate") + 1] == "1000"
        out.write_text("a recording")
        print("Captured 7 samples")
    elif "--flamegraph" in options:
        out.write_text("a page")
    else:
        sys.exit("no heatmap today")
"""


def test_a_recording_leaves_what_its_profiler_makes_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And says what it could not make; the same interpreter is asked for all of it."""
    (tmp_path / "profiler.py").write_text(dedent(PROFILER))
    monkeypatch.setattr(tachyon, "LEAST", (3, 0))
    monkeypatch.setattr(tachyon, "MODULE", ("-I", "-S", str(tmp_path / "profiler.py")))
    folder, told = run_folder(tmp_path / "run"), list[Event]()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as target:
        TachyonRecording(target.pid, folder, told.append).finish()
        target.communicate()

    name = f"artefacts/tachyon-{target.pid}"
    made = {(each.path, each.note) for each in of_kind(told, ArtefactWritten)}
    (unread,) = [note for _, note in made if note.startswith("its samples could not be read: ")]
    assert made == {
        (f"{name}.bin", "1000 Hz; Captured 7 samples"),
        (f"{name}.html", "flame graph"),
        ("", "no heatmap of source lines: no heatmap today"),
        ("", unread),
    }
