"""The console tells what the report tells, while it happens: the same findings, by the same rules."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.read.history import load
from harness.read.report import Report, build
from harness.record import run
from harness.record.event import WriterOpened
from tests.support.commanded import wait
from tests.support.console_programs import marked_place, rows
from tests.support.consoled import Consoled, consoled
from tests.support.watched import LIMIT_MS

# Trouble of many kinds, side by side.
CROWD = """
    import asyncio, subprocess, sys, threading, time
    from concurrent.futures import ThreadPoolExecutor

    kept = []

    async def twice(lock):
        async with lock:
            async with lock:  # stands
                pass

    async def produce(queue):
        while True:
            queue.put_nowait(b"order")  # feeds
            await asyncio.sleep(0.002)

    async def work(queue):
        while True:
            raise ValueError(await queue.get())  # dies

    async def fill(queue):
        while True:
            await queue.put(1)

    async def wait_for_child():
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", "print('x' * 1_000_000)", stdout=subprocess.PIPE
        )
        await child.wait()  # waits

    async def ask(pool):
        while True:
            kept.append(asyncio.create_task(quick(pool)))
            await asyncio.sleep(0.2)

    async def quick(pool):
        await asyncio.get_running_loop().run_in_executor(pool, len, "")

    def hold():
        threading.Event().wait(3600)  # holds

    async def forget():
        async def fail():
            raise ValueError("no such host")
        asyncio.create_task(fail())

    async def main():
        pool = ThreadPoolExecutor(1, "narrow")
        pool.submit(hold)
        small = asyncio.Queue(3)
        for work_of in (
            twice(asyncio.Lock()), produce(asyncio.Queue()), work(small), fill(small), wait_for_child(),
            ask(pool), forget(),
        ):
            kept.append(asyncio.create_task(work_of))
        print("ready", flush=True)
        await asyncio.sleep(3600)

    RUN
"""
RULES = {"children", "deaths", "executors", "growth", "standstills", "tasks"}

WELL = """
    import asyncio, sys

    async def consume(queue):
        while True:
            await queue.get()

    async def main():
        queue = asyncio.Queue()
        consumer = asyncio.create_task(consume(queue))
        print("ready", flush=True)
        while True:
            queue.put_nowait(1)
            await asyncio.sleep(0.01)

    RUN
"""

SPINS = """
    import asyncio

    async def poll():
        while True:
            await asyncio.sleep(0)  # polls

    async def main():
        print("ready", flush=True)
        await poll()

    RUN
"""

SLEEPS = """
    import asyncio, threading

    async def wait_for(event):
        await event.wait()  # waits

    async def main():
        event = asyncio.Event()
        waiter = asyncio.create_task(wait_for(event))
        threading.Timer(1.0, event.set).start()
        print("ready", flush=True)
        await waiter

    RUN
"""


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory, runtime_of_module: None) -> Iterator[Consoled]:
    """A program in all kinds of trouble, each of which was found."""
    with consoled(tmp_path_factory.mktemp("crowd"), program=CROWD) as program:
        wait(lambda: found_by(program, "lints") >= RULES, within_s=60)
        yield program


def found_by(program: Consoled, line: str) -> set[str]:
    """The rules that have found trouble, as the console's `lints` says."""
    return {one["rule"] for one in rows(program, line) if one["level"] in ("error", "warning")}


def reported(program: Consoled) -> Report:
    """The report of what the record holds now."""
    path = program.folder.path
    if not (path / run.MANIFEST).exists():
        started_ns = min(opened.at_ns for opened in program.events(WriterOpened))
        run.create(path, run.Run("r", "watch", "", started_ns, 0, "", "", (), LIMIT_MS * 1_000_000))
    return build(load(program.folder))


def constant(text: str) -> str:
    """*text* without the numbers, which grow from one look to the next."""
    text = text.replace("until its end", "until now")
    return re.sub(r"(?<![:\w])[\d,.]*\d( m?s\b|(?=[ ,;]))", "N", text)


def test_lints_are_the_findings_of_the_report(crowd: Consoled) -> None:
    """Each finding about the program is there, in the report's words, and no other; with the same verdict."""

    def told_and_reported() -> tuple[object, object]:
        answer, document = crowd.ask("lints --json --limit 0"), reported(crowd)
        told = {
            (one["rule"], constant(one["message"]), one["line"], one["next"])
            for one in answer["rows"]
            if one["cost"] and one["level"] != "note"
        }
        wanted = {
            (one.rule, constant(one.message), one.line, one.next) for one in document.findings if one.weight
        }
        # A record that is still written is partial, which the verdict of a report begins with.
        verdict = constant(document.run.verdict.partition("): ")[2])
        return (told, constant(answer["verdict"])), (wanted, verdict)

    # They are read one after the other, while the program gets on.
    assert wait(lambda: (pair := told_and_reported())[0] == pair[1] and pair, within_s=60)


def test_a_user_who_connects_is_told_the_verdict(crowd: Consoled) -> None:
    """It is the first sentence after the greeting, before anything is asked; programs get answers only."""

    def greeted() -> bool:
        with crowd.connect() as client:
            greeting = client.wait_for("]> ")
        return constant(crowd.ask("lints --json")["verdict"]) in constant(greeting)

    assert wait(greeted, within_s=60)


def test_lints_read_as_sentences(crowd: Consoled) -> None:
    """The verdict stands first; each finding has its place, its cost, its sentence, and what to do."""
    text = crowd.ask("lints --filter rule=standstills")

    place, about = marked_place(crowd, "stands"), "1 task of twice waited for a Lock at twice"
    paragraph = rf"""
warning \(standstills\), {place}, [\d.]+ m?s stood still
  {about} \({place}\): none was served for .*; a deadlock: task .* holds the lock itself, .*
  next: Do not enter the lock again inside of it: .*"""
    assert re.search(paragraph, text), text


@pytest.mark.parametrize(
    ("line", "rules"),
    [
        ("waits", {"children", "deaths", "standstills"}),
        ("executors", {"executors"}),
        ("queues", {"deaths", "growth", "standstills"}),
        ("memory", {"growth"}),
    ],
)
def test_a_command_shows_the_findings_about_its_subject(crowd: Consoled, line: str, rules: set[str]) -> None:
    """The same ones as `lints`, above its table."""

    def shown() -> list[dict[str, Any]] | None:
        found: list[dict[str, Any]] = crowd.ask(f"{line} --json")["findings"]
        return found if {one["rule"] for one in found} == rules else None

    found = wait(shown, within_s=60)

    # On a busy machine, growth may come to rest and go on.
    steady = [one for one in found if one["rule"] != "growth"]
    listed = {(one["rule"], one["where"]) for one in rows(crowd, "lints")}
    assert {(one["rule"], one["where"]) for one in steady} <= listed
    assert all(f"warning ({one['rule']})" in crowd.ask(line) for one in steady)


def test_waits_count_the_tasks_that_wait_for_the_same(crowd: Consoled) -> None:
    """Tasks of one coroutine at one line are one row, with their number and the names of some."""
    waiting = {one["coroutine"]: one for one in rows(crowd, "waits")}

    assert waiting["quick"]["tasks"] > 3
    assert waiting["quick"]["waits_for"] == "executor"
    assert waiting["twice"]["waits_for"].startswith("Lock.acquire of Lock")
    assert waiting["twice"]["where"] == f"{marked_place(crowd, 'stands')} twice"


def test_a_well_program_has_no_findings(tmp_path: Path) -> None:
    """The control: queues, tasks and threads in use, and nothing is said of them; the report agrees."""
    with consoled(tmp_path, program=WELL) as program:
        wait(lambda: program.ask("status --json")["uptime_s"] > 3)
        # A busy machine holds up every program.
        found = [one for one in rows(program, "lints") if one["rule"] != "blocks"]
        shown = [program.ask(f"{line} --json")["findings"] for line in ("waits", "queues", "executors")]

        assert (found, shown) == ([], [[], [], []])
        assert [one for one in reported(program).findings if one.weight and one.rule != "blocks"] == []


@pytest.mark.parametrize(
    ("program", "rule", "says"),
    [
        (SPINS, "spins", "main waits for nothing at {polls} poll"),
        (SLEEPS, "wakeups", "wait_for ({waits}) stood ready"),
    ],
    ids=["spins", "wakeups"],
)
def test_what_the_whole_loop_is_in_is_told(tmp_path: Path, program: str, rule: str, says: str) -> None:
    """A loop that spins, and one that sleeps although it has work."""
    with consoled(tmp_path, program=program) as running:
        found = wait(lambda: [one for one in rows(running, "lints") if one["rule"] == rule])[0]

        mark = re.findall(r"{(\w+)}", says)[0]
        assert says.format(**{mark: marked_place(running, mark)}) in found["message"]
        assert found["where"] == marked_place(running, mark) or rule == "wakeups"


def test_a_block_is_told_while_it_lasts(tmp_path: Path) -> None:
    """As the report tells it afterwards, and as the verdict."""
    with consoled(tmp_path) as program:
        program.do("time.sleep(4)")
        lasting = wait(
            lambda: [one for one in rows(program, "lints") if "is inside this block" in one["message"]]
        )
        verdict = program.ask("lints --json")["verdict"]

        assert lasting[0]["level"] == "note"
        assert "slept" in verdict


def test_a_part_that_cannot_look_is_told(tmp_path: Path) -> None:
    """Where the tasks cannot be counted, that is a finding: nothing is known of what they wait for."""
    # As both ways of asyncio to register tasks would be in a Python that nobody knows.
    strange = 'import asyncio, _asyncio; asyncio.tasks._scheduled_tasks = vars(_asyncio)["all_tasks"] = None'
    program = WELL.replace("import asyncio, sys", strange, 1)
    with consoled(tmp_path, program=program) as running:
        found = wait(lambda: [one for one in rows(running, "lints") if one["rule"] == "probe"])

        assert "census" in found[0]["message"]
        assert "too long" in running.ask("lints")
        assert "too long" in running.ask("waits")
