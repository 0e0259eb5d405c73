"""Tasks that died unseen: real programs under the probe, and what a report says of them."""

from __future__ import annotations

from pathlib import Path

from harness.read.finding import Finding
from tests.probe.tasks.standing import DYING, LOOKED_AT
from tests.probe.tasks.test_losses import program
from tests.support.judged import judged, program_line
from tests.support.watched import Outcome, watched


def told(seen: Outcome) -> dict[str, Finding]:
    """The findings about deaths, by the coroutine that died."""
    found = [finding for finding in judged(seen).findings if finding.rule == "deaths"]
    return {finding.message.partition(" of ")[2].split()[0]: finding for finding in found}


def test_a_task_that_died_is_told_with_its_error_and_with_what_waits_for_it(tmp_path: Path) -> None:
    """The line that raised; the queue that fills, the tasks that wait for room; or that nobody noticed."""
    found = told(watched(program(DYING), tmp_path))

    assert set(found) == {
        "Consumer.consume",
        "Consumer.handle",
        "Cache.refresh",
        "sort.<locals>.sort_each",
        "reduce",
    }
    assert {finding.level for finding in found.values()} == {"warning"}
    consumer, worker, cache = found["Consumer.consume"], found["Consumer.handle"], found["Cache.refresh"]
    assert consumer.line == program_line("# consumes", tmp_path)
    assert "JSONDecodeError: Expecting property name" in consumer.message
    assert "nobody else gets from its Queue, which has" in consumer.message
    assert consumer.cost is not None
    assert consumer.cost.amount > 20
    assert "2 tasks of Consumer.handle" in worker.message
    assert f"1 task waited for room in it at produce (program.py:{program_line('# produces', tmp_path)})" in (
        worker.message
    )
    party = found["reduce"]
    assert party.line == program_line("# reduces", tmp_path)
    assert (
        f"2 tasks waited for it at a barrier at reduce (program.py:{program_line('# waits', tmp_path)})"
        in (party.message)
    )
    sorter = found["sort.<locals>.sort_each"]
    assert sorter.line == program_line("# sorts", tmp_path)
    assert "nobody else gets from its Queue, which has" in sorter.message
    assert "ConnectionError: no route to cache, raised in Cache.refresh" in cache.message
    assert "it had been dead for" in cache.message


def test_an_exception_that_somebody_looks_at_later_is_no_death(tmp_path: Path) -> None:
    """At the end, on a timer, by awaiting the task, in a callback; and a consumer outlives its producer."""
    seen = watched(program(LOOKED_AT), tmp_path)

    assert told(seen) == {}
    assert seen.stderr == ""
