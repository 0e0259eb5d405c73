"""However a Python program is started: it is watched, or the report has the true reason why it was not."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.starts.watched_ways import Table, can_start, prepared, watch_all
from tests.starts.ways import WAYS, Way


@pytest.fixture(scope="module")
def table() -> Iterator[Table]:
    with prepared({way.needs for way in WAYS}) as (folder, env):
        yield watch_all([way for way in WAYS if can_start(way, env)], folder, env)


@pytest.mark.xdist_group("starts")  # they share one run
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
def test_a_start_is_watched_or_explained(way: Way, table: Table) -> None:
    """A watched one has its block; the program itself notices nothing."""
    if way.name not in table.by_way:
        pytest.skip(f"{way.needs} is not to be had on this machine")
    started = table.by_way[way.name]

    assert (started.status, started.stderr.replace("nohup: ignoring input\n", "")) == (
        0,
        "",
    ) or not way.prints
    assert not way.prints or started.stdout.count("done") == 1
    if way.why_not:
        assert re.search(way.why_not, started.reasons()), started.processes
        assert not started.watched() or way.name == "supervisor"
    else:
        (row,) = started.watched()
        assert started.blocked_pids == {row["pid"]}
        assert way.entered_by in ("", row["entered_by"])
        assert (row["loops"][0]["kind"], row["exit"]) != ("", None)
        assert not any(other["may_have_looped"] for other in started.processes)
