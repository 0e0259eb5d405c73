"""Small programs that keep their own books: each knows by its own clock where the time of its spans went.

Run under the probe, it prints for each span the seconds of its parts; what is left out is next to nothing.
"""

import asyncio
import json
import os
import socket
import sys
import threading
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from time import perf_counter as now

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

# Its books know nothing of the times at which a busy machine takes the processor away, so it comes first.
with suppress(PermissionError):
    os.nice(-15)

trace.set_tracer_provider(TracerProvider())
tracer = trace.get_tracer("truths")
span = tracer.start_as_current_span
truth: defaultdict[str, defaultdict[str, float]] = defaultdict(lambda: defaultdict(float))


def spend(name: str, part: str, since: float) -> float:
    """The time since then has gone into that part of the span; now is the answer."""
    truth[name][part] += now() - since
    return now()


async def sleep(name: str, seconds: float) -> None:
    """Sleep; if it takes longer, the loop was late."""
    at = now()
    await asyncio.sleep(seconds)
    truth[name]["timer"] += seconds
    truth[name]["ready"] += now() - at - seconds


def compute(seconds: float) -> None:
    until = now() + seconds
    while now() < until:
        pass


async def timer() -> None:
    with span("timer"):
        await sleep("timer", 0.04)


async def behind_a_block() -> None:
    event, done = asyncio.Event(), asyncio.Event()
    set_at = 0.0

    async def victim() -> None:
        with span("victim"):
            at = now()
            await event.wait()
            truth["victim"]["task"] += set_at - at
            truth["victim"]["ready"] += now() - set_at
        done.set()

    async def hold() -> None:
        nonlocal set_at
        await asyncio.sleep(0.02)
        set_at = now()
        event.set()
        time.sleep(0.09)

    await asyncio.gather(victim(), hold(), done.wait())


async def queue_of_an_executor() -> None:
    begun = ended = 0.0

    def job() -> None:
        nonlocal begun, ended
        begun = now()
        time.sleep(0.03)
        ended = now()

    with ThreadPoolExecutor(1) as pool, span("queued"):
        first = asyncio.get_running_loop().run_in_executor(pool, time.sleep, 0.05)
        submitted = now()
        await asyncio.get_running_loop().run_in_executor(pool, job)
        truth["queued"]["queued"] += begun - submitted
        truth["queued"]["executor"] += ended - begun
        await first


async def convoy() -> None:
    lock = asyncio.Lock()

    async def member(name: str) -> None:
        with span(name):
            at = now()
            async with lock:
                spend(name, "task", at)
                await sleep(name, 0.03)

    await asyncio.gather(member("head"), member("middle"), member("tail"))


async def hop() -> None:
    queue: asyncio.Queue[str] = asyncio.Queue()

    async def produce() -> None:
        with span("produce"):
            await sleep("produce", 0.03)
            await queue.put("item")

    async def consume() -> None:
        with span("consume"):
            at = now()
            await queue.get()
            spend("consume", "task", at)

    await asyncio.gather(consume(), produce())


async def cancelled() -> None:
    async def victim() -> None:
        with span("cancelled"):
            at = now()
            try:
                await asyncio.sleep(10)
            finally:
                spend("cancelled", "task", at)

    task = asyncio.create_task(victim())
    await asyncio.sleep(0.03)
    task.cancel()
    await asyncio.wait([task])


async def without_the_gil() -> None:
    # By CPU time, since a busy machine may take the processor away in between.
    at = time.thread_time()
    sum(range(1_000_000))
    count = int(1_000_000 * 0.2 / (time.thread_time() - at))

    over, loop_waits = False, threading.Event()
    interval_s = sys.getswitchinterval()

    def keep() -> None:
        loop_waits.wait()
        sum(range(count))  # keeps the GIL: it is one call in C
        truth["keeper"]["cpu"] = time.thread_time()
        sys.setswitchinterval(interval_s)
        time.sleep(0)  # else the loop's thread would wait for ten seconds until it asks again
        while not over:
            sum(range(1_000))

    thread = threading.Thread(target=keep, name="keeper")
    thread.start()
    # The keeper gets the GIL when the loop begins to wait, and not before.
    sys.setswitchinterval(10)
    with span("gil"):
        loop_waits.set()
        await sleep("gil", 0.03)
    over = True
    thread.join()


async def asleep_on_the_loop() -> None:
    with span("asleep"):
        at = now()
        time.sleep(0.06)
        spend("asleep", "run", at)


async def from_a_socket() -> None:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    written = 0.0

    def answer() -> None:
        nonlocal written
        time.sleep(0.04)
        written = now()
        theirs.send(b"x")

    threading.Thread(target=answer).start()
    with span("socket"):
        at = now()
        await asyncio.get_running_loop().sock_recv(ours, 1)
        truth["socket"]["io"] += written - at
    ours.close()
    theirs.close()


async def from_a_socket_behind_a_block() -> None:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)

    async def hold() -> None:
        await asyncio.sleep(0.02)
        at = now()
        theirs.send(b"x")
        time.sleep(0.07)
        spend("late socket", "ready", at)

    async def receive() -> None:
        with span("late socket"):
            await asyncio.get_running_loop().sock_recv(ours, 1)

    at = now()
    await asyncio.gather(receive(), hold())
    truth["late socket"]["io"] += now() - at - truth["late socket"]["ready"]
    ours.close()
    theirs.close()


async def nested() -> None:
    with span("outer"):
        at = now()
        compute(0.02)
        at = spend("outer", "run", at)
        with span("inner"):
            await sleep("inner", 0.03)
        truth["outer"] |= truth["inner"]
        at = now()
        compute(0.01)
        spend("outer", "run", at)


async def interleaved() -> None:
    async def turn_by_turn(name: str) -> None:
        with span(name):
            for _ in range(5):
                at = now()
                compute(0.01)
                at = spend(name, "run", at)
                await asyncio.sleep(0)
                spend(name, "ready", at)

    await asyncio.gather(turn_by_turn("first trace"), turn_by_turn("second trace"))


async def in_a_thread() -> None:
    begun = ended = 0.0

    def job() -> None:
        nonlocal begun, ended
        begun = now()
        with span("in the thread"):
            at = now()
            time.sleep(0.03)
            spend("in the thread", "executor", at)
        ended = now()

    await asyncio.to_thread(int)  # to start a thread takes its time
    with span("to_thread"):
        await asyncio.to_thread(job)
        truth["to_thread"]["executor"] += ended - begun


async def gathered() -> None:
    with span("gather"):
        at = now()
        await asyncio.gather(asyncio.sleep(0.02), asyncio.sleep(0.05))
        spend("gather", "task", at)


async def group() -> None:
    async def child(seconds: float) -> None:
        with span(f"child {seconds}"):
            await sleep(f"child {seconds}", seconds)

    with span("group"):
        at = now()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(child(0.07))
            tasks.create_task(child(0.01))
        spend("group", "task", at)


async def given_up() -> None:
    with span("timeout"):
        at = now()
        try:
            async with asyncio.timeout(0.03):
                await asyncio.Event().wait()
        except TimeoutError:
            truth["timeout"]["timer"] += 0.03
            truth["timeout"]["ready"] += now() - at - 0.03


async def bystanders() -> None:
    """Tasks that belong to no trace keep a loop busy in short steps."""
    stop = False

    async def tick() -> None:
        while not stop:
            compute(0.00005)
            await asyncio.sleep(0)

    ticking = [asyncio.create_task(tick()) for _ in range(400)]
    await asyncio.sleep(0)
    with span("crowd"):
        at = now()
        await asyncio.sleep(0)
        spend("crowd", "ready", at)
    stop = True
    await asyncio.gather(*ticking)


async def get(name: str, seconds: float) -> None:
    with span(f"get /{name}"):
        await sleep(f"get /{name}", seconds)


async def overlapping() -> None:
    """The shape of jaeger-ui's issue 2371: `foo2` overlaps, and nobody waits for it."""

    async def one() -> None:
        await get("foo1", 0.03)
        await asyncio.sleep(0.03)
        await get("foo3", 0.09)

    async def two() -> None:
        await get("foo2", 0.06)

    with span("main"):
        await asyncio.gather(one(), two())


async def main() -> None:
    for program in (
        timer,
        behind_a_block,
        queue_of_an_executor,
        convoy,
        hop,
        cancelled,
        without_the_gil,
        asleep_on_the_loop,
        from_a_socket,
        from_a_socket_behind_a_block,
        nested,
        interleaved,
        in_a_thread,
        gathered,
        group,
        given_up,
        bystanders,
        overlapping,
    ):
        await asyncio.create_task(program())
    if sys.version_info >= (3, 12):
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
        with span("eager"):
            await asyncio.create_task(nested_eagerly())


async def nested_eagerly() -> None:
    with span("eager child"):
        at = now()
        compute(0.02)
        at = spend("eager child", "run", at)
        await sleep("eager child", 0.02)
        spend("eager", "task", at)
        truth["eager"]["run"] = truth["eager child"]["run"]


asyncio.run(main())
print(json.dumps(truth))
