"""Why a program is slower, from real runs of two versions of it."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Sequence
from textwrap import dedent

import pytest

from harness.read.calls.allowlist import Allowlist
from harness.read.compare.why.place import ChangedLines
from harness.read.compare.why.reason import ReasonFound, ReasonKind
from harness.read.compare.why.reasons import ExplainedRun, reasons
from harness.read.evidence import Evidence
from harness.read.history import load
from harness.record.run_folder import RunFolder
from tests.support.commanded import running

# By the thread's own clock, so that a busy machine changes nothing but the duration.
PROGRAM = """
    import asyncio, time

    def burn(work_s):
        end = time.thread_time() + work_s
        while time.thread_time() < end:
            pass

    def price():
        burn(0.004)

    def save():
        burn({save_s})

    async def order():
        await asyncio.sleep(0.001)
        price()
        save()

    async def main():
        for _ in range(25):
            await asyncio.create_task(order())

    asyncio.run(main())
"""
RUNS = 3


pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, list[ExplainedRun]]]:
    """The same program twice, and one whose `save` takes seven times as long."""
    folder = tmp_path_factory.mktemp("shop")
    found: dict[str, list[ExplainedRun]] = {"base": [], "same": [], "slower": []}
    for number in range(RUNS):
        for name, save_s in (("base", 0.002), ("same", 0.002), ("slower", 0.014)):
            (folder / "shop.py").write_text(dedent(PROGRAM.format(save_s=save_s)))
            out = f"{name}-{number}"
            given = ("watch", "--sample", "500", "--waits", "1", "--block-ms", "500", "--quiet", "--")
            with running(*given, sys.executable, "shop.py", cwd=folder, out=out) as run:
                assert run.ended(within_s=300).status == 0
            history = load(RunFolder(folder / out))
            found[name].append(ExplainedRun.of(Evidence(history, Allowlist.of_run(history.run))))
    yield found
    shutil.rmtree(folder)


def why(
    base: Sequence[ExplainedRun], head: Sequence[ExplainedRun], changed: ChangedLines | None = None
) -> tuple[ReasonFound, ...]:
    return reasons(base, head, changed or ChangedLines())


def test_the_function_that_got_heavier_is_named(runs: dict[str, list[ExplainedRun]]) -> None:
    """With its line, its time before and after, and whether the commit changed it."""
    folder = runs["slower"][0].evidence.history.ownership().application[0].rstrip("/")
    first, elsewhere = (
        # On a crowded machine, a turn may be over the limit besides.
        next(one for one in why(runs["base"], runs["slower"], changed) if one.kind == ReasonKind.FUNCTION)
        for changed in (ChangedLines(folder, {"shop.py": {line}}) for line in (5, 13))
    )

    assert "burn (shop.py:" in first.text
    assert 150 < first.cost_ms < 600
    assert (first.file, first.line in range(4, 8)) == ("shop.py", True)
    assert (first.changed, elsewhere.changed) == (True, False)


def test_runs_that_are_alike_explain_nothing(runs: dict[str, list[ExplainedRun]]) -> None:
    """No function is called heavier; nor is one that became lighter a reason."""
    assert why(runs["base"], runs["same"]) == ()
    assert [one for one in why(runs["slower"], runs["base"]) if one.kind == ReasonKind.FUNCTION] == []


def test_one_run_of_each_explains_nothing(runs: dict[str, list[ExplainedRun]]) -> None:
    """Nothing tells how much runs of the same program differ."""
    assert why(runs["base"][:1], runs["slower"][:1]) == ()
