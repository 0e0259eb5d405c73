"""What every workload shares: run it in a loop of its own, and print what one item of it cost as JSON.

``python WORKLOAD.py COUNT [WATCHER]`` does COUNT items under the watcher of that name. Only the standard
library and the watcher are imported, so any Python can run it.

``python WORKLOAD.py COUNT by_turns [HZ]`` does them again and again on two loops by turns, of which one has
its turns timed, or, of two whose turns are timed, samples taken HZ times per second. It prints the pairs: two
that share a process and its memory are told apart to half a percent.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable

import watchers

# So many times the count is done before the clock starts: the interpreter specialises its bytecode, queues
# grow, and what the probe does in the first moments of a program is not taken for what it always does.
WARM_UP = 3
# Of two loops by turns: so many pairs of them.
PAIRS = 150


def run(work: Callable[[int], Awaitable[object]]) -> None:
    """Do *work*; print the CPU time per item, in microseconds, of the loop's thread and of the process."""
    count, *names = sys.argv[1:]
    if names[:1] == ["by_turns"]:
        _by_turns(work, int(count), float((names[1:] or ["0"])[0]))
        return
    asyncio.run(_measured(work, int(count), names))


async def _measured(work: Callable[[int], Awaitable[object]], count: int, names: list[str]) -> None:
    # What a watcher gives back is kept: a task without a reference may be collected.
    _held = [watchers.WATCHERS[name]() for name in names]
    await work(int(count * WARM_UP))
    loop_ns, process_ns = time.thread_time_ns(), time.process_time_ns()
    await work(count)
    loop_ns, process_ns = time.thread_time_ns() - loop_ns, time.process_time_ns() - process_ns
    print(json.dumps({"loop_cpu_us": loop_ns / 1e3 / count, "process_cpu_us": process_ns / 1e3 / count}))


def _by_turns(work: Callable[[int], Awaitable[object]], count: int, hz: float) -> None:
    """Print the turns that were timed and the samples taken, and the CPU time per item in pairs, as JSON."""
    from harness.probe.loop.deadman import TimerFd
    from harness.probe.loop.turns import Turns
    from harness.probe.sampling.sampler import Sampler
    from harness.record import page

    words = memoryview(bytearray(page.WORDS * 8)).cast("q")
    turns = Turns(words, limit_ns=100_000_000, on_late=lambda *_: None, on_overslept=lambda *_: None)
    timer = TimerFd()
    plain, timed = asyncio.new_event_loop(), asyncio.new_event_loop()
    # A process without another thread would spare libc's locks, and no service is one.
    _held = watchers.idle_thread()
    sampler = Sampler(hz or 1, lambda _: None, _failed)

    async def whole() -> None:
        await work(count)

    def sample(loop: asyncio.AbstractEventLoop) -> dict[str, float]:
        is_head = loop is timed
        if is_head or hz:
            turns.begin(loop, timer)
        if is_head and hz:
            sampler.begin(turns)
        began_ns = time.thread_time_ns()
        loop.run_until_complete(whole())
        took_ns = time.thread_time_ns() - began_ns
        if is_head and hz:
            sampler.end(turns)
        if is_head or hz:
            turns.end()
        return {"loop_cpu_us": took_ns / 1e3 / count}

    pairs = []
    for number in range(PAIRS):
        order = (plain, timed) if number % 2 else (timed, plain)
        samples = {loop is timed: sample(loop) for loop in order}
        pairs.append((samples[False], samples[True]))
    plain.close()
    timed.close()
    looks = sampler.counted().stacks
    sampler.close()
    print(json.dumps({"turns": words[page.TURNS], "looks": looks, "pairs": pairs}))


def _failed(where: str, error: BaseException) -> None:
    raise RuntimeError(where) from error
