"""Programs that hand work of a span to threads, and whose traces stay whole or end on purpose."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from opentelemetry import context, trace
from opentelemetry.sdk.trace import TracerProvider

from tests.healthy.programs.play import play, ticks

trace.set_tracer_provider(TracerProvider())
_tracer = trace.get_tracer("shop")


def _query() -> None:
    with _tracer.start_as_current_span("query"):
        time.sleep(0.01)


async def work_in_threads() -> None:
    """`to_thread` takes the context along."""
    async for _ in ticks(0.05):
        with _tracer.start_as_current_span("request"):
            await asyncio.to_thread(_query)


async def a_context_that_is_copied() -> None:
    """The function is run in a copy of the context."""
    with ThreadPoolExecutor(2) as pool:
        async for _ in ticks(0.05):
            with _tracer.start_as_current_span("request"):
                run = contextvars.copy_context().run
                await asyncio.get_running_loop().run_in_executor(pool, run, _query)


async def a_parent_that_is_handed_over() -> None:
    """The thread is given the context, and attaches it."""

    def work(parent: context.Context) -> None:
        token = context.attach(parent)
        try:
            _query()
        finally:
            context.detach(token)

    with ThreadPoolExecutor(2) as pool:
        async for _ in ticks(0.05):
            with _tracer.start_as_current_span("request"):
                await asyncio.get_running_loop().run_in_executor(pool, work, context.get_current())


async def roots_that_are_meant() -> None:
    """A job begins a trace of its own, linked to the request that asked for it."""

    def job(link: trace.Link) -> None:
        with _tracer.start_as_current_span("job", context=context.Context(), links=[link]):
            time.sleep(0.01)

    with ThreadPoolExecutor(2) as pool:
        async for _ in ticks(0.05):
            with _tracer.start_as_current_span("request") as span:
                link = trace.Link(span.get_span_context())
                await asyncio.get_running_loop().run_in_executor(pool, job, link)


async def a_periodic_job() -> None:
    """A thread that a request has started once runs a job of its own each second."""
    ended = threading.Event()

    def refresh() -> None:
        while not ended.wait(0.3):
            _query()

    with _tracer.start_as_current_span("first request"):
        thread = threading.Thread(target=refresh)
        thread.start()
    async for _ in ticks(0.1, 4):
        with _tracer.start_as_current_span("request"):
            await asyncio.sleep(0.01)
    ended.set()
    await asyncio.to_thread(thread.join)


async def tasks_of_a_request() -> None:
    """Tasks inherit the context, also after their request has ended."""

    async def later() -> None:
        await asyncio.sleep(0.2)
        with _tracer.start_as_current_span("later"):
            await asyncio.sleep(0.01)

    tasks = []
    async for _ in ticks(0.05, 4):
        with _tracer.start_as_current_span("request"):
            tasks.append(asyncio.create_task(later()))
    await asyncio.gather(*tasks)


async def threads_without_spans() -> None:
    """What is handed over makes no span."""
    with ThreadPoolExecutor(2) as pool:
        async for _ in ticks(0.05):
            with _tracer.start_as_current_span("request"):
                await asyncio.get_running_loop().run_in_executor(pool, time.sleep, 0.01)


if __name__ == "__main__":
    play(globals())
