"""Parts of the probe that are imported when they are needed: when that is, and what must not go wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from harness.probe.hooks.process import late_import
from harness.record.event import GaugesRead, ProbeFailed
from tests.support.watched import watched

# So that they are compiled; without that they are imported early.
COMPILES = {"PYTHONDONTWRITEBYTECODE": ""}
LIVES = """
    import asyncio, json, os, sys
    async def main():
        {first}
        await asyncio.sleep({lives_s})
        found = [name for name in {names!r} if "_harness_inside.probe." + name in sys.modules]
        print(json.dumps(found))
    asyncio.run(main())
"""
# "overhead" is needed at the end, and the census imports its looks itself, at once.
NAMES = tuple(name for name in late_import.MODULES if name.partition(".")[0] not in {"overhead", "tasks"})


def lives(lives_s: float, first: str = "pass") -> str:
    """A program that does *first*, lives for that time, and prints which of the modules it has."""
    return LIVES.format(lives_s=lives_s, first=first, names=NAMES)


@pytest.fixture(autouse=True, scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A process that lives for long has imported everything, and so compiled it."""
    assert watched(lives(1.5), tmp_path_factory.mktemp("compiling"), env=COMPILES).said == list(NAMES)


def test_a_short_program_does_without_them(tmp_path: Path) -> None:
    """Nothing could have stood still in it; a longer one has all of them, whatever it does later."""
    ended = watched(lives(0), tmp_path)

    assert ended.said == []
    assert len(ended.of(GaugesRead)) == 1
    assert ended.of(ProbeFailed) == []


def test_without_compiled_files_they_are_imported_first(tmp_path: Path) -> None:
    """To compile them beside a loop that runs would hold it up."""
    ended = watched(lives(0), tmp_path, env={"PYTHONPYCACHEPREFIX": str(tmp_path / "none")})

    assert ended.said == list(NAMES)


def test_a_part_that_cannot_be_imported_is_named(tmp_path: Path) -> None:
    """The program runs on, and the other parts look."""
    gone = "sys.modules['_harness_inside.probe.gauges'].__path__ = []"
    ended = watched(lives(1.5, gone), tmp_path)

    assert (ended.status, ended.stderr) == (0, "")
    assert "threads.backlog" in ended.said
    assert "gauges.wakeups" not in ended.said
    failed = {event.where: event.error for event in ended.of(ProbeFailed)}
    assert failed.keys() == {"wakeups", "children", "gauges", "late parts", "collections"}
    assert all("ModuleNotFoundError" in error for error in failed.values())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may change the root")
def test_a_new_root_does_not_hide_them(tmp_path: Path) -> None:
    """They are imported before the program changes it."""
    new = tmp_path / "new root"
    (new / "proc").mkdir(parents=True)
    ended = watched(lives(1.5, f"os.chroot({str(new)!r})"), tmp_path)

    assert (ended.status, ended.said) == (0, list(NAMES))
    # Its files of the kernel are out of reach, of which the parts make the best.
    assert [event for event in ended.of(ProbeFailed) if "ImportError" in event.error] == []


SLOW = """
import time
began.set()
time.sleep({lasts_s})
"""
FORKS = """
    import builtins, os, signal, sys, threading
    from contextlib import nullcontext
    from harness.probe.hooks.process.late_import import LateImportError, importing

    guarded = importing if {guarded} else nullcontext
    builtins.began = threading.Event()
    def importer():
        with guarded():
            import slow
    thread = threading.Thread(target=importer)
    thread.start()
    began.wait()
    if (pid := os.fork()) == 0:
        signal.alarm(3)
        try:
            with guarded():
                import slow
        except LateImportError as exc:
            os._exit(7)
        os._exit(0)
    thread.join()
    _, status = os.waitpid(pid, 0)
    with guarded():
        import slow
    print(os.waitstatus_to_exitcode(status))
"""


@pytest.mark.parametrize(
    ("lasts_s", "guarded", "status"),
    [(0.2, True, 0), (1.5, True, 7), (0.2, False, -14)],
    ids=["the fork waits", "it does not wait for long", "any other import"],
)
def test_a_fork_in_the_middle_of_an_import(
    lasts_s: float, guarded: bool, status: int, tmp_path: Path
) -> None:
    """The child can import the same, or is told that it cannot; with an ordinary import it would hang."""
    (tmp_path / "slow.py").write_text(SLOW.format(lasts_s=lasts_s))
    program = dedent(FORKS.format(guarded=guarded))
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )

    assert (ended.stderr.count("Error"), ended.stdout) == (0, f"{status}\n")
