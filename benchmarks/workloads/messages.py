"""Messages of three tasks each, handled ten at a time: what `believed.py` makes slower.

``python messages.py COUNT SHARE ROUNDS``: *SHARE* of the messages are added, as in 0.05. Prints the CPU time
and the wall clock of each round in ms, as JSON, after one round that is not told.
"""

import asyncio
import json
import sys
import time

# Some 40 µs of work for a message.
STEPS = 200
AT_A_TIME = 10


def work(steps: int) -> int:
    total = 0
    for number in range(steps):
        total += number * number
    return total


async def task(steps: int) -> None:
    await asyncio.sleep(0)
    work(steps)


async def message(steps: int) -> None:
    await asyncio.gather(task(steps), task(steps), task(steps))


async def messages(count: int, extra: float) -> None:
    """As many messages more as *extra* says, spread evenly: a slowdown by exactly that share."""
    done = 0.0
    for _ in range(count // AT_A_TIME):
        await asyncio.gather(*(message(STEPS) for _ in range(AT_A_TIME)))
        done += extra * AT_A_TIME
        for _ in range(int(done)):
            await message(STEPS)
        done -= int(done)


def main() -> None:
    count, extra, rounds = int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
    told = []
    for _ in range(rounds + 1):
        cpu_ns, wall_ns = time.process_time_ns(), time.perf_counter_ns()
        asyncio.run(messages(count, extra))
        took = time.process_time_ns() - cpu_ns, time.perf_counter_ns() - wall_ns
        told.append({"cpu_ms": took[0] / 1e6, "wall_ms": took[1] / 1e6})
    print(json.dumps({"rounds": told[1:], **told[-1]}))


main()
