"""Commands are found by name, one file each."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from harness.console.protocol import registry
from harness.console.protocol.errors import OptionError
from tests.support.consoled import consoled

GREET = """
    from ..protocol.command import Command
    from ..protocol.result import CommandResult, Rows


    class GreetCommand(Command):
        name = "greet"
        summary = "greet each loop"
        help_order = 15

        def add_arguments(self, parser):
            parser.add_argument("word", nargs="?", default="hello")

        def needs(self, options):
            return "cancel" if options.word == "goodbye" else ""

        def candidates(self, process):
            return ("hello", "goodbye")

        def run(self, options, process, client):
            rows = [(view.number, options.word) for view in process.loops()]
            return CommandResult(lines=("greeted",), rows=Rows(("loop", "word"), rows))
"""


def test_a_command_is_named_after_its_file() -> None:
    """A command is found by its file's name, and by each prefix that no other command shares."""
    assert [registry.find(name).name for name in registry.names()] == registry.names()
    assert registry.find("wh") is registry.find("where")
    with pytest.raises(OptionError, match="t can be task, top, trace, tree"):
        registry.find("t")


def test_only_the_module_that_is_asked_for_is_imported(tmp_path: Path) -> None:
    """Using a command imports its module alone; only `help` imports all of them."""
    with consoled(tmp_path, allow=("repl",)) as console:
        imported = (
            "repl sorted(name.rpartition('.')[2] for name in sys.modules"
            " if name.startswith('_harness_inside.console.commands.'))"
        )
        console.ask("ps")
        assert console.ask(imported) == "['ps', 'repl']"

        assert console.ask("help").splitlines()[0].startswith("status")
        assert console.ask(imported) == repr(registry.names())


def test_a_new_command_is_one_file(tmp_path: Path) -> None:
    """A new file is listed, described, completed, abbreviated and permitted like any other command."""
    folder = tmp_path / "more"
    folder.mkdir()
    (folder / "greet.py").write_text(dedent(GREET))
    with consoled(tmp_path, allow=("repl",)) as console:
        console.ask(f"repl sys.modules['_harness_inside.console.commands'].__path__.append({str(folder)!r})")

        assert console.ask("greet --json") == {"total": 1, "rows": [{"loop": 0, "word": "hello"}]}
        assert console.ask("gre hi --json")["rows"] == [{"loop": 0, "word": "hi"}]
        assert console.request("greet goodbye")["status"] == "refused"
        assert console.ask("help").splitlines()[1].split(None, 1) == ["greet", "greet each loop"]
        assert console.ask("help greet").startswith("usage: greet")
        with console.connect() as client:
            client.send('{"complete": "gr"}\n{"complete": "greet "}\n')
            assert '"completions":["greet"]' in client.wait_for("\n")
            assert '"completions":["hello","goodbye"]' in client.wait_for("\n")
