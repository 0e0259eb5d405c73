"""The private attributes of `concurrent.futures` are where `executor_state` reads them, on this Python."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import queue
import sys
import threading
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

from harness.probe.hooks.state import executor_state


def test_a_thread_shows_its_executor_and_its_call() -> None:
    """The function that it runs, the queue behind it, and nothing once it is idle."""
    started, release = threading.Event(), threading.Event()

    def call() -> None:
        started.set()
        release.wait()

    with ThreadPoolExecutor(1) as executor:
        futures: list[Future[Any]] = [executor.submit(call), executor.submit(len, ())]
        futures[0].add_done_callback(print_nothing)
        assert started.wait(10)
        ((thread, _),) = [found for found in executor_state.pool_threads() if found[1] is executor]
        assert thread.ident is not None
        running = executor_state.running_call(sys._current_frames()[thread.ident])

        assert running is not None
        assert (running.function, list(running.callbacks)) == (call, [print_nothing])
        assert executor_state.queued(executor) == 1
        assert (executor_state.threads(executor), executor_state.most_workers(executor)) == (1, 1)
        release.set()
        futures[1].result(timeout=10)


def test_the_first_calls_of_a_queue_are_listed_and_none_of_one_too_long_for_that() -> None:
    """Whatever holds them: a list of all is made in one step of the interpreter."""
    kinds: list[Any] = [queue.SimpleQueue, queue.Queue, queue.LifoQueue]
    for kind in kinds:
        waiting = kind()
        for number in range(executor_state.LONGEST):
            waiting.put(number)

        assert executor_state.queue_items(waiting, 3) == [0, 1, 2]
        waiting.put(-1)
        assert executor_state.queue_items(waiting, 3) == []
        assert executor_state.queue_length(waiting) == executor_state.LONGEST + 1


def print_nothing(_future: object) -> None:
    """A callback to recognise."""


def test_this_thread_runs_no_call_of_an_executor() -> None:
    """The control."""
    assert executor_state.running_call(sys._getframe()) is None


def test_a_pool_of_processes_shows_its_size() -> None:
    """Its executor, while it is open, and its limit."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("forkserver")) as executor:
        assert executor.submit(os.getpid).result(timeout=30) != os.getpid()
        (pool,) = [found for found in executor_state.process_pools() if found.executor is executor]

        assert (pool.processes, pool.most) == (1, 1)


async def test_a_future_for_a_thread_is_recognised() -> None:
    """By its callback, which a plain future lacks."""
    loop = asyncio.get_running_loop()
    end = threading.Event()
    future, plain = loop.run_in_executor(None, end.wait), loop.create_future()
    plain.add_done_callback(print_nothing)

    assert any(map(executor_state.chains_to_thread, [callback for callback, _ in future._callbacks]))
    assert not any(map(executor_state.chains_to_thread, [callback for callback, _ in plain._callbacks]))
    end.set()
    await future
