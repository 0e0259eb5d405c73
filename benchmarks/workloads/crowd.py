"""A service of many tasks, most of which wait: how late its loop is, while somebody asks its console or not.

``python crowd.py TASKS STEPS SECONDS`` prints "ready" when all tasks stand, and at the end the lag as JSON.
A tenth of the tasks do so many steps per second together; the others wait, four coroutines deep.
"""

import asyncio
import json
import sys
from time import perf_counter

EVERY_S = 0.005


async def wait(event: asyncio.Event, depth: int) -> None:
    if depth:
        await wait(event, depth - 1)
    else:
        await event.wait()


async def work(every_s: float) -> None:
    while True:
        await asyncio.sleep(every_s)


async def lags_ms(for_s: float) -> list[float]:
    """How much later than asked a timer of 5 ms came, each time."""
    lags = []
    until = perf_counter() + for_s
    while (began := perf_counter()) < until:
        await asyncio.sleep(EVERY_S)
        lags.append((perf_counter() - began - EVERY_S) * 1e3)
    return sorted(lags)


async def main(count: int, steps_per_s: float, for_s: float) -> None:
    event, every_s = asyncio.Event(), count / 10 / steps_per_s
    _held = [asyncio.create_task(wait(event, 3) if n % 10 else work(every_s)) for n in range(count)]
    await asyncio.sleep(1)
    print("ready", flush=True)
    lags = await lags_ms(for_s)
    print(json.dumps({f"lag_p{p}_ms": lags[len(lags) * p // 100] for p in (50, 99)}), flush=True)
    # Whoever asked may still wait for an answer.
    await asyncio.to_thread(sys.stdin.read)


asyncio.run(main(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])))
