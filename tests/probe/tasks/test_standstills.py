"""Tasks that nobody serves: real programs under the probe, and what a report says of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.read.finding import Finding, Level
from tests.probe.tasks.standing import LEFT, RESTING, STANDING
from tests.probe.tasks.test_losses import program
from tests.support.judged import judged, program_line
from tests.support.watched import Outcome, watched


def told(seen: Outcome) -> dict[str, Finding]:
    """The warnings about standstills, by the coroutine of the tasks that waited."""
    found = [f for f in judged(seen).findings if f.rule == "standstills" and f.level is Level.WARNING]
    return {finding.message.partition(" of ")[2].split()[0]: finding for finding in found}


def test_whatever_serves_nobody_is_told_with_its_place_and_its_reason(tmp_path: Path) -> None:
    """Locks that a task has itself, or that tasks have crosswise; and pools that nothing comes back to."""
    seen = watched(program(STANDING), tmp_path)
    found = told(seen)

    assert {"visit", "inner", "call", "query", "send", "feed"} <= set(found)
    assert len({"transfer", "audit"} & set(found)) == 1
    visit = found["visit"]
    assert visit.line == program_line("# again", tmp_path)
    assert "waited for a Lock at Store.give" in visit.message
    assert "a deadlock: task" in visit.message
    assert f"Store.take (program.py:{program_line('# gives', tmp_path)})" in visit.message
    assert f"again in Store.give (program.py:{program_line('# again', tmp_path)})" in visit.message
    crosswise = [found[each].message for each in ("inner", "transfer", "audit") if each in found]
    assert all("a deadlock: it is held by task" in message for message in crosswise)
    assert "for a Semaphore" in found["call"].message
    assert "held by task" in found["call"].message
    assert "and 1 other task, which waits at for_ever" in found["call"].message
    assert "for an item of a LifoQueue" in found["query"].message
    assert "for a pool" in found["send"].message
    assert "for room in a full Queue" in found["feed"].message
    assert all(finding.next and finding.cost for finding in found.values())


def test_waits_that_are_meant_to_last_are_no_standstill(tmp_path: Path) -> None:
    """Pools at rest, long polls, subscribers, a leader, limiters, batch jobs, and a slow consumer."""
    seen = watched(program(RESTING), tmp_path)

    assert told(seen) == {}


def test_what_nobody_is_left_to_give_is_told_at_the_place_that_waits(tmp_path: Path) -> None:
    """One waiter is enough: of locks and permits whose takers are gone, and of queues that nobody serves."""
    seen = watched(program(LEFT), tmp_path)
    found = told(seen)

    assert set(found) == {"withdraw", "report", "crawl", "flush"}
    assert all(
        finding.line == program_line(f"# {name}s", tmp_path)
        for name, finding in found.items()
        if name != "flush"
    )
    assert found["flush"].line == program_line("# flushes", tmp_path)
    assert all("no task that lives has the" in found[name].message for name in ("withdraw", "report"))
    assert "room in a full Queue" in found["crawl"].message
    assert "all that get from it wait for room in it themselves" in found["crawl"].message
    assert "the end of a Queue" in found["flush"].message
    assert "task_done was not called for all of them" in found["flush"].message


@pytest.mark.long
def test_a_standstill_that_was_given_up_is_told_though_nothing_is_left_of_it(tmp_path: Path) -> None:
    """Who waited was cancelled and is gone before the next look: what the earlier looks saw is kept."""
    seen = watched(
        program("""
    async def twice(lock):
        async with lock:
            async with lock:  # again
                pass

    async def main():
        waiting = asyncio.create_task(twice(asyncio.Lock()))
        await asyncio.sleep(3)
        waiting.cancel()
        await asyncio.wait([waiting])
        del waiting
        await asyncio.sleep(1)
"""),
        tmp_path,
    )

    found = told(seen)["twice"]
    assert (found.line, "a deadlock" in found.message) == (program_line("# again", tmp_path), True)
