"""Finds the pools of this process, cheaply enough to look twice a second."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from contextlib import suppress
from itertools import islice
from typing import Any
from weakref import ref

from ..hooks import hook
from ..hooks.runtime import why_no_pool
from ..hooks.state import executor_state, limiter_state
from ..hooks.state.thread_state import known_threads
from ..tasks.register import registered
from .pool import ExecutorPool, Pool, ServedQueue, TokenPool

# Pools of each kind that are looked at.
MOST = 200
# Threads are searched when their number has changed, and after this many looks: they may have taken each
# other's place.
AGAIN = 16
# After this many looks, limiters of the program's own are searched.
LIMITERS_AGAIN = 4
# With more tasks than this, those that wait for a limiter of the program's own are not searched.
TASKS = 2_000


class PoolList:
    """The pools of all loops; between two looks, it refers to them weakly."""

    def __init__(self) -> None:
        self._counts = (-1, -1)
        self._looks = 0
        self._executors: list[tuple[ref[Any], list[ref[threading.Thread]]]] = []
        self._queues: list[tuple[ref[threading.Thread], ref[Any]]] = []
        self._limiters: list[ref[Any]] = []

    def seen(self) -> list[Pool]:
        """The pools at this moment."""
        counts = executor_state.thread_count(), len(known_threads())
        if counts != self._counts or self._looks % AGAIN == 0:
            self._counts = counts
            self._search()
        pools: list[Pool] = []
        for known, threads in self._executors:
            if (executor := known()) is not None:
                pools.append(ExecutorPool(executor, threads))
        for of_thread, of_queue in self._queues:
            if (thread := of_thread()) is not None and (queue := of_queue()) is not None:
                pools.append(ServedQueue(thread, queue))
        if limiter_state.is_used():
            pools += self._token_pools()
        self._looks += 1
        return pools

    def _search(self) -> None:
        executors: dict[int, tuple[ref[Any], list[ref[threading.Thread]]]] = {}
        of_pools = set()
        for thread, executor in executor_state.pool_threads():
            of_pools.add(id(thread))
            if reason := why_no_pool(executor):
                hook.leave_out("pools", reason)
                continue
            executors.setdefault(id(executor), (ref(executor), []))[1].append(ref(thread))
        self._executors = list(islice(executors.values(), MOST))
        self._queues = [
            (ref(thread), ref(queue))
            for _, thread in known_threads()
            if id(thread) not in of_pools and not limiter_state.is_worker(thread)
            for queue in executor_state.queues_of(thread)
        ][:MOST]

    def _token_pools(self) -> Iterable[Pool]:
        default = {id(limiter): limiter for limiter in limiter_state.limiters()}
        if self._looks % LIMITERS_AGAIN == 0:
            with suppress(TypeError):  # a version whose limiters permit no weak reference
                self._limiters = [ref(one) for one in _limiters_of_tasks() if id(one) not in default]
        pools = [TokenPool(limiter, is_default=True) for limiter in default.values()]
        others = (one for known in self._limiters if (one := known()) is not None)
        return pools + [TokenPool(one, is_default=False) for one in others]


def _limiters_of_tasks() -> list[Any]:
    """The limiters for which tasks wait."""
    tasks = registered() or []
    found: dict[int, Any] = {}
    for known in tasks if len(tasks) <= TASKS else ():
        task = known()
        if task is not None and (limiter := limiter_state.limiter_awaited_by(task)) is not None:
            found[id(limiter)] = limiter
    return list(found.values())[:MOST]
