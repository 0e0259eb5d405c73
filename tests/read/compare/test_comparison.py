"""Two runs side by side."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace

import pytest
from click.testing import CliRunner
from rich.console import Console

from harness.commands.report import report
from harness.read import terminal
from harness.read.compare.block_diff import block_changes
from harness.read.compare.comparison import comparison
from harness.read.compare.profile_diff import FunctionChange, PerUnit, ProfileDiff, Weight
from harness.read.formats import render
from harness.read.report import Report
from harness.record import event
from tests.read.conftest import Full, Record


@pytest.fixture
def runs(full: Full) -> tuple[Report, Report]:
    """The same service twice: without a block, and with many."""
    return full("before", blocks=0).document(), full("after", blocks=14).document()


def shown(document: Report) -> str:
    """What the terminal shows."""
    out = io.StringIO()
    terminal.show(document, Console(file=out, width=200))
    return out.getvalue()


def test_what_got_slower_is_worse_and_the_rest_is_noise(runs: tuple[Report, Report]) -> None:
    """The latency of a service that began to block is worse; a run against itself is within the noise."""
    before, after = runs
    verdicts = {change.name: change.verdict for change in comparison(before, after, "").changes}
    same = {change.name: change.verdict for change in comparison(after, after, "").changes}

    assert verdicts["latency, slowest of a step"] == "worse"
    assert "better" not in verdicts.values()
    assert set(same.values()) == {"noise", ""}
    back = {change.name: change.verdict for change in comparison(after, before, "").changes}
    assert back["latency, slowest of a step"] == "better"


def test_a_run_whose_load_was_never_sent_has_no_rate(runs: tuple[Report, Report], record: Record) -> None:
    """It ended before the first request: nothing is said of the change, in either order."""
    made = record()
    made.loop(turns_ms=[1.0])
    made.write("driver", event.LoadStarted(made.at(1), "sqlite", "constant", 80.0, 15.0))
    made.ended()
    unsent, (before, _) = made.document(), runs

    for base, head in [(before, unsent), (unsent, before), (unsent, unsent)]:
        (rate,) = [change for change in comparison(base, head, "").changes if change.name == "completed"]
        assert (rate.verdict, rate.base is None, rate.head is None) == ("", base is unsent, head is unsent)


def test_a_place_that_blocks_now_is_new(runs: tuple[Report, Report]) -> None:
    """With its count in either run; the other way round it is gone."""
    before, after = runs
    (new,), (gone,) = comparison(before, after, "").places, comparison(after, before, "").places

    assert (new.function, new.base_count, new.head_count) == ("Host.restart", 0, 14)
    assert (gone.base_count, gone.head_count) == (14, 0)


def test_what_may_be_chance_is_marked_as_such(full: Full) -> None:
    """Few blocks in one run and none in the other; as many as before are the same, also in a longer run."""
    none, few, many = (full(f"{n}", blocks=n).document() for n in (0, 3, 12))
    changes = [
        [(place.change, place.by_chance) for place in comparison(base, head, "").places]
        for base, head in [(none, few), (few, none), (few, many), (many, few), (many, many)]
    ]

    assert changes == [
        [("new", True)],
        [("gone", True)],
        [("more", False)],
        [("fewer", False)],
        [("same", True)],
    ]
    assert block_changes(few.blocks, few.blocks * 2, 20.0, 40.0)[0].change == "same"


def test_blocks_that_last_longer_are_a_change(full: Full) -> None:
    """As many as before, but each of them half as long again; a twentieth is of no interest."""
    blocks = full(blocks=10).document().blocks
    longer, hardly = ([replace(block, held_ms=block.held_ms * by) for block in blocks] for by in (1.5, 1.04))

    assert [place.change for place in block_changes(blocks, longer, 20, 20)] == ["longer"]
    assert [place.change for place in block_changes(longer, blocks, 20, 20)] == ["shorter"]
    assert [place.change for place in block_changes(blocks, hardly, 20, 20)] == ["same"]


def test_the_terminal_and_markdown_show_what_changed(runs: tuple[Report, Report], full: Full) -> None:
    """What got worse with its noise, the place that blocks now, and what cannot be compared."""
    before, after = runs
    between = replace(after, difference=comparison(before, after, "there are no samples of this run"))
    terminal_said, markdown_said = shown(between), render(between, "md")

    for text in (terminal_said, markdown_said.replace("`", "")):
        assert re.search(r"▲ +latency, slowest of a step: [\d.]+ ms → [\d.]+ ms ± [\d.]+ ms, worse", text)
        assert "blocks in Host.restart hosts.py:41: none → 14 × in 4.21 s, new" in text
        assert re.search(
            r"no noise estimate: .*latency, p99 of all [\d.]+ ms → [\d.]+ ms; longest turn", text
        )
        assert "cannot be compared: there are no samples of this run" in text
        assert "Run-to-run variation needs repeated runs" in text
    assert f"against  {before.run.id}, passed: No block" in terminal_said
    assert "- **▲ blocks in `Host.restart`" in markdown_said
    assert "against" not in shown(after)
    assert "Against" not in render(after, "md")


def test_functions_that_moved_are_in_every_report(runs: tuple[Report, Report]) -> None:
    """Heavier and lighter ones with their time per request; those within the noise are left out."""
    before, after = runs
    shifts = (
        FunctionChange("Host.restart", "hosts.py", 0.05, 1.7, 1.4, Weight.HEAVIER),
        FunctionChange("<i>|`", "cart.py", 0.3, 0.075, 0.12, Weight.LIGHTER),
        FunctionChange("Host.check", "hosts.py", 0.3, 0.31, 0.12, Weight.NOISE),
    )
    samples = ProfileDiff(PerUnit.REQUEST, 931.0, 930.0, False, (), (), (), (), (), (), (), shifts, 0.0)
    between = replace(after, difference=comparison(before, after, samples))
    page, markdown, told = render(between, "html"), render(between, "md"), shown(between)

    assert "▲  Host.restart hosts.py: 50 µs → 1.7 ms per request ± 1.4 ms, heavier" in told
    assert "▼  <i>|` cart.py: 0.3 ms → 75 µs per request ± 0.12 ms, lighter" in told
    assert "- **▲ `Host.restart` `hosts.py`: 50 µs → 1.7 ms per request ± 1.4 ms, heavier**" in markdown
    assert "- ▼ `<i>¦'` `cart.py`: 0.3 ms → 75 µs per request ± 0.12 ms, lighter" in markdown
    assert "<code>&lt;i&gt;|`</code>" in page
    assert "931 requests in the other, 930 in this one" in page
    for text in (page, markdown, told):
        assert "Host.check" not in text


def test_the_command_shows_the_other_run(full: Full) -> None:
    """`--against RUN` puts the difference into the page and into `report.json`; without it there is none."""
    before, after = full("before", blocks=0), full("after")
    assert "Comparison with another run" not in render(after.document(), "html")
    before.close()

    arguments = [str(after.folder.path), "--against", str(before.folder.path)]
    page = CliRunner().invoke(report, [*arguments, "--format", "html"]).output
    document = json.loads(CliRunner().invoke(report, [*arguments, "--json"]).output)

    assert "Comparison with another run" in page
    assert '<span class="chip bad">new</span>' in page
    assert "No comparison: there are no samples of the other run" in page
    assert document["difference"]["base_verdict"].startswith("No block")
