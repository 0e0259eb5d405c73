"""`executors`: the pools of threads and processes: what waits in their queues, what their threads do."""

from __future__ import annotations

import functools
import sys
import threading
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from contextvars import Context
from dataclasses import dataclass
from types import FrameType, ModuleType
from typing import Any

from ...probe.tasks import identity
from ...probe.threads import other_threads
from ...probe.threads.stack import stack_of
from ..protocol.command import Command, CommandClient
from ..protocol.result import CommandResult, Rows
from ..view import task_waits
from ..view.process import ProcessView
from ..view.task_view import short

COLUMNS = ("executor", "kind", "queued", "thread", "state", "runs", "awaited_by", "where", "workers", "most")
# The function of a pool's thread that takes work, and the one that does it.
_WORKER, _RUN = "_worker", "_WorkItem.run"


class ExecutorsCommand(Command):
    name = "executors"
    summary = "thread pools: their queues, and what each thread does"
    help_order = 100

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--stacks", action="store_true", help="the whole stack of each thread at work")

    def run(self, options: Namespace, process: ProcessView, client: CommandClient) -> CommandResult:
        # Only where the program has imported them; each module knows its threads.
        in_threads = sys.modules.get("concurrent.futures.thread")
        in_processes = sys.modules.get("concurrent.futures.process")
        workers = list(_workers(in_threads, process)) if in_threads else []
        pools = {id(worker.pool): worker.pool for worker in workers}
        rows = [_row(worker) for worker in sorted(workers, key=_key)]
        rows += [_pool_of_processes(thread) for thread in _managers(in_processes)]
        idle = sum(worker.is_idle for worker in workers)
        queued = sum(pool._work_queue.qsize() for pool in pools.values())
        lines = [f"{len(pools)} pools, {len(workers)} threads, {idle} idle, {queued} calls queued"]
        if options.stacks:
            for worker in workers:
                if not worker.is_idle:
                    lines += [f"{worker.thread}:", *(f"  {line}" for line in worker.stack)]
        return CommandResult(
            lines=tuple(lines),
            rows=Rows(COLUMNS, rows),
            data={"pools": len(pools), "threads": len(workers), "idle": idle, "queued": queued},
            hint="executors --stacks: the whole stack of each thread at work",
        )


@dataclass(frozen=True, slots=True)
class _Worker:
    """One thread of a pool."""

    pool: Any
    thread: str
    is_idle: bool
    runs: str | None
    awaited_by: str | None  # the task
    where: str | None  # the program's own line
    stack: tuple[str, ...]


def _workers(module: ModuleType, process: ProcessView) -> Iterator[_Worker]:
    frames = other_threads.frames()
    for thread in list(module._threads_queues):
        # A thread forgets its arguments when it has ended.
        arguments = getattr(thread, "_args", None) or (lambda: None,)
        pool = arguments[0]()
        if pool is None or thread.name.startswith(other_threads.OWN):
            continue
        stack = stack_of(frames.get(thread.ident))
        names = [frame.function for frame in stack]
        start = names.index(_RUN) + 1 if _RUN in names else len(names)
        work = stack[start:]
        item = _item_of(frames.get(thread.ident))
        yield _Worker(
            pool=pool,
            thread=thread.name,
            is_idle=not work and names[-1:] == [_WORKER],
            runs=_name(item.fn) if item is not None else None,
            awaited_by=_awaited_by(item.future) if item is not None else None,
            where=process.territory.place(process.territory.blamed(work)) or None,
            stack=tuple(process.territory.place(frame) for frame in work),
        )


def _item_of(frame: FrameType | None) -> Any:
    """The call that a thread of a pool carries out; `None` for an idle one."""
    while frame is not None:
        if frame.f_code.co_qualname == _RUN:
            # Until Python 3.12 this leaves a copy behind, of this one name, for as long as the call takes.
            return frame.f_locals.get("self")
        frame = frame.f_back
    return None


def _name(function: Any) -> str:
    """What is called: inside of a partial, and of the context with which `to_thread` calls it."""
    while isinstance(function, functools.partial):
        function = function.args[0] if _is_run(function) else function.func
    return str(getattr(function, "__qualname__", None) or type(function).__qualname__)


def _is_run(function: functools.partial[Any]) -> bool:
    return isinstance(getattr(function.func, "__self__", None), Context) and len(function.args) > 0


def _awaited_by(future: Any) -> str | None:
    inside = (held for callback in list(future._done_callbacks) for held in identity.futures_in(callback))
    waiters = [short(waiter) for one in inside for waiter in identity.waiters_of(one)]
    return ", ".join(waiters) or None


def _row(worker: _Worker) -> tuple[object, ...]:
    pool = worker.pool
    return (
        task_waits.name(pool),
        "threads",
        pool._work_queue.qsize(),
        worker.thread,
        "idle" if worker.is_idle else "at work",
        worker.runs,
        worker.awaited_by,
        worker.where,
        len(pool._threads),
        pool._max_workers,
    )


def _key(worker: _Worker) -> tuple[int, bool, str]:
    return task_waits.number(worker.pool), worker.is_idle, worker.thread


def _managers(module: ModuleType | None) -> list[threading.Thread]:
    """The threads that manage pools of processes, one for each."""
    return [] if module is None else list(module._threads_wakeups)


def _pool_of_processes(manager: Any) -> tuple[object, ...]:
    pool = manager.executor_reference()
    return (
        task_waits.name(pool) if pool is not None else None,
        "processes",
        len(manager.pending_work_items),
        manager.name,
        "shut down" if pool is None else "open",
        None,
        None,
        None,
        len(manager.processes),
        pool._max_workers if pool is not None else None,
    )
