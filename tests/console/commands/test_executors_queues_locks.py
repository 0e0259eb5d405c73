"""`executors`, `queues` and `locks`."""

from __future__ import annotations

import pytest

from tests.support.commanded import wait
from tests.support.console_programs import done, marked_place, row, rows, settled
from tests.support.consoled import Consoled

ON_ASYNCIO = pytest.mark.parametrize("tasks_service", ["asyncio"], indirect=True)


def test_executors_tell_what_each_thread_does(program: Consoled) -> None:
    """A busy thread is shown with its function and the awaiting task; later it is idle."""
    done(program, "start(worker=asyncio.to_thread(nap, 1))")
    seen = wait(lambda: [one for one in rows(program, "executors") if one["runs"] == "nap"])[0]
    assert (seen["state"], seen["where"]) == ("at work", f"{marked_place(program, 'naps')} nap")
    assert seen["awaited_by"].endswith("(worker)")

    assert wait(
        lambda: (seen["thread"], "idle") in {(o["thread"], o["state"]) for o in rows(program, "executors")}
    )


@ON_ASYNCIO
def test_executors_tell_how_many_calls_wait(program: Consoled) -> None:
    """The queue of a busy pool is counted."""
    done(
        program,
        "kept['pool'] = ThreadPoolExecutor(1, 'narrow'); [kept['pool'].submit(nap, 0.5) for _ in range(4)]",
    )
    seen = wait(lambda: [one for one in rows(program, "executors") if one["thread"].startswith("narrow")])[0]

    assert (seen["queued"], seen["workers"], seen["most"]) == (3, 1, 1)
    done(program, "kept.pop('pool').shutdown(cancel_futures=True)")
    wait(lambda: not any(one["thread"].startswith("narrow") for one in rows(program, "executors")))


@ON_ASYNCIO
def test_executors_name_pools_of_processes(program: Consoled) -> None:
    """A pool of processes is shown with its state and its size."""
    done(
        program,
        "import multiprocessing;"
        "kept['pool'] = ProcessPoolExecutor(1, multiprocessing.get_context('fork'));"
        "kept['future'] = kept['pool'].submit(os.getpid)",
    )
    seen = wait(lambda: [one for one in rows(program, "executors") if one["kind"] == "processes"])[0]
    done(program, "kept.pop('pool').shutdown(wait=False, cancel_futures=True)")

    assert (seen["most"], seen["state"]) == (1, "open")


def test_queues_tell_how_full_they_are_and_who_waits(program: Consoled) -> None:
    """Queues of tasks and of global names are shown, with a limit or without, and the tasks that wait."""
    done(
        program,
        "kept['idle'] = asyncio.PriorityQueue(99);"
        "start(a=consume(asyncio.Queue()), full=produce(asyncio.LifoQueue(3)))",
    )
    settled(program, "a", "full")
    queues = {one["kind"]: one for one in rows(program, "queues")}

    assert (queues["Queue"]["size"], queues["Queue"]["getters"], queues["Queue"]["putters"]) == (0, 1, 0)
    assert queues["Queue"]["waiting"] == str(row(program, "a")["id"])
    full = queues["LifoQueue"]
    assert (full["size"], full["maxsize"], full["putters"], full["unfinished"]) == (3, 3, 1, 3)
    assert full["where"] == f"{marked_place(program, 'puts')} produce"
    idle = queues["PriorityQueue"]
    assert (idle["size"], idle["maxsize"], idle["getters"], idle["waiting"]) == (0, 99, 0, None)
    assert len(queues) == 3


def test_locks_in_the_wrong_order_are_a_deadlock(program: Consoled) -> None:
    """Two tasks that take two locks in opposite order are a deadlock; a third that waits is no part of it."""
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


def test_locks_in_the_same_order_are_no_deadlock(program: Consoled) -> None:
    """When one task holds both locks and another waits, the owner is known and there is no deadlock."""
    done(program, "a, b = asyncio.Lock(), asyncio.Lock(); start(x=guarded(a, b), y=guarded(a, b))")
    settled(program, *"xy")
    wait(lambda: len(program.ask("task x --json")["inside_of"]) == 2)
    waited = next(one for one in rows(program, "locks") if one["waiters"])

    assert program.ask("locks --json")["deadlocks"] == []
    assert waited["owner"] == f"{row(program, 'x')['id']} (x)"
    assert waited["waiting"] == f"{row(program, 'y')['id']} (y)"


def test_an_owner_that_cannot_be_known_is_not_guessed(program: Consoled) -> None:
    """No owner is shown for a lock taken by `acquire` alone; a semaphore has all its holders."""
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
