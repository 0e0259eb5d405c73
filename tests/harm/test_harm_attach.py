"""Errors of the probe in a process that is attached to: it goes on as before, and who has attached is told.

Every step of `probe/attachment.py` raises once: its own functions, and those that it calls.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from harness.drive.attach import modules
from harness.drive.attach.entry import Entry
from harness.drive.attach.subject import Subject
from harness.errors import HarnessError
from harness.record.probe_config import ConsoleConfig, ProbeConfig
from tests.support.entered import PROGRAM, Unprepared, remnants, unprepared

GOING_IN = (
    *("probe.attachment:Attachment.__init__", "probe.attachment:Attachment.begin"),
    *("probe.attachment:Attachment._watch", "probe.attachment:Attachment._with_client"),
    *("probe.attachment:Attachment._observe_losses", "probe.attachment:Attachment._changed"),
    *("probe.attachment:_News.__init__", "probe.attachment:_News.take"),
    *("probe.hooks.loop_hook:loops_in_other_threads", "probe.hooks.process.fork_hook:keep_forks_quiet"),
    *("probe.hooks.process.fork_hook:in_forked_child", "probe.process_marks:ProcessMarks.__init__"),
    *("probe.code_paths:libraries", "probe.session:ProbeSession.__init__", "probe.session:ProbeSession.add"),
    *("probe.hooks.exception_hook:install_exception_handler", "probe.hooks.exception_hook:install_unawaited"),
    *("probe.hooks.group_hook:install", "probe.hooks.loop_hook:subscribe"),
    *("probe.hooks.loop_hook:_replace_asyncios", "probe.session:ProbeSession.loop_changed"),
    "record.hidden_thread:Background.__init__",
)
STAYING = (
    *("probe.attachment:Attachment._remain", "probe.attachment:_News.console"),
    "probe.attachment:Attachment._say",
)
LEAVING = (
    *("probe.attachment:Attachment._undo", "probe.attachment:Attachment._threads"),
    *("probe.attachment:_News.close", "record.hidden_thread:alive", "probe.loop.loops:Loops.close"),
)
# One of each, for the run that has to be short.
SHORT = (
    *("probe.attachment:Attachment._watch", "probe.attachment:Attachment._changed"),
    *("probe.attachment:Attachment._remain", "probe.attachment:Attachment._undo"),
)
# What the probe calls there at the beginning of each of these functions.
SABOTEUR = """
    class Harm(BaseException):
        pass

    planned, raised = [], []

    def harm(key):
        if key in planned:
            planned.remove(key)
            raised.append(key)
            raise Harm("harm in " + key)

    sys.harm = harm

    async def main():
"""
# What a child after `fork` has to release.
ABANDONING = ("probe.session:ProbeSession.abandon", "probe.loop.loops:Loops.abandon")
ALL = tuple(dict.fromkeys((*GOING_IN, *STAYING, *LEAVING)))
# In how many programs they raise: each takes some seconds.
PARTS = 6
REACHED = (*ALL, *ABANDONING)


@pytest.fixture(scope="module")
def sabotaged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The probe's modules, which will raise where the program that is entered has planned it."""
    whole = modules.sources()
    texts = {name: (*about, _sabotaged(name, text)) for name, (*about, text) in whole.items()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(modules, "sources", lambda: texts)
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def entered(tmp_path: Path, sabotaged: None) -> Iterator[Unprepared]:
    """A running program that plans what will raise."""
    program = dedent(PROGRAM).replace("async def main():\n", dedent(SABOTEUR), 1)
    with unprepared(tmp_path, program=program) as running:
        yield running


def _sabotaged(module: str, text: str) -> str:
    """The module's text with a call of the saboteur at the beginning of the chosen functions."""
    lines = text.splitlines()
    for name in sorted({key.partition(":")[2] for key in REACHED if key.startswith(f"{module}:")}):
        body = ast.parse("\n".join(lines)).body
        *outer, last = name.split(".")
        for part in outer:
            body = next(each for each in body if isinstance(each, ast.ClassDef) and each.name == part).body
        function = next(each for each in body if isinstance(each, ast.FunctionDef) and each.name == last)
        first = function.body[0]
        call = f"__import__('sys').harm('{module}:{name}')"
        lines.insert(first.lineno - 1, " " * first.col_offset + call)
    return "\n".join(lines) + "\n"


def _attached(program: Unprepared, step: str) -> str:
    """Attach to the program and leave it, while that step raises: what was told."""
    program.do(f"planned[:] = ['{step}']; raised.clear()")
    config = ProbeConfig("", 100_000_000, console=ConsoleConfig())
    entry = Entry(Subject.of(program.pid), config, wait_s=20)
    try:
        with entry:
            return f"{entry.note}; {entry.leave()}"
    except HarnessError as exc:
        return str(exc)


@pytest.mark.parametrize(
    "steps",
    [SHORT, *(pytest.param(ALL[n::PARTS], marks=pytest.mark.long) for n in range(PARTS))],
    ids=["short", *map(str, range(PARTS))],
)
def test_a_step_that_raises_leaves_the_program_as_it_was(
    entered: Unprepared, tmp_path: Path, steps: tuple[str, ...]
) -> None:
    """Nothing of the probe stays, the error is told, and the next one who attaches gets in."""
    before = entered.state()
    for step in steps:
        told = _attached(entered, step)
        entered.do("print(json.dumps(raised), flush=True)")
        assert json.loads(entered.process.stdout.readline()) == [step], told
        assert f"Harm: harm in {step}" in told
        assert entered.becomes(before), step
        assert remnants(tmp_path) == []
    assert _attached(entered, "nowhere") == "; "


def test_a_fork_while_a_step_raises_has_a_child_without_the_probe(entered: Unprepared) -> None:
    """Whichever step of the release raises, the child's functions are the program's own."""
    before = entered.state()
    config = ProbeConfig("", 100_000_000, console=ConsoleConfig())
    with Entry(Subject.of(entered.pid), config, wait_s=20) as entry:
        for step in ABANDONING:
            entered.do(f"planned[:] = ['{step}']; fork()")
            functions, _ = json.loads(entered.process.stdout.readline())
            assert functions == before["functions"], step
        assert entry.leave() == ""

    assert entered.becomes(before)
