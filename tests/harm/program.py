"""An asyncio program that comes by every place where the probe may be called: import, loop, pool, fork, exit.

It prints what it sees, so that two runs can be compared; the last word of its command line is how it ends.
`sys.phase` tells the saboteur (`inject/sitecustomize.py`) how far it is.
"""

# mypy: ignore-errors
# ruff: noqa: E402, RUF006
import atexit
import sys

sys.phase = "import"

try:
    import uvloop
except ImportError:
    uvloop = None
import asyncio
import concurrent.futures
import gc
import os
import pathlib
import signal
import socket
import sqlite3
import subprocess
import tempfile
import threading
import time
import traceback

try:
    from opentelemetry.sdk.trace import TracerProvider
except ImportError:
    TracerProvider = None

ENDING = sys.argv[1]


def phase(name):
    sys.phase = name


def say(*words):
    print(*words, flush=True)


def failing(what, *args):
    try:
        what(*args)
    except BaseException as exc:
        say(
            type(exc).__name__,
            [frame.name for frame in traceback.extract_tb(exc.__traceback__)],
            exc.__context__,
        )


class AtTheVeryEnd:
    """Runs while the interpreter takes its modules apart."""

    def __init__(self):
        self.own = time.sleep, os.stat, open, signal.getsignal, print

    def __del__(self):
        sleep, stat, opened, getsignal, write = self.own
        sleep(0)
        stat("/")
        opened("/dev/null").close()
        write("at the very end", getsignal(15))


def pool_work(number):
    phase("pool")
    time.sleep(0.01)
    try:
        return number * 2
    finally:
        phase("loop")


def broken():
    raise ValueError("in the pool")


async def lost():
    raise LookupError("nobody retrieves this")


async def child(number):
    await asyncio.sleep(0.001 * number)
    return number


async def main(loop_name):
    phase("loop")
    loop = asyncio.get_running_loop()
    say(loop_name, sorted(await asyncio.gather(*map(child, range(5)))))
    done = asyncio.Event()
    caller = threading.Thread(target=loop.call_soon_threadsafe, args=(done.set,))
    caller.start()
    await done.wait()
    caller.join()  # Python counts the threads at the fork
    tasks = [asyncio.create_task(child(1)) for _ in range(20)]
    loop.call_later(0.02, say, "timer")
    time.sleep(0.12)
    await asyncio.sleep(0.03)
    say(sum([await task for task in tasks]))
    say(await asyncio.to_thread(pool_work, 4), await loop.run_in_executor(None, pool_work, 5))
    try:
        await asyncio.to_thread(broken)
    except ValueError as exc:
        say("raised", exc, exc.__context__)
    got = asyncio.Event()
    loop.add_signal_handler(signal.SIGINT, got.set)
    os.kill(os.getpid(), signal.SIGINT)
    await got.wait()
    loop.remove_signal_handler(signal.SIGINT)
    signal.signal(signal.SIGTERM, lambda number, frame: say("signal", number, frame.f_code.co_name))
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.sleep(0)
    say(signal.getsignal(signal.SIGTERM).__name__, signal.signal(signal.SIGTERM, signal.SIG_DFL).__name__)
    failing(signal.signal, 9999, signal.SIG_IGN)
    failing(os.execv, "/nowhere", ["nowhere"])
    failing(loop.call_soon, None) if loop.get_debug() else None
    asyncio.create_task(lost())
    await asyncio.sleep(0.01)
    gc.collect()
    child(1).close()
    child(2)
    gc.collect()
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"x" * 100)
        file.flush()
        say(os.stat(file.name).st_size, len(pathlib.Path(file.name).read_bytes()))
    base = sqlite3.connect(":memory:")
    say(base.execute("select 1 + 1").fetchall())
    base.close()
    here, there = socket.socketpair()
    reader, writer = await asyncio.open_connection(sock=here)
    there.send(b"line\n")
    say(await reader.readline())
    writer.close()
    there.close()
    if tracer is not None:
        with tracer.start_as_current_span("span"):
            await asyncio.sleep(0.001)
    if loop_name == "asyncio":
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", "print('sub', flush=True)")
        say("subprocess", await process.wait())
    deep(0)
    left_behind.append(asyncio.create_task(asyncio.sleep(60)))
    await asyncio.sleep(0.06)


def deep(depth):
    try:
        deep(depth + 1)
    except RecursionError:
        try:
            open("/dev/null").close()
            asyncio.get_running_loop().call_soon(len, "")
        except RecursionError:
            pass
        if depth == 100:
            say("out of the deep")


def forked():
    phase("fork")
    if (pid := os.fork()) == 0:
        asyncio.run(child(1))
        say("in the child")
        os._exit(7)
    say("child", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


left_behind = []
tracer = TracerProvider().get_tracer("harm") if TracerProvider is not None else None
last = AtTheVeryEnd()
atexit.register(lambda: say("exit handler"))
asyncio.run(main("asyncio"))
if uvloop is not None:
    uvloop.run(main("uvloop"))
with concurrent.futures.ThreadPoolExecutor(2) as pool:
    say(list(pool.map(pool_work, range(3))))
say(subprocess.run([sys.executable, "-c", "print(1)"], capture_output=True, text=True).stdout)
forked()
phase("exit")
match ENDING:
    case "exit":
        sys.exit(3)
    case "_exit":
        os._exit(4)
    case "exec":
        os.execv(
            sys.executable,
            [sys.executable, "-c", "import asyncio; print('exec', asyncio.run(asyncio.sleep(0, 5)))"],
        )
    case "raise":
        raise ZeroDivisionError("the program's own end")
