"""The source of an event loop that shares nothing with asyncio's own, as other projects write theirs."""

BARE_LOOP = '''
import asyncio, collections, heapq, itertools, os, select, sys, time, traceback

class BareLoop(asyncio.AbstractEventLoop):
    """It only says `_set_running_loop`, and waits in an epoll of its own."""

    def __init__(self):
        self.queue, self.heap, self.numbers = collections.deque(), [], itertools.count()
        self.poll, (self.bell, self.ring) = select.epoll(), os.pipe()
        self.poll.register(self.bell, select.EPOLLIN)
        self.stopping = self.running = False

    def run_forever(self):
        asyncio._set_running_loop(self)
        self.stopping, self.running = False, True
        try:
            while not self.stopping:
                self.turn()
        finally:
            self.running = False
            asyncio._set_running_loop(None)

    def turn(self):
        wait = 0 if self.queue else max(0, self.heap[0][0] - self.time()) if self.heap else -1
        if self.poll.poll(wait):
            os.read(self.bell, 4096)
        while self.heap and self.heap[0][0] <= self.time():
            self.queue.append(heapq.heappop(self.heap)[2])
        for _ in range(len(self.queue)):
            handle = self.queue.popleft()
            if not handle.cancelled():
                handle._run()

    def run_until_complete(self, future):
        future = asyncio.ensure_future(future, loop=self)
        future.add_done_callback(lambda _: self.stop())
        self.run_forever()
        return future.result()

    def stop(self): self.stopping = True
    def is_running(self): return self.running
    def is_closed(self): return False
    def close(self): self.poll.close()
    def time(self): return time.monotonic()
    def get_debug(self): return False
    def create_future(self): return asyncio.Future(loop=self)
    def create_task(self, coro, **how): return asyncio.Task(coro, loop=self, **how)
    def call_exception_handler(self, context): print(context, file=sys.stderr)
    def _timer_handle_cancelled(self, handle): pass

    def call_soon(self, callback, *args, context=None):
        self.queue.append(handle := asyncio.Handle(callback, args, self, context))
        return handle

    def call_soon_threadsafe(self, callback, *args, context=None):
        handle = self.call_soon(callback, *args, context=context)
        os.write(self.ring, b"!")
        return handle

    def call_later(self, delay, callback, *args, context=None):
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(self, when, callback, *args, context=None):
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        heapq.heappush(self.heap, (when, next(self.numbers), handle))
        return handle
'''
