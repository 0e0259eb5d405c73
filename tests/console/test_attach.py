"""`harness attach`: at a terminal, from a pipe, with one command, and to a process that cannot answer."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.record.process import console_endpoint
from tests.support.commanded import COMMAND, WITHOUT_PTRACE, Terminal, wait
from tests.support.consoled import Consoled, consoled
from tests.support.port import free_port


def attach(*arguments: object, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    command = [*COMMAND, "attach", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, input=stdin)


def test_one_command(console: Consoled) -> None:
    """`-c` prints the answer on stdout, and the exit status tells success, refusal and usage errors apart."""
    asked = attach("-c", "ps --json", console.process.pid)
    refused = attach("-c", "cancel waiting-1", console.process.pid)
    unknown = attach("-c", "cancle waiting-1", console.process.pid)

    assert (asked.returncode, asked.stderr) == (0, "")
    assert json.loads(asked.stdout)["total"] == 4
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "not allowed here" in refused.stderr
    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert "did you mean cancel" in unknown.stderr


def test_the_only_console_needs_no_name(console: Consoled) -> None:
    """A single console is found without an argument, or by its run."""
    alone = attach("-c", "ps --json")
    by_run = attach("-c", "ps --json", console.folder.path)

    assert json.loads(alone.stdout)["total"] == json.loads(by_run.stdout)["total"] == 4


def test_of_several_consoles_one_must_be_named(console: Consoled, tmp_path: Path) -> None:
    """With several consoles open, the error lists them."""
    other_folder = tmp_path / "other"
    other_folder.mkdir()
    with consoled(other_folder) as other:
        asked = attach("-c", "ps")
        listed = json.loads(attach("--list", "--json").stdout)

    assert asked.returncode == 2
    # Other programs of this user may have consoles at the same time.
    ours = {console.process.pid, other.process.pid}
    assert " consoles are open; name one by its pid" in asked.stderr
    assert all(str(pid) in asked.stderr for pid in ours)
    assert [found["loops"] for found in listed if found["pid"] in ours] == [1, 1]


def test_a_pipe_is_read_line_by_line(console: Consoled) -> None:
    """From a pipe, stdout has answers only, and the exit status is that of the worst line."""
    done = attach(console.process.pid, stdin="help --json\n\nps --json\nnonsense\nquit\nps\n")

    helped, listed = map(json.loads, done.stdout.splitlines())
    assert (helped["allowed"], listed["total"]) == ([], 4)
    assert "no command 'nonsense'" in done.stderr
    assert done.returncode == 2


def test_a_terminal_has_a_prompt_history_and_completion(
    console: Consoled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The prompt shows the pid, Tab completes, Ctrl-D leaves, and the history is kept in a private file."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    pid = console.process.pid
    terminal = Terminal([*COMMAND, "attach", str(pid)], cwd=tmp_path, columns=200)
    terminal.wait_for(f"{pid}> ")
    terminal.type("hel\texecu\t\r")
    terminal.wait_for("usage: executors")
    terminal.wait_for(f"{pid}> ")
    terminal.type("\x04")

    assert terminal.ended() == 0
    history = tmp_path / "asyncio-harness" / "history"
    assert history.read_text().splitlines() == ["help executors "]
    assert history.stat().st_mode & 0o077 == 0


def test_ctrl_c_ends_the_command_and_not_the_conversation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C ends a long-running command with its partial answer, not the session."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with consoled(tmp_path, allow=("slow",)) as running:
        terminal = Terminal([*COMMAND, "attach", str(running.process.pid)], cwd=tmp_path, columns=200)
        terminal.wait_for("> ")
        terminal.type("memory --for 60s\r")
        terminal.wait_for("60 s")
        terminal.type("\x03")
        terminal.wait_for("> ")
        terminal.type("quit\r")

        assert terminal.ended() == 0


@pytest.mark.parametrize("loop", ["asyncio", pytest.param("uvloop", marks=pytest.mark.long)])
def test_while_the_gil_is_held_the_line_is_seen_from_outside(tmp_path: Path, loop: str) -> None:
    """`status` and `blocks` name the line that holds the GIL, without stopping the process."""
    pytest.importorskip(loop, reason=f"{loop} is not installed")
    with consoled(tmp_path, loop=loop) as running:
        running.do(f"hold_the_gil({letters_for(20)})")  # until it is killed, at the end of this block
        status = attach("-c", "status", running.process.pid)
        blocks = attach("-c", "bl --json", running.process.pid)
        state = Path(f"/proc/{running.process.pid}/stat").read_text().rpartition(")")[2].split()[0]

    assert (status.returncode, blocks.returncode) == (0, 0)
    said, late, holder, *_ = status.stdout.splitlines()
    assert said == "answered from outside: the process did not answer for 1.0 s"
    assert late.startswith("loop 0 has been late for ")
    assert re.fullmatch(r"MainThread has the GIL: .*/program\.py:\d+ hold_the_gil", holder)
    assert json.loads(blocks.stdout)["holder"]["function"] == "hold_the_gil"
    assert state in "RS"


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="needs root and setpriv")
def test_who_may_not_look_into_the_process_is_told_since_when_it_is_late(console: Consoled) -> None:
    """Without ptrace the line is unknown and the answer says why; the loop's lateness is still known."""
    pid = console.process.pid
    console.do(f"hold_the_gil({letters_for(20)})")  # until it is killed
    command = [*WITHOUT_PTRACE, *COMMAND, "attach", "-c", "status", str(pid)]
    status = subprocess.run(command, capture_output=True, text=True, timeout=60)

    assert status.returncode == 0
    _, late, why, *_ = status.stdout.splitlines()
    assert late.startswith("loop 0 has been late for ")
    assert why == ("the line it is in is unknown: this user may not read the target's memory (ptrace)")


def test_other_commands_wait_until_the_gil_is_let_go(console: Consoled) -> None:
    """Any other command is answered once the GIL is released."""
    console.do(f"hold_the_gil({letters_for(3)})")
    asked = attach("-c", "help gc", console.process.pid)

    assert asked.returncode == 0
    assert asked.stdout.startswith("usage: gc")


def test_a_stopped_process_is_told_as_one(console: Consoled) -> None:
    """A stopped process is reported as stopped, and --wait bounds the wait for its answer."""
    pid = console.process.pid
    os.kill(pid, signal.SIGSTOP)
    try:
        status = attach("-c", "status --json", pid)
        other = attach("-c", "ps", "--wait", 0.2, pid)
    finally:
        os.kill(pid, signal.SIGCONT)

    seen = json.loads(status.stdout)
    assert (seen["from_outside"], seen["stopped"]) == (True, True)
    assert other.returncode == 4
    assert f"process {pid} did not answer within 0.2 s" in other.stderr
    assert console.ask("ps --json")["total"] == 4


def test_a_process_that_answers_is_not_looked_at_from_outside(console: Consoled, tmp_path: Path) -> None:
    """The control: a loop blocked without the GIL is reported by the process itself."""
    asked = tmp_path / "asked"
    console.do(f"while not __import__('os').path.exists({str(asked)!r}): time.sleep(0.01)")
    wait(lambda: console.ask("blocks --json")["rows"])
    status = attach("-c", "status", console.process.pid)
    asked.touch()

    assert "from outside" not in status.stdout
    assert "LATE" in status.stdout


def test_a_process_without_a_console() -> None:
    """Each way of naming no console gives one clear error; `tests/drive/attach` has those of one process."""
    nobody = attach(2**22 + 1)
    nothing = attach()
    nowhere = attach("no-such-run")

    assert {done.returncode for done in (nobody, nothing, nowhere)} == {2}
    assert "no such process" in nobody.stderr
    assert "no console is open" in nothing.stderr
    assert "no-such-run: no process of such a run has an open console" in nowhere.stderr


def test_cards_of_processes_that_are_gone_are_cleaned_away(console: Consoled, runtime_folder: str) -> None:
    """`--list` removes the endpoint files of killed processes."""
    place = Path(runtime_folder, console_endpoint.FOLDER)
    (mine,) = place.glob("*.json")
    console.process.kill()
    console.process.wait()
    assert list(place.iterdir())
    listed = attach("--list", "--json")

    # Other programs of this user may have a console in another folder.
    assert console.process.pid not in [one["pid"] for one in json.loads(listed.stdout)]
    assert list(place.iterdir()) == []
    assert mine.name.startswith(f"{console.process.pid}-")


def test_a_folder_that_others_can_enter_is_refused(tmp_path: Path, runtime_folder: str) -> None:
    """No console opens in an insecure folder; the program runs, and the reason is reported."""
    place = Path(runtime_folder, console_endpoint.FOLDER)
    place.mkdir(mode=0o700)
    place.chmod(0o755)
    script = tmp_path / "program.py"
    script.write_text("import asyncio; asyncio.run(asyncio.sleep(1)); print('done')")
    done = subprocess.run(
        [*COMMAND, "watch", "--console", "--out", "run", "--", sys.executable, str(script)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert (done.returncode, done.stdout) == (0, "done\n")
    assert f"{place}: others can enter it (mode 755, expected 700)" in done.stderr
    assert list(place.iterdir()) == []


def test_each_process_of_a_run_has_its_own(tmp_path: Path) -> None:
    """A worker whose fixed port is taken by its sibling takes a free one."""
    script = tmp_path / "program.py"
    script.write_text(
        "import asyncio, multiprocessing\n"
        "def work():\n    asyncio.run(asyncio.sleep(60))\n"
        "if __name__ == '__main__':\n"
        "    context = multiprocessing.get_context('spawn')\n"
        "    children = [context.Process(target=work) for _ in range(2)]\n"
        "    [child.start() for child in children]\n"
        "    [child.join() for child in children]\n"
    )
    port = free_port()
    command = [*COMMAND, "watch", "--console-port", str(port), "--out", "run", "--", sys.executable]
    process = subprocess.Popen([*command, str(script)], cwd=tmp_path, text=True, stderr=subprocess.PIPE)
    try:
        cards: list[console_endpoint.ConsoleEndpoint] = []
        assert process.stderr is not None
        told = [next(line for line in process.stderr if line.startswith("console: ")) for _ in range(2)]
        # This user may have other consoles, which do not matter here.
        cards = [found for _, found in console_endpoint.endpoints() if found.folder == str(tmp_path / "run")]
        tasks = [json.loads(attach("-c", "ps --json", found.pid).stdout)["total"] for found in cards]
    finally:
        for found in cards:
            os.kill(found.pid, signal.SIGTERM)
        process.communicate(timeout=30)

    assert tasks == [1, 1]
    assert len({found.port for found in cards}) == 2
    assert sorted(line.count("the token") for line in told) == [1, 1]
    (second,) = [line for line in told if "another process" in line]
    assert f"port {port} belongs to another process of this run; using " in second
    assert sum(f"telnet 127.0.0.1 {port} and the token " in line for line in told) == 1


def letters_for(seconds: float) -> int:
    """The number of letters for which the regular expression takes about *seconds* on this machine."""
    letters, took = 20, 0.0
    while took < 0.1:
        letters += 1
        began = time.perf_counter()
        re.match(r"(a+)+$", "a" * letters + "b")
        took = time.perf_counter() - began
    while took < seconds:
        letters, took = letters + 1, took * 2
    return letters
