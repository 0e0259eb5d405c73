"""What cannot be carried out is refused before anything is started: 2, one clear message, no folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from harness.commands import main
from harness.record.run_folder import RunFolder
from tests.support.commanded import COMMAND, SERVICE, Ended, harness, scenario

PROGRAM = """
    [target]
    kind = "program"
    command = ["{command}"]
"""


def refused(ended: Ended) -> str:
    """The one message of a command that started nothing."""
    assert (ended.status, ended.stdout) == (2, "")
    assert not ended.folder.path.exists()
    return ended.stderr


MAYHEM = '[target]\nkind = "mayhem"\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            MAYHEM + "settings = { concurency = 5 }\n",
            "harness: target: unrecognized arguments: --concurency=5; did you mean --concurrency?\n",
        ),
        (
            MAYHEM + "settings = { lease_s = 0 }\n",
            "harness: target: --lease-s: input should be greater than 0, got '0'\n",
        ),
        (
            MAYHEM + 'broker = "kafka://127.0.0.1:1"\n',
            "harness: target: --broker: expected a URL with one of memory:, ",
        ),
        (
            MAYHEM + 'config = "none.toml"\n',
            "/none.toml: No such file or directory\n",
        ),
        (
            MAYHEM
            + 'broker = "nats://127.0.0.1:4222"\n[load]\nsender = "sqlite"\nrate_per_s = 5\nduration_s = 1\n',
            'harness: {file}:5: load.sender: "sqlite" cannot load the broker "nats:" ',
        ),
        (
            '[target]\nkind = "mayhem"\n[load]\nsender = "sqlite"\nrate_per_sec = 5\nduration_s = 1\n',
            "harness: {file}:5: load.rate_per_sec: unknown key; did you mean rate_per_s?\n",
        ),
        ('[target\nkind = "mayhem"\n', "harness: {file}:1: not TOML: "),
        (PROGRAM.format(command="no-such-thing"), "harness: no-such-thing: no such program on the PATH\n"),
        (PROGRAM.format(command="./scenario.toml"), "harness: ./scenario.toml: not an executable program\n"),
        (
            PROGRAM.format(command="true") + '    cwd = "nowhere"\n',
            "/nowhere: no such folder to run true in\n",
        ),
    ],
    ids=[
        "setting",
        "value",
        "broker",
        "config",
        "sender",
        "key",
        "syntax",
        "program",
        "not executable",
        "folder",
    ],
)
def test_a_scenario_that_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    """The file, line and key, or the program, and what would be right."""
    file = scenario(tmp_path, text)
    told = refused(harness("run", file, cwd=tmp_path))

    assert message.format(file=file) in told
    assert "Traceback" not in told


def test_a_port_of_readiness_that_is_taken(tmp_path: Path, taken: int) -> None:
    """Somebody else's service would get the load."""
    text = PROGRAM.format(command=sys.executable) + f"    ready = {{ port = {taken} }}\n"
    told = refused(harness("run", scenario(tmp_path, text), cwd=tmp_path))

    assert told == f"harness: target.ready.port: port {taken} is taken by another program\n"


def test_a_console_port_that_is_taken(tmp_path: Path, taken: int) -> None:
    """The telnet would reach somebody else's console; for both commands."""
    message = f"harness: --console-port: port {taken} is taken by another program\n"
    file = scenario(tmp_path)

    assert refused(harness("run", file, "--console-port", taken, cwd=tmp_path)) == message
    assert refused(harness("watch", "--console-port", taken, "true", cwd=tmp_path)) == message


def test_a_script_without_its_interpreter(tmp_path: Path) -> None:
    """The message says what to put before it."""
    (tmp_path / "serve.py").touch()
    told = refused(harness("watch", "--", "./serve.py", cwd=tmp_path))

    assert told == (
        "harness: ./serve.py: not an executable program\n  Name the Python that runs it: python ./serve.py\n"
    )


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("blocks.cuont > 0", "unknown figure blocks.cuont; did you mean blocks.count?"),
        ("blocks.count", "expected FIGURE, one of >= <= == != > <, and a number"),
        ("blocks.count > few", "expected a number, got few"),
        ("blocks.count > nan", "expected a number, got nan"),
        ("load.latency_ms.p99 > 1", "watch cannot have that figure: there is no load"),
        ("ledger.lost != 0", "watch cannot have that figure: only the chaos service has a ledger"),
        ("calls.new > 0", "watch cannot have that figure: synchronous calls are not counted"),
        ("profile.lost > 0", "watch cannot have that figure: nothing is sampled"),
    ],
)
def test_a_condition_that_means_nothing(tmp_path: Path, condition: str, message: str) -> None:
    """`watch --fail-on` names what is wrong with it."""
    told = refused(harness("watch", "--fail-on", condition, "true", cwd=tmp_path))

    assert told.startswith(f'harness: --fail-on "{condition}": {message}\n')


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ("watch", "--profiler", "pyinstrument", "true"),
            "--profiler pyinstrument: it profiles single ",
        ),
        (("watch", "--application", "no/such", "true"), "--application no/such: no such folder or file"),
        (("watch", "--application", "nosuch.py", "true"), "--application nosuch.py: no such folder or file"),
        (("watch", "--block-ms", "x", "true"), "invalid value for '--block-ms': expected a number, got 'x'"),
        (
            ("watch", "--block-ms", "0.5", "true"),
            "invalid value for '--block-ms': expected a number N with 1<=N<=2073600000, got 0.5",
        ),
        (("watch",), "missing argument 'PROGRAM [ARG]...'"),
    ],
)
def test_options_that_cannot_be_meant(tmp_path: Path, options: tuple[str, ...], message: str) -> None:
    """One style for our errors and for those of the command line's library."""
    told = refused(harness(*options, cwd=tmp_path))

    assert told.startswith(f"harness: {message}")
    assert "Usage:" not in told


@pytest.mark.parametrize(
    ("command", "option", "too_small"),
    [
        ("watch", "--block-ms", "0"),
        ("watch", "--hang-ms", "-1"),
        ("watch", "--hang-exit", "0"),
        ("watch", "--profile-slower-ms", "-2"),
        ("attach", "--wait", "-1"),
        ("attach", "--for", "0"),
        ("attach", "--sample", "0"),
        ("bench", "--max-minutes", "0"),
        ("bench", "--run-timeout", "0"),
        ("bench", "--limit", "0"),
        ("bisect", "--max-minutes", "0"),
    ],
)
def test_a_time_or_limit_is_a_number_within_its_range(command: str, option: str, too_small: str) -> None:
    """Neither "nan" nor infinite, nor longer than any wait can be; it is refused with the command line."""
    for value in ("nan", "inf", "-inf", "1e300", "-1", too_small, ""):
        told = CliRunner().invoke(main.harness, [command, f"{option}={value}", "true"], standalone_mode=False)

        assert isinstance(told.exception, click.UsageError), (value, told)
        assert option in told.exception.format_message()


def test_a_time_that_is_no_number_is_one_clear_message(tmp_path: Path) -> None:
    """It says where, what was expected and what came."""
    nan = refused(harness("watch", "--block-ms", "nan", "true", cwd=tmp_path))
    huge = refused(harness("watch", "--hang-exit", "1e300", "true", cwd=tmp_path))

    assert nan.startswith("harness: invalid value for '--block-ms': expected a number, got 'nan'\n")
    expected = "expected a number N with 1<=N<=2073600, got 1e+300"
    assert huge.startswith(f"harness: invalid value for '--hang-exit': {expected}\n")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("999999999", "--sample", "2"), "process 999999999: there is no such process"),
        (("1", "--native"), "--native needs --sample"),
        (("1", "--json"), "--json needs --list"),
    ],
)
def test_attach_says_at_once_what_is_wrong(options: tuple[str, ...], message: str) -> None:
    """Before it says that it records, and before it looks for a profiler."""
    done = subprocess.run([*COMMAND, "attach", *options], capture_output=True, text=True, timeout=60)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"harness: {message}")


def test_more_load_than_one_process_can_send(tmp_path: Path) -> None:
    """Refused with the reason, not measured as late load."""
    text = SERVICE.replace("rate_per_s = 60", "rate_per_s = 1e9")
    told = refused(harness("run", scenario(tmp_path, text), cwd=tmp_path))

    assert "load.rate_per_s: expected at most 50,000 requests per second, got 1,000,000,000\n" in told
    assert "The load driver is one process" in told


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ("load.failed", "there is no load"),
        ("ledger.lost", "only the chaos service has a ledger"),
        ("calls.new", "synchronous calls are not counted"),
        ("loop.tasks.started", "tasks are not counted one by one"),
    ],
)
def test_an_expectation_about_what_the_run_cannot_have(tmp_path: Path, key: str, why: str) -> None:
    """Found before the start: the scenario says itself that there will be no such figure."""
    text = f'{PROGRAM.format(command="true")}    [expect]\n    "{key}" = "== 0"\n'
    told = refused(harness("run", scenario(tmp_path, text), cwd=tmp_path))

    assert f"this run cannot have that figure: {why}" in told


def test_a_folder_that_holds_a_run_is_kept(tmp_path: Path) -> None:
    """The second run with the same --out is refused, and the first one's record stays as it is."""
    first = harness("watch", "true", cwd=tmp_path)
    before = {path: path.stat().st_mtime_ns for path in first.folder.path.rglob("*")}
    second = harness("watch", "true", cwd=tmp_path)

    assert (first.status, second.status) == (0, 2)
    assert second.stderr == (
        f"harness: {first.folder.path}: holds a run already; name another folder with --out\n"
    )
    assert {path: path.stat().st_mtime_ns for path in RunFolder(tmp_path / "run").path.rglob("*")} == before


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    """A file stands in its way."""
    (tmp_path / "file").touch()
    ended = harness("watch", "true", cwd=tmp_path, out="file/run")

    assert (ended.status, ended.stdout) == (2, "")
    assert ended.stderr == f"harness: {tmp_path}/file/run: cannot be written: Not a directory\n"
