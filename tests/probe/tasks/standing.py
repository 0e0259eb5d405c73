"""Programs in which tasks wait for long: some for ever, some on purpose; and tasks that die."""

# Every trouble has its own coroutine, so that a report names each. They last as long as the program: at
# least five seconds, and longer where the machine is busy, so that as many tasks come as ever.
STANDING = """
    from contextlib import asynccontextmanager

    ROUNDS = 20
    kept = []

    def start(work):
        kept.append(asyncio.create_task(work))

    async def for_ever():
        kept.append(future := asyncio.get_running_loop().create_future())
        await future

    class Store:
        def __init__(self):
            self.changed = asyncio.Condition()

        async def take(self):
            async with self.changed:
                await self.give()  # gives

        async def give(self):
            async with self.changed:  # again
                self.changed.notify()

    async def visit(store):
        await store.take()  # visits

    class Account:
        def __init__(self):
            self.lock = asyncio.Lock()

        @asynccontextmanager
        async def opened(self):
            async with self.lock:
                yield self

    async def transfer(a, b):
        async with a.opened():
            await asyncio.sleep(0.05)
            async with b.lock:
                pass

    async def audit(a, b):
        async with b.lock:
            await asyncio.sleep(0.05)
            async with a.lock:
                pass

    async def nested(lock):
        async with lock:
            await asyncio.create_task(inner(lock))

    async def inner(lock):
        async with lock:
            pass

    async def call(limit):
        async with limit:  # calls
            await for_ever()

    class DatabasePool:
        def __init__(self):
            self.free = asyncio.LifoQueue()
            self.free.put_nowait("connection")

        async def connection(self):
            return await self.free.get()

    async def query(pool):
        await pool.connection()  # queries

    class Sender:
        def __init__(self):
            self.waiters = []

        async def acquire_slot(self):
            self.waiters.append(slot := asyncio.get_running_loop().create_future())
            await slot

    async def send(sender):
        await sender.acquire_slot()  # sends

    async def feed(queue):
        await queue.put("item")  # feeds

    async def main():
        store, a, b, lock = Store(), Account(), Account(), asyncio.Lock()
        limit, pool, sender, full = asyncio.Semaphore(2), DatabasePool(), Sender(), asyncio.Queue(1)
        start(transfer(a, b))
        start(audit(a, b))
        start(nested(lock))
        for _ in range(ROUNDS):
            for work in (visit(store), call(limit), query(pool), send(sender), feed(full)):
                start(work)
            await asyncio.sleep(0.25)
        os._exit(0)
"""

# Nothing here is wrong, and it lasts as long.
RESTING = """
    ROUNDS = 20
    kept = []

    def start(work):
        kept.append(asyncio.create_task(work))

    async def worker(jobs):
        while True:
            await jobs.get()

    async def websocket():
        await asyncio.Queue().get()

    async def long_poll(changed):
        async with changed:
            await changed.wait()

    async def subscriber(news):
        await news.wait()

    class WorkerPool:
        def __init__(self):
            self.jobs = asyncio.Queue()

        async def next_job(self):
            return await self.jobs.get()

    class Leadership:
        def __init__(self):
            self.lock = asyncio.Lock()
            self.renewed = 0

        async def lead(self):
            await self.lock.acquire()
            while True:
                self.renewed += 1
                await asyncio.sleep(0.1)

    async def limited(rate):
        await rate.acquire()
        asyncio.get_running_loop().call_later(0.4, rate.release)

    async def paced(pace):
        async with pace:
            await asyncio.sleep(4)

    async def job(limit, seconds):
        async with limit:
            await asyncio.sleep(seconds)

    async def download(limit):
        async with limit:
            while True:
                await asyncio.sleep(0.1)

    async def produce(queue):
        while True:
            await queue.put("item")

    async def consume_slowly(queue):
        while True:
            await queue.get()
            await asyncio.sleep(60)

    class Batches:
        def __init__(self):
            self.jobs = asyncio.Queue()

        async def distribute(self):
            while True:
                await self.jobs.get()
                start(self.work())

        async def work(self):
            await asyncio.sleep(60)
            self.finish()

        def finish(self):
            self.jobs.task_done()

        async def flush(self):
            await self.jobs.join()

    async def passing(gate):
        await gate.put(None)
        await asyncio.sleep(60)
        gate.get_nowait()

    async def refill(full, source):
        while True:
            await full.put(await source.get())

    class Meter:
        def __init__(self):
            self.readings = asyncio.Queue(1)

        async def read(self):
            while True:
                await asyncio.sleep(60)
                self.empty()

        def empty(self):
            return self.readings.get_nowait()

        async def write(self):
            while True:
                await self.readings.put(1)

    async def consume_at_times(condition):
        async with condition:
            while True:
                await condition.wait()

    async def main():
        jobs, changed, news = asyncio.Queue(), asyncio.Condition(), asyncio.Event()
        rate = asyncio.Semaphore(1)
        pace, full, leadership, pool = asyncio.Lock(), asyncio.Queue(1), Leadership(), WorkerPool()
        batch, parallel, downloads = asyncio.Semaphore(2), asyncio.Semaphore(2), asyncio.Semaphore(2)
        for _ in range(5):
            start(worker(jobs))
            start(produce(full))
        start(consume_slowly(full))
        for _ in range(3):
            start(leadership.lead())
        for _ in range(40):
            start(job(batch, 0.2))
            start(job(parallel, 30))
        stop = asyncio.Event()
        start(stop.wait())
        batches, gate, meter, source = Batches(), asyncio.Queue(1), Meter(), asyncio.Queue()
        batches.jobs.put_nowait("job")
        source.put_nowait("item")
        start(refill(full, source))
        for work in (batches.distribute(), batches.flush(), meter.read(), meter.write()):
            start(work)
        for _ in range(3):
            start(passing(gate))
        for _ in range(ROUNDS):
            for work in (websocket(), long_poll(changed), subscriber(news), pool.next_job(), limited(rate)):
                start(work)
            for work in (paced(pace), download(downloads), consume_at_times(changed)):
                start(work)
            await asyncio.sleep(0.25)
        os._exit(0)
"""

# Three tasks wait for a lock and for a permit whose takers failed, were cancelled, or left without a word.
LEFT = """
    async def careless(lock, permits):
        await lock.acquire()
        await permits.acquire()
        raise ValueError("no such account")

    async def forgetful(permits):
        await permits.acquire()

    async def withdraw(lock):
        async with lock:  # withdraws
            pass

    async def report(permits):
        async with permits:  # reports
            pass

    async def crawl(pages):
        while True:
            page = await pages.get()
            for number in range(3):
                await pages.put((page, number))  # crawls

    async def work(jobs):
        while True:
            await jobs.get()

    async def flush(jobs):
        await jobs.join()  # flushes

    async def main():
        lock, permits = asyncio.Lock(), asyncio.Semaphore(2)
        pages, jobs = asyncio.Queue(2), asyncio.Queue()
        pages.put_nowait("home")
        jobs.put_nowait("job")
        await asyncio.gather(careless(lock, permits), forgetful(permits), return_exceptions=True)
        waiting = [asyncio.create_task(work) for work in (withdraw(lock), report(permits))]
        waiting += [asyncio.create_task(one) for one in (crawl(pages), work(jobs), flush(jobs))]
        await asyncio.sleep(4.5)
        os._exit(0)
"""

# Tasks that die of an exception nobody looks at, and what waits for them. They live long enough for a census:
# since Python 3.14, a task that is done is known only if it was found pending before.
DYING = """
    class Consumer:
        def __init__(self, size=0):
            self.messages = asyncio.Queue(size)

        async def consume(self):
            while True:
                json.loads(await self.messages.get())  # consumes

        async def handle(self):
            while True:
                raise KeyError(await self.messages.get())  # handles

    class Cache:
        async def refresh(self):
            await asyncio.sleep(0.5)
            raise ConnectionError("no route to cache")  # refreshes

    async def sort(letters):
        async def sort_each():
            while True:
                raise LookupError(await letters.get())  # sorts
        return asyncio.create_task(sort_each())

    async def reduce(barrier, number):
        await asyncio.sleep(0.5)
        if number == 2:
            raise ArithmeticError("no number")  # reduces
        await barrier.wait()  # waits

    async def produce(consumer):
        await asyncio.sleep(0.5)
        while True:
            await consumer.messages.put("job")  # produces

    async def main():
        consumer, worker, cache = Consumer(), Consumer(3), Cache()
        consumer.task = asyncio.create_task(consumer.consume())
        worker.tasks = tuple(asyncio.create_task(worker.handle()) for _ in range(2))
        cache.task = asyncio.create_task(cache.refresh())
        producing = asyncio.create_task(produce(worker))
        sorting = await sort(letters := asyncio.Queue())
        barrier = asyncio.Barrier(3)
        reducing = [asyncio.create_task(reduce(barrier, number)) for number in range(3)]
        for number in range(70):
            letters.put_nowait("letter")
            consumer.messages.put_nowait("{" if number == 20 else "1")
            await asyncio.sleep(0.05)
        os._exit(0)
"""

# Tasks that end with exceptions, each of which somebody looks at in time.
LOOKED_AT = """
    async def fail(after_s=0.05):
        await asyncio.sleep(after_s)
        raise ValueError("as expected")

    class Supervisor:
        def __init__(self):
            self.tasks = [asyncio.create_task(fail()) for _ in range(3)]
            self.timed = asyncio.create_task(fail())

        async def look(self):
            await asyncio.sleep(2)
            self.timed.exception()

        async def end(self):
            for task in self.tasks:
                task.exception()

    class Producer:
        def __init__(self):
            self.items = asyncio.Queue()

        async def produce(self):
            self.items.put_nowait(1)
            raise ValueError("as expected")

        async def consume(self):
            while True:
                await self.items.get()

    class Refresher:
        def __init__(self):
            self.task = asyncio.create_task(fail())

        async def stop(self):
            try:
                await self.task
            except ValueError:
                self.task = None

    async def main():
        supervisor, producer, refresher, last = Supervisor(), Producer(), Refresher(), Refresher()
        looking = asyncio.create_task(supervisor.look())
        gathered = asyncio.gather(fail(), fail(), return_exceptions=True)
        later = asyncio.create_task(fail())
        logged = asyncio.create_task(fail())
        logged.add_done_callback(lambda task: task.exception())
        consuming = asyncio.create_task(producer.consume())
        producing = asyncio.create_task(producer.produce())
        for n in range(25):
            producer.items.put_nowait(2)
            if n == 15:
                await refresher.stop()
            await asyncio.sleep(0.1)
        await gathered
        try:
            await later
        except ValueError:
            pass
        producing.exception()
        await supervisor.end()
        await last.stop()
"""
