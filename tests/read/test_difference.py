"""Two runs side by side."""

import json

import pytest
from click.testing import CliRunner

from harness.commands.report import report
from harness.read.difference import difference
from harness.read.renderer import render


@pytest.fixture
def runs(full):
    """The same service twice: without a block, and with many."""
    return full("before", blocks=0).document(), full("after", blocks=14).document()


def test_what_got_slower_is_worse_and_the_rest_is_noise(runs):
    """The latency of a service that began to block is worse; a run against itself is within the noise."""
    before, after = runs
    verdicts = {change.name: change.verdict for change in difference(before, after).changes}
    same = {change.name: change.verdict for change in difference(after, after).changes}

    assert verdicts["latency, p99 of a step"] == "worse"
    assert "better" not in verdicts.values()
    assert set(same.values()) == {"noise", ""}
    back = {change.name: change.verdict for change in difference(after, before).changes}
    assert back["latency, p99 of a step"] == "better"


def test_a_place_that_blocks_now_is_new(runs):
    """With its count in either run; the other way round it is gone."""
    before, after = runs
    (new,), (gone,) = difference(before, after).places, difference(after, before).places

    assert (new.function, new.base_count, new.head_count) == ("Host.restart", 0, 14)
    assert (gone.base_count, gone.head_count) == (14, 0)


def test_the_command_shows_the_other_run(full):
    """`--against RUN` puts the difference into the page and into `report.json`; without it there is none."""
    before, after = full("before", blocks=0), full("after")
    assert "Against another run" not in render(after.document(), "html")
    before.close()

    arguments = [str(after.folder.path), "--against", str(before.folder.path)]
    page = CliRunner().invoke(report, [*arguments, "--format", "html"]).output
    document = json.loads(CliRunner().invoke(report, [*arguments, "--json"]).output)

    assert "Against another run" in page
    assert '<span class="chip bad">new</span>' in page
    assert document["difference"]["base_verdict"].startswith("No block")
