"""The commands that only read: real programs whose tasks wait, block, deadlock and go wrong, or do not."""

from __future__ import annotations

import pytest

from harness.record.event import ProbeFailed
from harness.record.reader import Follower
from tests.support.commanded import wait
from tests.support.consoled import consoled, is_alive

# `start` makes tasks by name, `drop` cancels them all; each test begins and ends with none.
PROGRAM = '''
    import asyncio, gc, os, sys, threading, time
    from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

    tasks, kept, own_run = {}, {}, asyncio.Handle._run

    def start(**coroutines):
        for name, coroutine in coroutines.items():
            tasks[name] = asyncio.create_task(coroutine, name=name.replace("_", "-"))

    def drop():
        for task in tasks.values():
            task.cancel()
        tasks.clear()
        kept.clear()

    def nap(seconds):
        time.sleep(seconds)  # naps

    async def sleep_long():
        await asyncio.sleep(3600)  # sleeps

    async def block(seconds):
        nap(seconds)  # blocks

    async def items(queue):
        while True:
            yield await queue.get()  # gets

    async def consume(queue):
        async for _ in items(queue):  # iterates
            pass

    async def produce(queue):
        while True:
            await queue.put(1)  # puts

    async def together(*coroutines):
        await asyncio.gather(*coroutines)  # gathers

    async def grouped(number):
        async with asyncio.TaskGroup() as group:
            for n in range(number):
                group.create_task(sleep_long(), name=f"child-{n}")

    async def guarded(*locks, then=sleep_long):
        if not locks:
            return await then()
        async with locks[0]:
            await asyncio.sleep(0.02)
            await guarded(*locks[1:], then=then)  # guards

    async def acquire(lock):
        await lock.acquire()
        await sleep_long()

    async def follow(name):
        while name not in tasks:
            await asyncio.sleep(0)
        await tasks[name]  # follows

    async def burn(seconds, pause):
        while True:
            end = time.perf_counter() + seconds
            while time.perf_counter() < end:
                pass
            await asyncio.sleep(pause)

    async def spin(pause):
        while True:
            await asyncio.sleep(pause)

    async def spawn():
        while True:
            await asyncio.create_task(asyncio.sleep(0))

    async def forsaken():
        await asyncio.get_running_loop().create_future()

    async def hopeful():
        kept["future"] = asyncio.get_running_loop().create_future()
        await kept["future"]

    async def queue_of_its_own():
        await asyncio.Queue().get()

    async def limited():
        async with asyncio.timeout(3600):
            await forsaken()

    async def fail():
        raise ValueError("no such host")

    async def ignore():
        try:
            await sleep_long()
        except asyncio.CancelledError:
            return 1

    # What another tool does that counts steps.
    THEIRS = """if True:
        below, kept["calls"] = asyncio.Handle._run, 0
        def _run(self):
            kept["calls"] += 1
            below(self)
        asyncio.Handle._run = _run
    """

    async def read_line():
        server = await asyncio.start_server(lambda *streams: kept.update(streams=streams), "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        try:
            await reader.readline()  # reads
        finally:
            writer.close()
            server.close()

    async def main():
        loop = asyncio.get_running_loop()
        print("ready", flush=True)
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            try:
                exec(line)
            except Exception as exc:
                print(repr(exc), flush=True)

    RUN
'''
LOOPS = ["asyncio", "uvloop"]
# For what is counted on asyncio's loops alone, or has to do with no loop; and what is said of uvloop's.
ON_ASYNCIO, ON_UVLOOP = (pytest.mark.parametrize("service", [loop], indirect=True) for loop in LOOPS)


@pytest.fixture(scope="module", params=LOOPS)
def service(request, tmp_path_factory, runtime_of_module):
    """One program for all tests of the module."""
    if request.param == "uvloop":
        pytest.importorskip("uvloop")
    folder = tmp_path_factory.mktemp("service")
    with consoled(folder, program=PROGRAM, loop=request.param, allow=("repl", "chaos")) as running:
        running.is_uvloop = request.param == "uvloop"
        running.lines = (folder / "program.py").read_text().splitlines()
        yield running
        failed = [event for _, event in Follower(running.folder.events).new_events()]
        assert [event for event in failed if isinstance(event, ProbeFailed)] == []


@pytest.fixture
def program(service):
    """The program without any task but its own."""
    yield service
    done(service, "drop()")
    wait(lambda: service.ask("ps --json")["total"] == 1)


def line_of(program, mark):
    """``program.py:N``: the line of the program with that comment."""
    number = next(n for n, line in enumerate(program.lines, start=1) if f"# {mark}" in line)
    return f"program.py:{number}"


def rows(program, line):
    """The rows of a command, all of them."""
    return program.ask(f"{line} --json --limit 0")["rows"]


def row(program, name, command="ps"):
    """The row of the task of that name, once there is one."""
    return wait(lambda: [one for one in rows(program, command) if one["task"].strip() == name])[0]


def settled(program, *names):
    """Wait until each of these tasks waits for something."""
    for name in names:
        wait(lambda: row(program, name)["state"] == "waiting")  # noqa: B023


def refused(program, line):
    """Why a line was refused."""
    answer = program.request(line)
    assert answer["status"] == "refused", answer
    return answer["text"]


def done(program, statement):
    """Have the program execute a statement, and wait until it has."""
    program.do(statement)
    assert is_alive(program)


def blocked(program, statement):
    """Have the program do what holds its loop; returns as soon as that is seen."""
    program.do(statement)
    # A crowded machine makes it late as well.
    return wait(lambda: [one for one in program.ask("status --json")["late"] if one["function"] == "nap"])


# --- ps -----------------------------------------------------------------------------------------------


def test_every_task_is_shown_with_what_it_waits_for(program):
    """By asyncio's own object, by another task, and by the program's own line."""
    done(
        program,
        "q = asyncio.Queue(); start(a=consume(q), b=sleep_long(), c=follow('b'), d=together(sleep_long()))",
    )

    number = row(program, "b")["id"]
    wait(lambda: row(program, "c")["waits_for"] == f"task {number}")
    settled(program, *"abd")
    assert row(program, "a")["waits_for"].startswith("Queue.get of Queue ")
    assert row(program, "a")["where"] == f"{line_of(program, 'gets')} items"
    assert row(program, "b")["waits_for"].startswith("sleep")
    assert row(program, "b")["where"] == f"{line_of(program, 'sleeps')} sleep_long"
    assert row(program, "d")["waits_for"] == "gather, 1 of 1 left"


def test_a_wait_of_a_library_is_called_after_its_function(program):
    """After the one that the program itself has called; a thread's work is an executor's."""
    done(program, "start(a=read_line(), b=asyncio.to_thread(nap, 0.5), c=asyncio.Event().wait())")

    assert wait(lambda: row(program, "a")["waits_for"] == "StreamReader.readline")
    assert row(program, "a")["where"] == f"{line_of(program, 'reads')} read_line"
    settled(program, "c")
    assert row(program, "b")["waits_for"] == "executor"
    assert row(program, "c")["waits_for"].startswith("Event.wait of Event ")


def test_a_task_that_blocks_is_the_running_one(program):
    """Asked while its loop can answer nothing; the line is the one it stands at."""
    done(program, "start(sleeper=sleep_long())")
    settled(program, "sleeper")
    blocked(program, "start(blocker=block(2))")

    assert [(one["task"], one["where"]) for one in rows(program, "ps --state running")] == [
        ("blocker", f"{line_of(program, 'naps')} nap")
    ]
    assert row(program, "sleeper")["state"] == "waiting"


@ON_ASYNCIO
def test_a_number_stays_with_its_task(program):
    """However often it is shown, and whatever comes and goes."""
    done(program, "start(a=sleep_long())")
    number = row(program, "a")["id"]
    done(program, "start(b=sleep_long(), c=sleep_long())")
    assert row(program, "b")["id"] != number

    assert row(program, "a")["id"] == number
    assert program.ask(f"task {number} --json")["task"] == "a"
    assert program.ask("task a --json")["id"] == number


@ON_ASYNCIO
def test_a_name_that_is_not_clear_is_refused(program):
    """With the numbers to choose from; nobody of that name is told as well."""
    done(program, "start(twin=sleep_long()); kept[1] = tasks['twin']; start(twin=sleep_long())")
    wait(lambda: len(rows(program, "ps --filter task=twin")) == 2)

    assert refused(program, "where twin").startswith("2 tasks are called 'twin'; choose one by its number")
    assert "no pending task has the number or name 'nobody'" in refused(program, "where nobody")
    assert "no pending task has the number or name '99999'" in refused(program, "where 99999")
    done(program, "kept[1].cancel()")


@ON_ASYNCIO
def test_a_task_that_is_gone_is_told_so(program):
    """Its number is not given to another."""
    done(program, "start(a=sleep_long())")
    number = row(program, "a")["id"]
    done(program, "drop()")
    wait(lambda: program.ask("ps --json")["total"] == 1)
    done(program, "gc.collect()")

    assert refused(program, f"where {number}") == f"task {number} has ended and was deleted"


def test_ten_thousand_tasks_are_all_told(program):
    """Twenty of them on a page; the program goes on meanwhile."""
    done(program, "start(**{f't{n}': sleep_long() for n in range(10_000)})")
    wait(lambda: program.ask("ps --json")["tasks"] == 10_001)
    page = program.ask("ps --json")

    assert (page["total"], len(page["rows"])) == (10_001, 20)
    assert program.ask("ps --filter task=t9999 --json")["total"] == 1
    assert program.ask("tree --json")["total"] == 10_001
    assert program.ask("status --json")["rows"][0]["tasks"] == 10_001
    assert program.ask("top --json")["total"] == 10_001


# --- where, tree, task --------------------------------------------------------------------------------


def test_where_goes_through_generators_and_tasks(program):
    """Down to the innermost await, and on through what is gathered."""
    done(program, "start(outer=together(consume(asyncio.Queue())))")
    settled(program, "outer")
    wait(lambda: rows(program, "where outer")[-1]["function"] == "Queue.get")
    stack = rows(program, "where outer")

    assert [(one["depth"], one["function"]) for one in stack] == [
        (0, "together"),
        (1, "consume"),
        (1, "items"),
        (1, "Queue.get"),
    ]
    assert stack[0]["where"] == line_of(program, "gathers")
    assert stack[1]["where"] == line_of(program, "iterates")
    assert stack[-1]["waits_for"].startswith("Queue.get of Queue ")


def test_where_shows_the_line_that_blocks(program):
    """Of a task in the middle of a step, from the stack of its thread."""
    blocked(program, "start(blocker=block(2))")
    stack = rows(program, "where blocker")

    assert [(one["function"], one["where"]) for one in stack] == [
        ("block", line_of(program, "blocks")),
        ("nap", line_of(program, "naps")),
    ]


def test_where_tells_who_awaits_a_task_and_who_made_it(program):
    """Through shield, wait and wait_for as well."""
    done(
        program,
        "start(inner=sleep_long(), a=follow('inner'));"
        "start(b=asyncio.wait_for(asyncio.shield(tasks['inner']), 3600), c=asyncio.wait([tasks['inner']]))",
    )
    numbers = {row(program, name)["id"] for name in "abc"}
    inner = wait(
        lambda: (seen := program.ask("where inner --json")) and len(seen["awaited_by"]) == 3 and seen
    )

    assert set(inner["awaited_by"]) == numbers
    assert inner["made"][0].endswith(" start")
    for name in "abc":
        assert {one["function"] for one in rows(program, f"where {name}")} >= {"sleep_long"}


def test_tree_shows_groups_below_their_parents(program):
    """As deep as asked."""
    done(program, "start(parent=together(grouped(2)))")
    wait(lambda: [one for one in rows(program, "tree") if one["task"].strip() == "child-1"])
    parent, group = row(program, "parent", "tree"), row(program, "child-0", "tree")["parent"]
    below = rows(program, "tree parent")

    assert [(one["depth"], one["awaits"]) for one in below] == [(0, 1), (1, 2), (2, 0), (2, 0)]
    assert [one["parent"] for one in below] == [None, parent["id"], group, group]
    assert [one["task"].strip() for one in below[2:]] == ["child-0", "child-1"]
    assert len(rows(program, "tree parent --depth 1")) == 2


@pytest.mark.parametrize("loop", LOOPS)
def test_tasks_that_await_each_other_are_a_deadlock(loop, tmp_path):
    """They have no root, and stand in the tree all the same."""
    # In a program of its own: to cancel one of a circle is a recursion without an end.
    with consoled(tmp_path, program=PROGRAM, loop=loop) as program:
        done(program, "start(a=follow('b'), b=follow('c'), c=follow('a'), outside=follow('a'))")
        deadlocks = wait(lambda: program.ask("tree --json")["deadlocks"])

        assert [set(one) for one in deadlocks] == [{row(program, name)["id"] for name in "abc"}]
        assert {one["task"].strip() for one in rows(program, "tree")} >= {"a", "b", "c", "outside"}
        assert [set(one) for one in program.ask("locks --json")["deadlocks"]] == [set(deadlocks[0])]
        assert "DEADLOCK" in program.ask("tree")


def test_tasks_that_await_others_are_no_deadlock(program):
    """A chain, and one that several await."""
    done(program, "start(a=follow('b'), b=follow('c'), c=sleep_long(), d=follow('c'))")
    wait(lambda: row(program, "a", "tree")["awaits"] and row(program, "c", "tree")["depth"])

    assert program.ask("tree --json")["deadlocks"] == []
    assert program.ask("locks --json")["deadlocks"] == []


def test_task_tells_everything(program):
    """Its state, what waits for it, the locks it is inside of, and that somebody tried to cancel it."""
    done(program, "lock = asyncio.Lock(); start(a=guarded(lock), b=follow('a'), c=ignore())")
    wait(lambda: "sleep_long" in {one["function"] for one in rows(program, "task a")})
    a = wait(lambda: (told := program.ask("task a --json"))["awaited_by"] and told)

    assert a["inside_of"][0].startswith("Lock ")
    assert a["awaited_by"] == [f"{row(program, 'b')['id']} (b)"]
    assert a["callbacks"] == [f"resumes task {row(program, 'b')['id']} (b)"]
    assert (a["cancelling"], a["exception"], a["loop"]) == (0, None, 0)
    assert 0 < a["age_s"] < 600
    assert a["made"][0].endswith(" start")
    assert a["rows"][0]["function"] == "guarded"


@ON_ASYNCIO
def test_an_exception_that_is_looked_at_is_still_not_retrieved(program):
    """The program's own log says that it got lost, console or not."""
    done(program, "start(failed=fail()); kept['n'] = 0")
    done(program, "asyncio.get_running_loop().set_exception_handler(lambda *_: kept.update(n=kept['n'] + 1))")
    # It has ended, so that its number has to be known from before.
    done(program, "kept['task'] = tasks.pop('failed')")
    number = program.ask(
        "repl sys.modules['_harness_inside.console.view.task_table'].number(kept['task'])"
    ).strip()
    told = program.ask(f"task {number} --json")
    done(program, "del kept['task']; gc.collect()")

    assert (told["state"], told["exception"]) == ("ended", "ValueError: no such host")
    assert wait(lambda: program.ask("repl kept['n']").strip() == "1")
    done(program, "asyncio.get_running_loop().set_exception_handler(None)")


# --- top ----------------------------------------------------------------------------------------------


@ON_ASYNCIO
def test_top_shows_who_uses_the_time(program):
    """And who waits for a turn meanwhile, though it is ready."""
    done(program, "start(busy=burn(0.02, 0.001), ready=spin(0), idle=sleep_long())")
    settled(program, "idle")
    program.ask("top")  # what was before is not of interest
    first, *others = rows(program, "top")
    told = {one["task"]: one for one in others}

    assert (first["task"], first["coroutine"]) == ("busy", "burn")
    assert first["busy_ratio"] > 0.5
    assert first["longest_ms"] > 15
    assert told["ready"]["ready_ms"] > first["busy_ms"] / 2
    assert told["ready"]["polls"] > first["polls"]
    assert (told["idle"]["polls"], told["idle"]["busy_ms"]) == (0, 0)
    assert told["idle"]["wait_ms"] > 200
    by_ready = rows(program, "top --by ready")
    assert by_ready[0]["task"] == "ready"


def test_top_tells_of_the_step_that_goes_on(program):
    """A task that blocks has not come to an end of its step, and is the first."""
    blocked(program, "start(blocker=block(2))")
    program.ask("top --json")
    first = rows(program, "top")[0]

    assert (first["task"], first["state"]) == ("blocker", "running")
    assert first["busy_ratio"] > 0.9


@ON_ASYNCIO
def test_top_sums_up_tasks_that_have_ended(program):
    """By their coroutine."""
    done(program, "start(spawner=spawn())")
    row(program, "spawner")
    ended = {one["coroutine"]: one for one in program.ask("top --json")["ended"]}

    assert ended["sleep"]["tasks"] > 10
    assert ended["sleep"]["polls"] >= 2 * ended["sleep"]["tasks"] - 2


@ON_UVLOOP
def test_top_says_what_it_does_not_know_of_uvloop(program):
    """What it shows there is estimated; steps are not invented."""
    done(program, "start(busy=burn(0.05, 0.001))")
    row(program, "busy")
    told = program.ask("top --json")

    assert told["estimated"]
    assert {(one["polls"], one["ready_ms"], one["longest_ms"]) for one in told["rows"]} == {
        (None, None, None)
    }
    assert told["rows"][0]["task"] == "busy"
    assert "estimated" in program.ask("top")


HOOKS = "asyncio.Handle._run.__module__, asyncio.BaseEventLoop._call_soon.__module__"
OWN = "('asyncio.events', 'asyncio.base_events')"


@pytest.fixture
def briefly(program):
    """The counting ends soon after the last `top`."""
    steps = "sys.modules['_harness_inside.console.view.task_stats']"
    program.ask("top")
    done(program, f"{steps}.KEPT_ON_NS = 300_000_000")
    yield
    done(program, f"{steps}.KEPT_ON_NS = 30_000_000_000")


def test_top_leaves_nothing_behind(program, briefly):
    """When nobody has asked for a while, asyncio is as it was."""
    assert program.ask(f"repl {HOOKS}").strip() != OWN

    program.ask("top")
    assert wait(lambda: program.ask(f"repl {HOOKS}").strip() == OWN)


@ON_ASYNCIO
def test_top_gets_along_with_others_who_replaced_the_same(program, briefly):
    """Whoever came later stays when it ends, and is called as before."""
    done(program, "exec(THEIRS, globals())")
    program.ask("top")
    wait(
        lambda: (
            program.ask("repl asyncio.BaseEventLoop._call_soon.__module__").strip() == "'asyncio.base_events'"
        )
    )
    calls = int(program.ask("repl kept['calls']"))

    assert program.ask("repl asyncio.Handle._run is _run").strip() == "True"
    assert int(program.ask("repl kept['calls']")) > calls
    assert [one["polls"] for one in program.ask("top --json")["rows"]] == [0]
    done(program, "asyncio.Handle._run = own_run")


@ON_ASYNCIO
def test_top_is_not_inherited_by_a_child(program, tmp_path):
    """After a fork there is nobody who would end the counting."""
    program.ask("top")
    seen = tmp_path / "seen"
    done(
        program,
        "import pathlib;"
        f"seen = pathlib.Path({str(seen)!r});"
        "pid = os.fork() or (seen.write_text(asyncio.Handle._run.__module__), os._exit(0));"
        "os.waitpid(pid, 0)",
    )

    assert seen.read_text() == "asyncio.events"


@ON_ASYNCIO
def test_top_does_not_change_what_debug_mode_says(program):
    """Where a callback was scheduled is the program's line, as without."""
    program.ask("top")
    done(program, "asyncio.get_running_loop().set_debug(True)")
    done(program, "kept['handle'] = asyncio.get_running_loop().call_soon(print)")
    done(program, "asyncio.get_running_loop().set_debug(False)")

    assert program.ask("repl kept['handle']._source_traceback[-1].name").strip() == "'<module>'"


# --- status, blocks -----------------------------------------------------------------------------------


def test_status_of_a_quiet_program(program):
    """Nothing is late, nothing in force; the seconds since the start are there."""
    told = wait(lambda: (seen := program.ask("status --json"))["longest_turns_ms"]["0"] and seen)
    loop = told["rows"][0]

    assert (told["late"], told["faults"], told["limits"]) == ([], [], [])
    assert told["pid"] == program.process.pid
    assert (loop["tasks"], loop["waiting"]) == (1, 1)
    assert loop["busy_ratio"] < 0.9
    assert (loop["turns_per_s"] is None) == program.is_uvloop


def test_status_names_what_holds_the_loop(program):
    """While it does; afterwards it is one of the blockers."""
    late = blocked(program, "start(blocker=block(2))")[0]
    assert f"program.py:{late['line']}" == line_of(program, "naps")
    assert (late["function"], late["loop"]) == ("nap", 0)
    assert "LATE" in program.ask("status")

    assert is_alive(program)
    told = program.ask("status --json")
    worst = {one["where"]: one for one in told["blockers"]}[f"{line_of(program, 'naps')} nap"]
    assert told["late"] == []
    assert worst["max_ms"] >= 1900
    assert worst["cause"] == "call"


@ON_ASYNCIO
def test_status_shows_faults(program):
    """As long as they are in force."""
    program.ask("faults inject block.sleep --in __main__:nap --block-ms 1")
    injected = program.ask("status --json")["faults"]
    program.ask("faults heal")

    assert ["__main__:nap" in fault for fault in injected] == [True]
    assert program.ask("status --json")["faults"] == []


def test_blocks_tell_the_line_and_who_had_to_wait(program):
    """The newest first; one of them with its whole stack."""
    known = {one["block"] for one in rows(program, "blocks")}
    program.do("start(victim=spin(0.001), blocker=block(0.4))")
    new = wait(lambda: [b for b in rows(program, "blocks") if b["block"] not in known and b["ended"]])
    block = next(one for one in new if one["task"] == "blocker")
    told = program.ask(f"blocks --stack {block['block']} --json")

    assert block["where"] == line_of(program, "naps")
    assert (block["function"], block["coroutine"], block["cause"]) == ("nap", "block", "call")
    assert 350 < block["held_ms"] < 2000
    assert [f["function"] for f in told["stack"]][-2:] == ["block", "nap"]
    assert not any("/probe/" in f["file"] for f in told["stack"])
    if not program.is_uvloop:  # its ready queue cannot be seen
        assert "victim" in {one["victim"] for one in told["rows"]}
    assert "no block has the number 4711" in refused(program, "blocks --stack 4711")


def test_a_block_that_goes_on_is_as_long_as_it_is_by_now(program):
    """And not as long as when it was first seen."""
    blocked(program, "start(blocker=block(1.5))")

    assert wait(lambda: (one := rows(program, "blocks")[0])["held_ms"] > 600 and not one["ended"])


# --- executors, queues, locks -------------------------------------------------------------------------


def test_executors_tell_what_each_thread_does(program):
    """By the function that was handed over, and the task that waits for it; an idle one is idle."""
    done(program, "start(worker=asyncio.to_thread(nap, 1))")
    seen = wait(lambda: [one for one in rows(program, "executors") if one["runs"] == "nap"])[0]
    assert (seen["state"], seen["where"]) == ("at work", f"{line_of(program, 'naps')} nap")
    assert seen["awaited_by"].endswith("(worker)")

    assert wait(
        lambda: (seen["thread"], "idle") in {(o["thread"], o["state"]) for o in rows(program, "executors")}
    )


@ON_ASYNCIO
def test_executors_tell_how_many_calls_wait(program):
    """In the queue of a pool whose threads are all at work."""
    done(
        program,
        "kept['pool'] = ThreadPoolExecutor(1, 'narrow'); [kept['pool'].submit(nap, 0.5) for _ in range(4)]",
    )
    seen = wait(lambda: [one for one in rows(program, "executors") if one["thread"].startswith("narrow")])[0]

    assert (seen["queued"], seen["workers"], seen["most"]) == (3, 1, 1)
    done(program, "kept.pop('pool').shutdown(cancel_futures=True)")
    wait(lambda: not any(one["thread"].startswith("narrow") for one in rows(program, "executors")))


@ON_ASYNCIO
def test_executors_name_pools_of_processes(program):
    """With their processes, and what waits for them."""
    done(
        program,
        "import multiprocessing;"
        "kept['pool'] = ProcessPoolExecutor(1, multiprocessing.get_context('fork'));"
        "kept['future'] = kept['pool'].submit(os.getpid)",
    )
    seen = wait(lambda: [one for one in rows(program, "executors") if one["kind"] == "processes"])[0]
    done(program, "kept.pop('pool').shutdown(wait=False, cancel_futures=True)")

    assert (seen["most"], seen["state"]) == (1, "open")


def test_queues_tell_how_full_they_are_and_who_waits(program):
    """For an item, and for room. One that nobody waits for and no task holds is not known."""
    done(
        program,
        "kept['unseen'] = asyncio.Queue(99);"
        "start(a=consume(asyncio.Queue()), full=produce(asyncio.LifoQueue(3)))",
    )
    settled(program, "a", "full")
    queues = {one["kind"]: one for one in rows(program, "queues")}

    assert (queues["Queue"]["size"], queues["Queue"]["getters"], queues["Queue"]["putters"]) == (0, 1, 0)
    assert queues["Queue"]["waiting"] == str(row(program, "a")["id"])
    full = queues["LifoQueue"]
    assert (full["size"], full["maxsize"], full["putters"], full["unfinished"]) == (3, 3, 1, 3)
    assert full["where"] == f"{line_of(program, 'puts')} produce"
    assert len(queues) == 2


def test_locks_in_the_wrong_order_are_a_deadlock(program):
    """Told with who holds what; the one that waits for one of them outside is no part of it."""
    done(
        program,
        "a, b = asyncio.Lock(), asyncio.Lock();"
        "start(ab=guarded(a, b), ba=guarded(b, a)); start(late=guarded(a))",
    )
    deadlock = wait(lambda: program.ask("locks --json")["deadlocks"])
    locks = [one for one in rows(program, "locks") if one["kind"] == "Lock"]

    assert [set(circle) for circle in deadlock] == [{row(program, n)["id"] for n in ("ab", "ba")}]
    assert sorted(one["owner"].split()[1] for one in locks) == ["(ab)", "(ba)"]
    assert sorted(one["waiters"] for one in locks) == [1, 2]
    text = program.ask("locks")
    assert "DEADLOCK" in text
    assert "waits for Lock" in text


def test_locks_in_the_same_order_are_no_deadlock(program):
    """One holds both, the other waits, and the owner is known."""
    done(program, "a, b = asyncio.Lock(), asyncio.Lock(); start(x=guarded(a, b), y=guarded(a, b))")
    settled(program, *"xy")
    wait(lambda: len(program.ask("task x --json")["inside_of"]) == 2)
    waited = next(one for one in rows(program, "locks") if one["waiters"])

    assert program.ask("locks --json")["deadlocks"] == []
    assert waited["owner"] == f"{row(program, 'x')['id']} (x)"
    assert waited["waiting"] == f"{row(program, 'y')['id']} (y)"


def test_an_owner_that_cannot_be_known_is_not_guessed(program):
    """A lock that was taken by `acquire` alone, a semaphore with several permits, an event."""
    done(
        program,
        "lock, event, semaphore = asyncio.Lock(), asyncio.Event(), asyncio.Semaphore(2);"
        "start(holder=acquire(lock)); start(waiter=acquire(lock), e=event.wait());"
        "start(s0=guarded(semaphore), s1=guarded(semaphore), s2=guarded(semaphore))",
    )
    wait(lambda: "Semaphore.acquire" in (row(program, "s2")["waits_for"] or ""))
    settled(program, "holder", "waiter", "e", "s0", "s1")
    locks = {one["kind"]: one for one in rows(program, "locks")}

    assert (locks["Lock"]["owner"], locks["Lock"]["waiters"], locks["Lock"]["state"]) == (None, 1, "locked")
    assert (locks["Event"]["state"], locks["Event"]["waiters"]) == ("not set", 1)
    assert (locks["Semaphore"]["state"], locks["Semaphore"]["waiters"]) == ("0 free", 1)
    assert {name.split()[1] for name in locks["Semaphore"]["owner"].split(", ")} == {"(s0)", "(s1)"}
    assert program.ask("locks --json")["deadlocks"] == []


# --- lints --------------------------------------------------------------------------------------------


def lints(program):
    """The lints: which, and of whom."""
    return {(one["lint"], one["task"]) for one in rows(program, "lints")}


def test_a_program_that_does_nothing_wrong_has_no_lints(program):
    """Sleeping, waiting for what others hold, with a limit, and in a loop with a pause, are all fine."""
    done(
        program,
        "kept['queue'] = asyncio.Queue();"
        "start(a=sleep_long(), b=consume(kept['queue']), c=hopeful(), d=limited(), e=spin(0.001));"
        "start(f=together(sleep_long()), h=asyncio.to_thread(nap, 0.1), i=read_line(), g=grouped(1))",
    )
    row(program, "g")
    before = {"destroyed", "never retrieved", "never awaited", "swallowed", "leaked"}

    assert {(lint, task) for lint, task in lints(program) if lint not in before} == set()


def test_a_task_that_nobody_can_resume_is_found(program):
    """Its future, or its queue, is held by itself alone."""
    done(program, "start(a=forsaken(), b=queue_of_its_own(), c=hopeful(), d=limited())")
    settled(program, *"abcd")

    assert {one for one in lints(program) if one[0] == "pending for ever"} == {
        ("pending for ever", "a"),
        ("pending for ever", "b"),
    }
    assert program.ask("task a --json")["forsaken"]
    assert not program.ask("task c --json")["forsaken"]


@ON_ASYNCIO
def test_a_task_that_wakes_itself_is_found(program):
    """A loop around ``sleep(0)``, not one with a pause."""
    done(program, "start(good=spin(0.002), bad=spin(0))")
    row(program, "bad")
    program.ask("top")  # what was before is not of interest

    # On a busy machine it may have had no turn between two looks.
    found = wait(lambda: {one for one in lints(program) if one[0] == "self-waking"})
    assert found == {("self-waking", "bad")}


def test_a_task_that_does_not_yield_is_found(program):
    """While it does not."""
    blocked(program, "start(blocker=block(2))")

    assert wait(lambda: ("never yielded", "blocker") in lints(program))
    assert wait(lambda: ("never yielded", "blocker") not in lints(program))


@pytest.mark.parametrize(
    ("statement", "lint", "says"),
    [
        ("start(f=fail()); tasks.pop('f')", "never retrieved", "ValueError: no such host"),
        ("fail()", "never awaited", "fail was created but never awaited"),
        (
            "start(i=ignore()); asyncio.get_running_loop().call_later(0.05, tasks['i'].cancel)",
            "swallowed",
            "ignore",
        ),
        ("start(lost=forsaken()); tasks.pop('lost')", "destroyed", "forsaken was destroyed while pending"),
    ],
)
def test_what_got_lost_is_found(program, statement, lint, says):
    """Work that failed, ended or went in silence, as the probe has recorded it."""
    done(program, statement)

    def found():
        done(program, "gc.collect()")
        program.ask("repl await asyncio.sleep(0.05)")
        return [one for one in rows(program, "lints") if one["lint"] == lint and says in one["what"]]

    assert wait(found)[0]["level"] == "warning"


def test_tasks_that_only_become_more_are_a_leak(tmp_path):
    """Of one coroutine, at one line; a pool of the same size that is there from the start is none."""
    body = """
    import asyncio, sys

    async def leak(): await asyncio.sleep(3600)
    async def pool(): await asyncio.sleep(3600)

    async def main():
        kept = [asyncio.create_task(pool()) for _ in range(200)]
        print("ready", flush=True)
        while True:
            kept.append(asyncio.create_task(leak()))
            await asyncio.sleep(0.005)

    RUN
    """
    with consoled(tmp_path, program=body) as program:
        found = wait(lambda: [one for one in rows(program, "lints") if one["lint"] == "leaked"])

        assert ["leak:" in one["what"] for one in found] == [True]


# --- spans and traces ---------------------------------------------------------------------------------

TRACED = """
    import asyncio, sys, time
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider

    trace.set_tracer_provider(TracerProvider())
    tracer = trace.get_tracer("shop")

    async def quick():
        with tracer.start_as_current_span("quick"):
            await asyncio.sleep(0)

    async def slow():
        with tracer.start_as_current_span("order"):
            with tracer.start_as_current_span("pay"):
                time.sleep(0.3)
            with tracer.start_as_current_span("ship"):
                await asyncio.sleep(3600)  # ships

    async def main():
        loop = asyncio.get_running_loop()
        for _ in range(20):
            await quick()
        task = asyncio.create_task(slow(), name="slow")
        await asyncio.sleep(0)
        print("ready", flush=True)
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            exec(line)

    RUN
"""


@pytest.fixture(scope="module", params=LOOPS)
def traced(request, tmp_path_factory, runtime_of_module):
    """A program with spans, one of them in flight."""
    if request.param == "uvloop":
        pytest.importorskip("uvloop")
    with consoled(tmp_path_factory.mktemp("traced"), program=TRACED, loop=request.param) as running:
        running.lines = TRACED.splitlines()
        yield running


def test_spans_by_name(traced):
    """How many are in flight and for how long, how many finished and how fast."""
    spans = {one["span"]: one for one in rows(traced, "spans")}

    assert spans["quick"]["finished"] == 20
    assert spans["quick"]["p50_ms"] <= spans["quick"]["p99_ms"] <= spans["quick"]["max_ms"] < 300
    assert spans["pay"]["p50_ms"] >= 300
    assert (spans["ship"]["in_flight"], spans["ship"]["finished"]) == (1, 0)
    assert spans["order"]["oldest_ms"] >= spans["ship"]["oldest_ms"] > 0
    assert rows(traced, "spans --slowest")[0]["span"] == "pay"
    assert [one["span"] for one in rows(traced, "spans --in-flight")] == ["order", "ship"]


def test_a_task_is_shown_with_its_span(traced):
    """By name and trace, on every version of Python."""
    told, shown = traced.ask("task slow --json"), row(traced, "slow")

    assert told["span"] == shown["span"] == "ship"
    assert told["trace_id"] == shown["trace_id"]
    assert len(told["span_id"]) == 16


def test_a_trace_tells_its_story(traced):
    """Its spans below each other, the task that works on it now, and the block that hit it."""
    trace_id = row(traced, "slow")["trace_id"]
    told = traced.ask(f"trace {trace_id[:8]} --json")

    assert [(one["span"].strip(), one["depth"]) for one in told["rows"]] == [
        ("order", 0),
        ("pay", 1),
        ("ship", 1),
    ]
    assert told["rows"][0]["took_ms"] is None
    assert told["rows"][0]["status"] == "in flight"
    assert told["rows"][1]["took_ms"] >= 300
    assert told["tasks"] == [row(traced, "slow")["id"]]
    assert [block["held_ms"] >= 250 for block in told["blocks"]] == [True]


def test_a_trace_that_is_not_known_is_refused(traced):
    """As is too short a beginning of one."""
    assert refused(traced, "trace ffffffff").startswith("no span of a trace ffffffff is in flight")
    assert "at least 4 digits" in refused(traced, "trace f")


@ON_ASYNCIO
def test_a_program_without_spans_is_told_so(program):
    """Instead of an empty table alone."""
    assert program.ask("spans").startswith("no spans: this program has none")


def test_the_load_is_told_by_name(traced):
    """What ended in the last minute, per second."""
    told = traced.ask("status --json")

    assert told["spans_per_s"]["quick"] > told["spans_per_s"]["pay"] > 0
    assert told["spans_in_flight"] == 2
