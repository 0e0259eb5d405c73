"""Which processes of a run were watched, told from what the runner and the probe noted of them."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import pytest

from harness.read.processes.process import ProcessFigures
from harness.read.processes.reason import python_options
from harness.read.report import Report
from harness.record import event
from harness.record.process import mark
from tests.read.conftest import Record, Recording

PYTHON = "/srv/venv/bin/python3.12"


def found(made: Recording, pid: int, *command: str, at_s: float = 0.1, **more: object) -> event.ProcessFound:
    """A process as the runner first saw it."""
    fields = {
        "executable": command[0] if command else "",
        "uid": 1000,
        "forked": False,
        "since_ns": 0,
        **more,
    }
    return event.ProcessFound(made.at(at_s), pid, 1, command, made.at(at_s - 0.02), **fields)  # type: ignore[arg-type]


def examined(
    made: Recording,
    who: event.ProcessFound,
    *,
    mapped: Sequence[str] = (),
    order: str = "here",
    path: str = "first",
) -> event.ProcessExamined:
    """What the runner saw of it."""
    seen = who.at_ns + 10_000_000
    return event.ProcessExamined(
        seen, who.pid, who.began_ns, "3.12", False, order, path, (), tuple(mapped), shows_asyncio=True
    )


def gone(made: Recording, who: event.ProcessFound, at_s: float, status: int | None = 0) -> event.ProcessGone:
    return event.ProcessGone(made.at(at_s), who.pid, status, who.began_ns)


def rows(document: Report) -> dict[int, ProcessFigures]:
    return {row.pid: row for row in document.processes}


def messages(document: Report) -> list[tuple[str, bool]]:
    return [(f.message, f.invalid) for f in document.findings if f.rule == "processes"]


def test_a_helper_without_asyncio_raises_no_alarm(record: Record) -> None:
    """It had no probe, and nothing of a loop in its memory: a note, and the run is judged."""
    made = record(expectations=[("blocks.count", "==", 0)])
    made.loop()
    who = found(made, 50, PYTHON, "-I", "-c", "print()")
    made.write("runner", who, examined(made, who), gone(made, who, 0.2))
    made.ended()

    document = made.document()
    assert document.run.outcome == "passed"
    assert (rows(document)[50].watched, rows(document)[50].may_have_looped) == (False, False)
    ((message, invalid),) = messages(document)
    assert "no loop was seen in it" in message
    assert not invalid


def test_a_python_with_asyncio_and_without_a_probe_makes_a_judgement_invalid(record: Record) -> None:
    """Its loop may have blocked; the first sentence says which one, why, and what to do."""
    made = record(expectations=[("blocks.count", "==", 0)])
    made.loop()
    who = found(made, 50, PYTHON, "-E", "worker.py")
    made.write("runner", who, examined(made, who, mapped=["_asyncio"]), gone(made, who, 0.9))
    made.ended()

    document = made.document()
    assert document.run.outcome == "invalid"
    assert (
        "1 of 3 processes was not watched: `python3.12 -E worker.py` (process 50): " in document.run.verdict
    )
    assert "-E, which ignores PYTHONPATH (start it without -E, or run `harness enable /srv/venv` once)" in (
        document.run.verdict
    )


def test_a_run_without_a_condition_is_only_warned(record: Record) -> None:
    """Nothing is judged, so nothing is invalid; the sentence stands all the same."""
    made = record()
    made.loop()
    who = found(made, 50, PYTHON, "-E", "worker.py")
    made.write("runner", who, examined(made, who, mapped=["_asyncio"]), gone(made, who, 0.9))
    made.ended()

    document = made.document()
    assert document.run.outcome == "observed"
    assert document.run.verdict.startswith("1 of 3 processes was not watched: ")


def test_the_programs_before_and_after_exec_are_told_apart(record: Record) -> None:
    """A process that was watched, and then became one that was not, is two rows."""
    made = record()
    first = found(made, 50, PYTHON, "app.py")
    then = found(made, 50, PYTHON, "-I", "app.py", at_s=0.6, since_ns=made.at(0.5))
    then = event.ProcessFound(
        then.at_ns, 50, 1, then.command, first.began_ns, then.executable, 1000, since_ns=made.at(0.5)
    )
    text = mark.text({"entered": "sitecustomize", "python": "3.12.1"}, first.command)
    (made.folder.processes / f"50-{made.at(0.2):x}").write_text(text)
    made.write("runner", first, then, examined(made, then, mapped=["_asyncio"]), gone(made, then, 0.9))
    made.ended()

    told = [(row.command[1], row.entered_by, row.may_have_looped) for row in made.document().processes]
    assert told == [("-I", None, True)]


def test_a_fork_that_was_first_seen_after_its_exec_is_one_process(record: Record) -> None:
    """The mark of the copy, before `exec`, is not that of the program; the loop is the program's."""
    made = record()
    who = found(made, 50, PYTHON, "app.py")
    copy = mark.text({"entered": "sitecustomize", "python": "3.12.1", "fork": "1"}, (PYTHON, "starter.py"))
    (made.folder.processes / f"50-{made.at(0.085):x}").write_text(copy)
    own = mark.text({"entered": "sitecustomize", "python": "3.12.1"}, who.command)
    (made.folder.processes / f"50-{made.at(0.2):x}").write_text(own)
    made.loop()
    started = event.LoopStarted(
        made.at(0.3), 50, 0, "asyncio.Loop", "MainThread", "select", "loops/0.page", 10**8, (), ()
    )
    made.write("runner", who, gone(made, who, 0.9), started)
    made.ended()

    row = [row for row in made.document().processes if row.pid == 50]
    assert [(one.command, one.watched, one.exit) for one in row] == [(who.command, True, 0)]


def test_a_process_whose_command_could_not_be_read_has_that_of_its_own_record(record: Record) -> None:
    """It was seen from outside in the middle of an `exec`, and left no mark."""
    made = record()
    # The file of a process tells its command; this process writes it here.
    who = found(made, os.getpid(), at_s=0.0)
    made.loop()
    started = event.LoopStarted(
        made.at(0.3), who.pid, 1, "asyncio.Loop", "MainThread", "select", "loops/0.page", 10**8, (), ()
    )
    made.write("target", started)
    made.write("runner", who, gone(made, who, 0.9))
    made.ended()

    row = rows(made.document())[who.pid]
    assert (row.command, row.watched) == (tuple(sys.orig_argv), True)


def test_a_reused_pid_is_another_process(record: Record) -> None:
    """The pid alone does not identify a process: its start does, too."""
    made = record()
    one, other = found(made, 50, "/bin/first", at_s=0.1), found(made, 50, "/bin/second", at_s=0.7)
    made.write("runner", one, gone(made, one, 0.3, status=3), other, gone(made, other, 0.9, status=-9))
    made.ended()

    told = [(row.command, row.exit) for row in made.document().processes]
    assert told == [(("/bin/first",), 3), (("/bin/second",), -9)]


@pytest.mark.parametrize(
    ("order", "path", "reason"),
    [
        ("missing", "missing", "its environment was replaced"),
        ("here", "missing", "PYTHONPATH was replaced"),
        ("here", "later", "another sitecustomize stands before"),
        ("another", "first", "it belongs to another run"),
        ("unreadable", "", "its environment may not be read"),
        ("here", "first", "for a reason that is not known"),
    ],
)
def test_the_environment_tells_the_reason(order: str, path: str, reason: str, record: Record) -> None:
    """What was seen of it, and nothing that was not."""
    made = record()
    who = found(made, 50, PYTHON, "worker.py")
    made.write("runner", who, examined(made, who, order=order, path=path), gone(made, who, 0.9))
    made.ended()

    assert reason in str(rows(made.document())[50].why_not)


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (("/bin/sleep", "1"), "it is not a Python program"),
        ((PYTHON, "worker.py"), "it ended before it could be examined"),
        ((), "it ended before it could be examined"),
    ],
)
def test_what_nobody_could_examine_is_not_said_to_be_no_python(
    command: tuple[str, ...], reason: str, record: Record
) -> None:
    """A process that was found when it ended has no name and no file any more: what it was is unknown."""
    made = record()
    who = found(made, 50, *command)
    made.write("runner", who, gone(made, who, 0.2))
    made.ended()

    assert rows(made.document())[50].why_not == reason


def test_a_process_that_still_runs_outlived_the_run(record: Record) -> None:
    """Its end was not seen; the row says so, and a finding."""
    made = record()
    who = found(made, 50, PYTHON, "-I", "daemon.py")
    made.write("runner", who, examined(made, who))
    made.ended()

    row = rows(made.document())[50]
    assert (row.outlived, row.exit, row.ended_s) == (True, None, None)
    assert str(row.why_not).endswith("; it outlived the run")


def test_a_loop_that_outlived_the_run_makes_a_judgement_invalid(record: Record) -> None:
    """It was watched, but only until then."""
    made = record(expectations=[("blocks.count", "==", 0)])
    made.loop()
    who = found(made, 4242, PYTHON, "-m", "shop", at_s=0.0)
    made.write("runner", who)
    made.ended()

    document = made.document()
    assert rows(document)[4242].watched
    assert document.run.outcome == "invalid"
    assert "1 process outlived the run" in document.run.verdict


def test_processes_that_could_not_be_followed_make_a_judgement_invalid(record: Record) -> None:
    """All that are known may not be all that there were."""
    made = record(expectations=[("blocks.count", "==", 0)])
    made.loop()
    made.write("runner", event.ProcessesUncounted(made.at(0.5), 7))
    made.ended()

    document = made.document()
    assert document.run.outcome == "invalid"
    assert messages(document) == [("there were too many processes: 7 were not followed", True)]


@pytest.mark.parametrize(
    ("command", "letters"),
    [
        ("python -I prog.py -E", "I"),
        ("python -uIB prog.py", "uIB"),
        ("python -W error -E prog.py", "WE"),
        ("python -Werror -E prog.py", "WE"),
        ("python -X dev -m prog -S", "Xm"),
        ("python -c -E", "c"),
        ("python - -E", ""),
        ("python --check-hash-based-pycs always -E", ""),
        ("python", ""),
    ],
)
def test_the_options_of_python_are_not_those_of_the_program(command: str, letters: str) -> None:
    """They end with the first word that is none, and some take the next word."""
    assert python_options(tuple(command.split())) == letters
