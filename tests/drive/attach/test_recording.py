"""`harness attach PID --for TIME`: records a running program as `watch` does, and leaves it as it was."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.commanded import wait
from tests.support.entered import PROGRAM, Attached, remnants, unprepared


def test_it_writes_the_same_report(tmp_path: Path) -> None:
    """The block is in the report with its line, the outcome is observed, and the program goes on."""
    out = tmp_path / "run"
    with unprepared(tmp_path) as program:
        before = program.state()
        attached = Attached(program.pid, "--for", "3s", "--out", str(out), cwd=tmp_path)
        wait(lambda: list(out.glob("loops/*.page")), within_s=60)
        program.do("hold(0.3)")
        _, errors = attached.process.communicate(timeout=60)

        assert program.becomes(before)
        assert attached.process.returncode == 0, errors
    report = json.loads((out / "report.json").read_text())
    # A busy machine makes others.
    (block,) = [one for one in report["blocks"] if one["function"] == "hold"]
    assert (report["run"]["outcome"], report["run"]["scenario"]) == ("observed", "attach")
    assert block["line"] == program.line_of("holds")
    (process,) = [one for one in report["processes"] if one["pid"] == program.pid]
    assert (process["watched"], process["entered_by"]) == (True, "attach")
    assert [finding for finding in report["findings"] if finding["rule"] == "processes"] == []
    assert f"recording process {program.pid} for 3 s" in errors
    assert (out / "report.html").exists()
    assert remnants(tmp_path) == []


WORKERS = PROGRAM.replace(
    "    async def main():",
    """    import subprocess
    if sys.argv[1:] == ["worker"]:
        asyncio.run(asyncio.sleep(60))
    workers = [subprocess.Popen([sys.executable, __file__, "worker"], stdin=subprocess.DEVNULL)]
    workers += [subprocess.Popen([sys.executable, "-X", "disable-remote-debug", "-c", "input()"],
                                 stdin=subprocess.PIPE)]

    async def main():""",
)


def test_workers_are_entered_or_the_reason_is_told(tmp_path: Path) -> None:
    """With --workers each Python child process is watched, and one that cannot be entered says why."""
    out = tmp_path / "run"
    with unprepared(tmp_path, program=WORKERS) as program:
        attached = Attached(program.pid, "--for", "2s", "--workers", "--out", str(out), cwd=tmp_path)
        _, errors = attached.process.communicate(timeout=90)
        program.do("[worker.kill() for worker in workers]; print('killed', flush=True)")
        program.process.stdout.readline()

    report = json.loads((out / "report.json").read_text())
    found = {
        tuple(one["command"][1:])[-1]: one for one in report["processes"] if one["parent"] == program.pid
    }
    assert found["worker"]["watched"], errors
    assert "does not let itself be entered" in found["input()"]["why_not"]
    assert "is not recorded: " in errors
    (finding,) = [one for one in report["findings"] if one["rule"] == "processes"]
    assert "1 of 3 processes was not watched" in finding["message"]
