"""`executors`: thread and process pools, the length of their queues, what their threads do, what stands."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ...probe.hooks.state import executor_state, task_state
from ...probe.hooks.state.executor_state import PoolCall, ProcessPool
from ...probe.tasks import identity
from ...probe.threads import other_threads
from ...probe.threads.stack import stack_of
from ...stacks.turn_stack import TurnStack, work_in
from ..protocol.command import Command, CommandClient
from ..protocol.result import CommandResult, Rows
from ..protocol.table import counted
from ..view import judgement, task_table, task_waits
from ..view.process import ProcessView

COLUMNS = ("executor", "kind", "queued", "thread", "state", "runs", "awaited_by", "where", "workers", "most")


class ExecutorsCommand(Command):
    name = "executors"
    summary = "thread pools: their queues, and what each thread does"
    help_order = 100

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--stacks", action="store_true", help="the whole stack of each busy thread")

    def run(self, options: Namespace, process: ProcessView, client: CommandClient) -> CommandResult:
        workers = list(_workers(process))
        pools = {id(worker.pool): worker.pool for worker in workers}
        rows = [
            _row(worker)
            for worker in sorted(workers, key=lambda w: (task_waits.number(w.pool), w.is_idle, w.thread))
        ]
        rows += map(_pool_of_processes, executor_state.process_pools())
        idle = sum(worker.is_idle for worker in workers)
        queued = sum(map(executor_state.queued, pools.values()))
        threads = f"{counted(len(workers), 'thread')}, {idle} idle"
        found = judgement.about(process, "executors")
        lines = [*judgement.lines(found, process)]
        lines.append(f"{counted(len(pools), 'pool')}, {threads}, {counted(queued, 'call')} queued")
        if options.stacks:
            for worker in workers:
                if not worker.is_idle:
                    lines += [f"{worker.thread}:", *(f"  {line}" for line in worker.stack)]
        return CommandResult(
            lines=tuple(lines),
            rows=Rows(COLUMNS, rows),
            data={
                "findings": judgement.data(found, process),
                "pools": len(pools),
                "threads": len(workers),
                "idle": idle,
                "queued": queued,
            },
            hint="executors --stacks: the whole stack of each busy thread",
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


def _workers(process: ProcessView) -> Iterator[_Worker]:
    frames, ownership = other_threads.frames(), process.ownership
    for thread, pool in executor_state.pool_threads():
        if thread.name.startswith(other_threads.OWN):
            continue
        frame = frames.get(thread.ident or 0)
        stack = stack_of(frame)
        names = [frame.function for frame in stack]
        work = work_in(stack) or ()
        call = executor_state.running_call(frame)
        yield _Worker(
            pool=pool,
            thread=thread.name,
            is_idle=not work and names[-1:] == [executor_state.WAITS],
            runs=identity.name_of(identity.innermost(call.function)) if call is not None else None,
            awaited_by=_awaited_by(call) if call is not None else None,
            where=ownership.place(TurnStack(work, ownership).blamed) or None,
            stack=tuple(map(ownership.place, work)),
        )


def _awaited_by(call: PoolCall) -> str | None:
    futures = (future for callback in call.callbacks for future in task_state.futures_in(callback))
    waiters = [task_table.label(task) for future in futures for task in identity.waiters_of(future)]
    return ", ".join(waiters) or None


def _row(worker: _Worker) -> tuple[object, ...]:
    return (
        task_waits.name(worker.pool),
        "threads",
        executor_state.queued(worker.pool),
        worker.thread,
        "idle" if worker.is_idle else "at work",
        worker.runs,
        worker.awaited_by,
        worker.where,
        executor_state.threads(worker.pool),
        executor_state.most_workers(worker.pool),
    )


def _pool_of_processes(pool: ProcessPool) -> tuple[object, ...]:
    return (
        task_waits.name(pool.executor) if pool.executor is not None else None,
        "processes",
        pool.pending,
        pool.manager,
        "shut down" if pool.executor is None else "open",
        None,
        None,
        None,
        pool.processes,
        pool.most,
    )
