"""The command `harness` itself: what it lists, what it loads, and how it says no."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from textwrap import dedent

import pytest

from harness.commands.main import COMMANDS
from tests.support.commanded import COMMAND

# What commands do is done with these, or with what these import.
DOING = {
    *("asyncio", "harness.drive.process", "harness.read.history", "harness.read.report"),
    *("harness.record.scenario", "jinja2", "opentelemetry", "pydantic", "rich"),
}
HEAVY = {"asyncio", "harness.drive", "harness.read", "harness.record", "jinja2", "pydantic", "rich"}

# The command, one of whose sub-commands raises what is asked for.
RAISING = """
    import sys
    from harness.commands import main, schema
    def fails(**options: object) -> None:
        raise {error}
    schema.schema.callback = fails
    sys.argv = ["harness", "schema", "report"]
    main.main()
"""


def harness(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=60, cwd=cwd)


def test_help_lists_the_commands() -> None:
    """Each with a line that fits, and none that is cut short."""
    done = harness("--help")

    listed = done.stdout.partition("Commands:\n")[2].splitlines()
    assert [line.split()[0] for line in listed] == list(COMMANDS)
    assert not [line for line in listed if line.endswith("...")]


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_explains_itself_within_80_columns(command: str) -> None:
    """`harness COMMAND --help`, with the exit status 0."""
    done = harness(command, "--help")

    assert done.returncode == 0
    assert done.stdout.startswith(f"Usage: harness {command} ")
    assert max(map(len, done.stdout.splitlines())) <= 80


def loaded_by(*arguments: str) -> tuple[str, set[str]]:
    """What a successful command prints, and the modules that it loads."""
    program = (
        f"import sys; sys.argv = ['harness', *{arguments!r}]\n"
        "from harness.commands.main import main\n"
        "try: main()\n"
        "except SystemExit as exc: print(exc.code, *sys.modules, file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    code, *modules = done.stderr.split()
    assert code == "0"
    return done.stdout, set(modules)


def test_the_version_and_the_list_of_commands_cost_no_more_than_they_must() -> None:
    """Nothing is imported before a command is chosen: no typed models, no templates, no loop."""
    printed, modules = loaded_by("--version")
    _, for_help = loaded_by("--help")

    assert printed == f"harness, version {version('asyncio-harness')}\n"
    assert HEAVY & modules == HEAVY & for_help == set()
    assert {f"harness.commands.{name}" for name in COMMANDS} & for_help == set()


@pytest.mark.parametrize("command", ["run", "watch", "attach", "report", "runs", "enable", "disable"])
def test_the_help_of_a_command_costs_no_more_than_its_options(command: str) -> None:
    """What the command does is imported when it does it."""
    _, modules = loaded_by(command, "--help")

    assert DOING & modules == set()
    assert {name for name in COMMANDS if f"harness.commands.{name}" in modules} == {command}


def test_a_command_that_is_not_there_is_a_usage_error() -> None:
    """Exit status 2, on stderr."""
    done = harness("observe")

    assert (done.returncode, done.stdout) == (2, "")
    assert "harness: no such command 'observe'" in done.stderr


def test_a_record_that_is_not_there_is_one_clear_message(tmp_path: Path) -> None:
    """No traceback."""
    done = harness("report", "nowhere", cwd=tmp_path)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "harness: nowhere: no record of a run here (run.json is missing)\n"


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    """`harness ... | head`: no traceback."""
    command = f"{sys.executable} -m harness run --help | true"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, cwd=tmp_path)

    assert done.stderr == ""


def raising(error: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", dedent(RAISING.format(error=error))]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_an_unexpected_end_of_input_is_no_interruption() -> None:
    """It is an error that is told, with 3; 130 is for Ctrl-C, of which nobody needs to be told."""
    ended, interrupted = raising("EOFError('Ran out of input')"), raising("KeyboardInterrupt")

    assert (ended.returncode, ended.stdout) == (3, "")
    assert "harness: internal error: EOFError: Ran out of input (<string>:5)\n" in ended.stderr
    assert (interrupted.returncode, interrupted.stderr.strip()) == (130, "")
