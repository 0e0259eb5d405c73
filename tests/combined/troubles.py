"""Programs in each of which one trouble leads to others.

They last as long as the slowest rule needs, and end without a word, as a service that is killed does.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Trouble:
    """A program, and what the report says first."""

    rule: str  # which finds the cause
    names: str  # in the first sentence
    below: tuple[str, ...]  # the rules whose findings may follow
    program: str


TROUBLES = {
    "a block, a lock of threads and a pool": Trouble(
        "blocks",
        "settle",
        ("executors",),
        """
        import asyncio, os, threading, time
        from concurrent.futures import ThreadPoolExecutor

        ledger = threading.Lock()

        def book():
            with ledger:
                time.sleep(0.01)

        def rate():
            return 1

        def settle():
            with ledger:
                time.sleep(2.5)

        async def main():
            loop, calls = asyncio.get_running_loop(), []
            loop.set_default_executor(ThreadPoolExecutor(2))
            for number in range(3):
                for function in (book, book, rate, rate):
                    calls.append(asyncio.create_task(asyncio.to_thread(function)))
                await asyncio.sleep(0.01)
                settle()
                await asyncio.sleep(0.3)
            os._exit(0)

        asyncio.run(main())
        """,
    ),
    "a block inside of a lock": Trouble(
        "blocks",
        "write",
        ("standstills", "growth"),
        """
        import asyncio, os, time

        def write():
            time.sleep(1.5)

        async def save(lock):
            async with lock:
                write()
                await asyncio.sleep(0.05)

        async def main():
            lock, tasks, jobs = asyncio.Lock(), [], asyncio.Queue()
            for _ in range(5):
                tasks += [asyncio.create_task(save(lock)) for _ in range(4)]
                for number in range(100):
                    jobs.put_nowait(number)
                await asyncio.sleep(0.1)
            os._exit(0)

        asyncio.run(main())
        """,
    ),
    "a dead consumer, a full queue and one that grows": Trouble(
        "deaths",
        "consume died",
        ("standstills", "growth", "tasks"),
        """
        import asyncio, json, os

        class Pipeline:
            def __init__(self):
                self.orders, self.inbox = asyncio.Queue(5), asyncio.Queue()

            async def consume(self):
                while True:
                    json.loads(await self.orders.get())
                    await asyncio.sleep(0)

            async def forward(self):
                while True:
                    await self.orders.put(await self.inbox.get())

            async def order(self):
                await self.orders.put("1")

        async def main():
            pipeline, tasks = Pipeline(), []
            pipeline.consumer = asyncio.create_task(pipeline.consume())
            tasks.append(asyncio.create_task(pipeline.forward()))
            for number in range(140):
                for _ in range(5):
                    pipeline.inbox.put_nowait("{" if number == 10 else "1")
                if number % 5 == 0:
                    tasks.append(asyncio.create_task(pipeline.order()))
                await asyncio.sleep(0.05)
            os._exit(0)

        asyncio.run(main())
        """,
    ),
    "a permit that is gone, and tasks that pile up": Trouble(
        "standstills",
        "no task that lives has the Semaphore",
        ("tasks",),
        """
        import asyncio, os

        async def render(limit):
            await limit.acquire()
            await asyncio.sleep(0.2)
            limit.release()

        async def main():
            limit, tasks = asyncio.Semaphore(2), []
            for _ in range(2):
                tasks.append(asyncio.create_task(render(limit)))
            await asyncio.sleep(0.1)
            for task in tasks:
                task.cancel()
            tasks.clear()
            for _ in range(70):
                tasks.append(asyncio.create_task(render(limit)))
                await asyncio.sleep(0.1)
            os._exit(0)

        asyncio.run(main())
        """,
    ),
    "a deadlock and a queue that grows": Trouble(
        "standstills",
        "a deadlock",
        ("growth", "tasks"),
        """
        import asyncio, os

        class Cart:
            def __init__(self):
                self.lock, self.events = asyncio.Lock(), asyncio.Queue()

            async def work(self):
                while True:
                    await self.events.get()
                    async with self.lock:
                        await self.total()

            async def total(self):
                async with self.lock:
                    return 1

        async def main():
            cart = Cart()
            worker = asyncio.create_task(cart.work())
            for number in range(140):
                for _ in range(5):
                    cart.events.put_nowait(number)
                await asyncio.sleep(0.05)
            os._exit(0)

        asyncio.run(main())
        """,
    ),
    "a child on a full pipe and a queue that grows": Trouble(
        "children",
        "a full pipe that nobody reads",
        ("growth", "tasks"),
        """
        import asyncio, os, sys

        LOUD = "import sys; sys.stderr.write('progress ' * 60000)"

        async def convert(jobs):
            while True:
                await jobs.get()
                child = await asyncio.create_subprocess_exec(
                    sys.executable, "-c", LOUD, stderr=asyncio.subprocess.PIPE
                )
                await child.wait()

        async def main():
            jobs = asyncio.Queue()
            worker = asyncio.create_task(convert(jobs))
            for number in range(140):
                for _ in range(5):
                    jobs.put_nowait(number)
                await asyncio.sleep(0.05)
            os._exit(0)

        asyncio.run(main())
        """,
    ),
    "a full pool, a lock and a queue that grows": Trouble(
        "executors",
        "behind poll_job",
        ("growth", "standstills", "tasks"),
        """
        import asyncio, os, time
        from concurrent.futures import ThreadPoolExecutor

        def poll_job():
            time.sleep(60)

        def read_row():
            return 1

        async def work(jobs):
            while True:
                await jobs.get()
                await asyncio.to_thread(read_row)

        async def look_up(cache):
            async with cache:
                await asyncio.to_thread(read_row)

        async def main():
            jobs, cache = asyncio.Queue(), asyncio.Lock()
            asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(3))
            tasks = [asyncio.create_task(asyncio.to_thread(poll_job)) for _ in range(3)]
            await asyncio.sleep(0.6)
            tasks.append(asyncio.create_task(work(jobs)))
            for number in range(140):
                for _ in range(5):
                    jobs.put_nowait(number)
                if number % 5 == 0:
                    tasks.append(asyncio.create_task(look_up(cache)))
                await asyncio.sleep(0.05)
            os._exit(0)

        asyncio.run(main())
        """,
    ),
    "a loop that is not woken, and its tasks": Trouble(
        "wakeups",
        "which does not wake the loop",
        ("growth", "standstills", "tasks"),
        """
        import asyncio, os, threading, time

        def feed(items):
            while True:
                time.sleep(0.4)
                items.put_nowait(1)

        async def consume(items):
            while True:
                await items.get()

        async def main():
            items = asyncio.Queue()
            threading.Thread(target=feed, args=(items,), daemon=True).start()
            task = asyncio.create_task(consume(items))
            for _ in range(3):
                await asyncio.sleep(1.6)
            os._exit(0)

        asyncio.run(main())
        """,
    ),
    "a spin and a pool": Trouble(
        "spins",
        "Session.watch waits for nothing",
        ("executors",),
        """
        import asyncio, os, time

        class Session:
            closed = False

            async def watch(self):
                while not self.closed:
                    await asyncio.sleep(0)

        def read_row():
            time.sleep(0.001)
            return sum(range(2000))

        async def request():
            await asyncio.to_thread(read_row)

        async def main():
            watching = asyncio.create_task(Session().watch())
            tasks, ends = [], time.monotonic() + 8
            while time.monotonic() < ends:
                tasks.append(asyncio.create_task(request()))
                await asyncio.sleep(0.2)
            os._exit(0)

        asyncio.run(main())
        """,
    ),
    "a collector and a growing heap": Trouble(
        "blocks",
        "collection of generation",
        ("growth",),
        """
        import asyncio, os, time

        class Node:
            def __init__(self, before):
                self.before, self.parts = before, [[], {}, ()]

        async def grow(kept):
            node = None
            while True:
                for _ in range(500):
                    node = Node(node)
                    kept.append(node)
                await asyncio.sleep(0.001)

        async def main():
            kept = []
            task, ends = asyncio.create_task(grow(kept)), time.monotonic() + 12
            while time.monotonic() < ends:
                await asyncio.sleep(0.05)
            os._exit(0)

        asyncio.run(main())
        """,
    ),
}
