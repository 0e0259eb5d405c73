"""Synchronous calls on a loop's thread: each is counted where it is made, and nothing else changes."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from textwrap import dedent

import pytest

from harness.record.event import CallsCounted, ProbeFailed
from harness.record.reader import Follower
from tests.support.pythons import SUPPORTED, needs_python
from tests.support.watched import Outcome, outcome, start, watched


def latest(events: Iterable[CallsCounted]) -> list[CallsCounted]:
    """The counts as they were written last."""
    return list({(e.pid, e.call, e.function, e.line, e.caller, e.argument): e for e in events}.values())


def counts(seen: Outcome) -> list[CallsCounted]:
    """What a run counted; nothing went wrong in the probe."""
    assert seen.of(ProbeFailed) == []
    return latest(seen.of(CallsCounted))


def marked(program: str) -> dict[int, set[str]]:
    """The calls that a program's comments promise: ``# -> open, file.read`` by line."""
    lines = enumerate(dedent(program).splitlines(), 1)
    return {n: set(found[1].split(", ")) for n, line in lines if (found := re.search(r"# -> (.+)$", line))}


def by_line(calls: Iterable[CallsCounted]) -> dict[int, set[str]]:
    found: defaultdict[int, set[str]] = defaultdict(set)
    for call in calls:
        found[call.line].add(call.call)
    return dict(found)


FAMILIES = """
    import asyncio, os, socket, sqlite3, ssl, subprocess, threading, time
    from pathlib import Path
    from time import sleep

    server = socket.create_server(("127.0.0.1", 0))
    address = server.getsockname()

    def serve():
        while True:
            caller, _ = server.accept()
            caller.sendall(caller.recv(100))
            caller.close()

    threading.Thread(target=serve, daemon=True).start()
    log = open("log.txt", "w", buffering=1)

    class Retry:
        pause = time.sleep

    def settings():
        return Path("x.txt").read_text()  # -> open, file.read

    async def files():
        Path("x.txt").write_text("text" * 10)  # -> open, file.write
        settings()
        with open("x.txt") as file:  # -> open
            file.readline()  # -> file.read
        with open("x.txt", "rb") as file:  # -> open
            file.readinto(bytearray(8))  # -> file.read
        print("a line", file=log)  # -> file.write
        print("a line", flush=True)  # -> file.write
        os.path.exists("nowhere")  # -> os.stat
        [entry.name for entry in os.scandir(".")]  # -> os.scandir
        [os.stat(name) for name in "."]  # -> os.stat
        os.makedirs("a/b")  # -> os.mkdir, os.stat
        os.rename("x.txt", "y.txt")  # -> os.rename
        os.fsync(log.fileno())  # -> os.fsync

    async def network():
        socket.gethostbyname("localhost")  # -> socket.gethostbyname
        socket.getfqdn("localhost")  # -> socket.getfqdn
        with socket.create_connection(address) as client:  # -> socket.getaddrinfo, socket.connect
            client.sendall(b"hello")  # -> socket.sendall
            client.recv(5)  # -> socket.recv
        context = ssl.create_default_context()  # -> ssl.load_default_certs
        with socket.create_connection(address, 5) as client:  # -> socket.getaddrinfo, socket.connect
            try:
                context.wrap_socket(client, server_hostname="localhost")  # -> ssl.do_handshake
            except OSError:
                pass

    async def programs():
        subprocess.run(["true", "--password=secret"])  # -> subprocess.run
        program = subprocess.Popen("true")  # -> subprocess.Popen
        program.wait()  # -> subprocess.wait
        os.system("true --password=secret")  # -> os.system

    async def database():
        with sqlite3.connect("data.db") as db:  # -> sqlite3.connect, sqlite3.commit
            db.execute("create table word (text)")  # -> sqlite3.execute
            db.execute("select * from word").fetchall()  # -> sqlite3.execute, sqlite3.fetch

    async def rest():
        time.sleep(0.02)  # -> time.sleep
        sleep(0)  # -> time.sleep
        Retry().pause(0)  # -> time.sleep
        import colorsys  # -> import
        import colorsys
        done = asyncio.get_running_loop().create_future()
        def callback():
            time.sleep(0)  # -> time.sleep
            done.set_result(None)
        asyncio.get_running_loop().call_soon(callback)
        await done

    async def main():
        for family in (files, network, programs, database, rest):
            await asyncio.create_task(family())

    asyncio.run(main())
"""


@pytest.mark.parametrize("version", SUPPORTED)
def test_every_family_is_counted_at_the_line_that_calls(version: str, tmp_path: Path) -> None:
    """Each marked line has its calls and no other line has any, on every Python."""
    seen = watched(FAMILIES, tmp_path, calls=True, python=needs_python(version))

    assert seen.status == 0, seen.stderr
    found = counts(seen)
    assert by_line(found) == marked(FAMILIES)
    assert {call.file for call in found} == {str(tmp_path / "program.py")}
    # A baseline must fit every Python: until 3.12 a comprehension was a function.
    assert not [call for call in found if call.function.endswith("comp>")]


def test_a_count_has_its_function_caller_argument_and_time(tmp_path: Path) -> None:
    """Who called, in which task, with what, how often and for how long; secrets in arguments are not kept."""
    found = counts(watched(FAMILIES, tmp_path, calls=True))
    first = {call.call: call for call in reversed(found)}

    read = next(call for call in found if call.function == "__main__:settings" and call.call == "open")
    assert (read.caller, read.argument, read.count) == ("__main__:files", "x.txt", 1)
    slept = next(call for call in found if call.argument == "0.02")
    assert (slept.call, slept.function, slept.caller) == ("time.sleep", "__main__:rest", "__main__:rest")
    assert 20e6 <= slept.total_ns == slept.max_ns < 2e9
    callback = next(call for call in found if call.function == "__main__:rest.<locals>.callback")
    assert callback.caller == ""
    assert first["import"].argument == "colorsys"
    assert first["socket.connect"].argument.startswith("127.0.0.1:")
    assert {first["subprocess.run"].argument, first["os.system"].argument} == {"true"}
    # Starting a program takes the kernel some time; nothing here takes seconds.
    assert 0.1e6 < first["subprocess.run"].total_ns < 5e9
    assert not [call for call in found if "secret" in call.argument]


NOT_THE_PROGRAMS = """
    import asyncio, concurrent.futures, encodings.idna, os, socket, subprocess, sys, time
    from pathlib import Path

    # (The codec is loaded when a host is first looked up.)
    Path("x.txt").write_text("before the loop")
    subprocess.run(["true"])

    async def echo(reader, writer):
        writer.write(await reader.read(100))
        writer.close()

    async def exchange(connecting):
        reader, writer = await connecting
        writer.write(b"x" * 100)
        await writer.drain()
        assert await reader.read(100)
        writer.close()
        await writer.wait_closed()

    async def main():
        loop = asyncio.get_running_loop()
        async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
            await exchange(asyncio.open_connection(*server.sockets[0].getsockname()))
        async with await asyncio.start_unix_server(echo, "socket") as server:
            await exchange(asyncio.open_unix_connection("socket"))
        await loop.getaddrinfo("localhost", 80)
        program = await asyncio.create_subprocess_exec("echo", "hello", stdout=subprocess.PIPE)
        assert (await program.communicate())[0] == b"hello\\n"
        await asyncio.to_thread(time.sleep, 0.01)
        assert await asyncio.to_thread(Path("x.txt").read_text)
        with concurrent.futures.ThreadPoolExecutor() as pool:
            await loop.run_in_executor(pool, os.listdir, ".")
        await asyncio.sleep(0.01)
        os.getcwd()
        time.sleep(0)  # -> time.sleep

    RUN(main())
    Path("x.txt").read_text()
"""


@pytest.mark.parametrize(
    ("version", "run"),
    [("", "uvloop"), *((version, "asyncio.run") for version in SUPPORTED)],
)
def test_what_asyncio_executors_and_the_time_without_a_loop_do_is_not_counted(
    version: str, run: str, tmp_path: Path
) -> None:
    """Non-blocking sockets, asyncio's subprocesses, threads, and what runs before and after the loop."""
    python = needs_python(version) if version else sys.executable
    program = NOT_THE_PROGRAMS.replace("RUN", "__import__('uvloop').run" if run == "uvloop" else run)
    seen = watched(program, tmp_path, calls=True, python=python)

    assert seen.status == 0, seen.stderr
    found = by_line(counts(seen))
    if run == "uvloop" and sys.version_info >= (3, 13):
        # There it removes the socket of a UNIX server, in C: as if the line that closed it had done so.
        found = {line: calls for line, calls in found.items() if calls != {"os.stat", "os.unlink"}}
    assert found == marked(program)


BEHAVIOUR = """
    import asyncio, copy, inspect, io, os, pickle, shutil, socket, sqlite3, ssl, subprocess, sys, time
    import traceback

    class Retry:
        pause = time.sleep
        look = os.stat

    def failing(call, *args, **options):
        try:
            call(*args, **options)
        except Exception:
            traceback.print_exc(file=sys.stdout)

    async def main():
        print(open, time.sleep, os.stat)
        for one in (open, time.sleep, os.stat, subprocess.run, sqlite3.connect, socket.getaddrinfo):
            print(one.__name__, one.__qualname__, len(one.__doc__ or ""), callable(one), inspect.isclass(one))
            assert pickle.loads(pickle.dumps(one)) is one and copy.deepcopy(one) is one
        for one in (time.sleep, os.stat, subprocess.run, subprocess.Popen, io.FileIO.readinto):
            try:
                print(inspect.signature(one))
            except ValueError as exc:
                print(exc)
        print(Retry().pause(0), Retry().look(".").st_mode, os.stat in os.supports_fd)
        print(shutil.rmtree.avoids_symlink_attacks, {os.open, os.stat} <= os.supports_dir_fd)
        print(isinstance(socket.socket(), socket.socket), issubclass(ssl.SSLSocket, socket.socket))
        print(type(subprocess.Popen), type(sqlite3.Connection), type(open("f", "w").buffer.raw))
        failing(open, "nowhere/at/all")
        failing(open)
        failing(os.stat, "nowhere", dir_fd=-5)
        failing(open("f").write, "x")
        failing(subprocess.run, ["nowhere"])
        failing(subprocess.run, ["false"], check=True)
        failing(sqlite3.connect(":memory:").execute, "no sql")
        failing(socket.create_connection, ("127.0.0.1", 1))
        failing(socket.getaddrinfo, "localhost", "no such service")
        failing(__import__, "nowhere")
        failing(time.sleep, -1)
        with open("f", "wb", buffering=0) as file:
            print(file.write(b"text"), os.path.getsize("f"))
        with open("f", "r+") as file:
            print(file.read(2), file.tell(), file.seek(0), file.write("T"), file.truncate())
        print(open("f").read(), list(open("f")), shutil.copy("f", "g"), sorted(os.listdir(".")))

    asyncio.run(main())
"""


@pytest.mark.parametrize("version", SUPPORTED)
def test_a_program_does_not_notice(version: str, tmp_path: Path) -> None:
    """What it prints is the same as without the probe: names, signatures, pickles, results, tracebacks."""
    python = needs_python(version)
    seen = watched(BEHAVIOUR, tmp_path, calls=True, python=python)
    assert counts(seen)
    for name in ("f", "g"):
        (tmp_path / name).unlink()
    alone = subprocess.run(
        [python, str(tmp_path / "program.py")],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
    )

    assert (seen.status, seen.stderr) == (alone.returncode, alone.stderr)
    # Addresses of objects differ from run to run.
    assert re.sub("0x[0-9a-f]+", "0x", seen.stdout) == re.sub("0x[0-9a-f]+", "0x", alone.stdout)


REPLACED = """
    import asyncio, atexit, builtins, io, _io, json, os, socket, sqlite3, ssl, subprocess, sys, time
    import _frozen_importlib

    def replaced():
        places = {
            "builtins": builtins, "io": io, "_io": _io, "os": os, "time": time, "socket": socket,
            "socket.socket": socket.socket, "ssl.SSLSocket": ssl.SSLSocket, "ssl.SSLContext": ssl.SSLContext,
            "subprocess": subprocess, "Popen": subprocess.Popen, "sqlite3": sqlite3,
            "Connection": sqlite3.Connection, "Cursor": sqlite3.Cursor, "FileIO": io.FileIO,
            "importlib": _frozen_importlib,
        }
        ours = lambda thing: "harness" in getattr(getattr(thing, "__code__", None), "co_filename", "")
        return [f"{name}.{key}" for name, place in places.items() for key, value in vars(place).items()
                if ours(value) or ours(getattr(value, "__func__", None))]

    async def main():
        print(json.dumps({"replaced": replaced()}), flush=True)

    # Runs after the probe has closed: exit handlers run in the reverse order of their registration.
    atexit.register(lambda: print(json.dumps({"replaced": replaced(), "sleeps": sleep(0)})))
    from time import sleep
    asyncio.run(main())
"""


# Replaced in every process; those of the user, if it is root's.
ALWAYS = {
    f"os.{name}"
    for name in ("_exit", "abort", "execv", "execve", "setuid", "seteuid", "setreuid", "setresuid", "chroot")
}


def test_everything_is_put_back_when_the_probe_ends(tmp_path: Path) -> None:
    """What is replaced while the loop runs is as before at the end, and names that were kept still work."""
    seen = watched(REPLACED, tmp_path, calls=True)

    during, after = map(json.loads, seen.stdout.splitlines())
    assert len(during["replaced"]) > 60
    assert [name for name in after["replaced"] if name not in ALWAYS] == []
    assert after["sleeps"] is None


def test_nothing_is_replaced_unless_it_is_asked_for(tmp_path: Path) -> None:
    """Without the option, the program runs with Python's own functions."""
    seen = watched(REPLACED, tmp_path)

    during = json.loads(seen.stdout.splitlines()[0])
    assert [name for name in during["replaced"] if name not in ALWAYS] == []
    assert seen.of(CallsCounted) == []


def test_a_killed_process_has_told_its_counts(tmp_path: Path) -> None:
    """Counts are written while the program runs, so `kill -9` loses the last half second only."""
    program = """
        import asyncio, os, sys

        async def main():
            for _ in range(100):
                os.stat(".")
            print("made", flush=True)
            await asyncio.sleep(60)

        asyncio.run(main())
    """
    process, folder = start(program, tmp_path, calls=True)
    follower, patience = Follower(folder.events), time.monotonic() + 20
    found: list[CallsCounted] = []
    while not [e for e in found if e.call == "os.stat" and e.count == 100] and time.monotonic() < patience:
        found += [e for _, e in follower.new_events() if isinstance(e, CallsCounted)]
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    seen = outcome(process, folder)

    assert seen.status == -signal.SIGKILL
    assert [(call.argument, call.count) for call in counts(seen) if call.call == "os.stat"] == [(".", 100)]


def test_a_forked_child_counts_for_itself(tmp_path: Path) -> None:
    """In a child that a coroutine made no loop runs until it runs its own; the parent's counts stay."""
    program = """
        import asyncio, os, time

        async def child():
            time.sleep(0)  # -> time.sleep

        async def main():
            os.stat(".")  # -> os.stat
            pid = os.fork()
            if pid == 0:
                os.listdir(".")
                asyncio.events._set_running_loop(None)
                asyncio.run(child())
                os._exit(0)
            os.waitpid(pid, 0)
            print(pid)

        asyncio.run(main())
    """
    seen = watched(program, tmp_path, calls=True)

    found = [call for call in counts(seen) if call.call != "file.write"]
    assert {(call.call, call.pid == seen.said, call.count) for call in found} == {
        ("os.stat", False, 1),
        ("time.sleep", True, 1),
    }


def test_the_number_of_places_and_arguments_is_bounded_and_the_rest_counted(tmp_path: Path) -> None:
    """Of 1,100 functions a thousand are told apart, of twenty paths eight; no call is lost."""
    program = """
        import asyncio, os

        code = "\\n".join(f"def look_{n}(): os.stat('.')" for n in range(1100))
        exec(compile(code, __file__, "exec"))

        async def main():
            for n in range(20):
                os.access(f"/{n}", os.R_OK)
            for n in range(1100):
                globals()[f"look_{n}"]()

        asyncio.run(main())
    """
    found = counts(watched(program, tmp_path, calls=True))

    looks = [call for call in found if call.call == "os.stat"]
    assert (len(looks), sum(call.count for call in looks)) == (1000, 1100)
    assert [call.count for call in looks if not call.function] == [101]
    asked = {call.argument: call.count for call in found if call.call == "os.access"}
    assert asked == {**{f"/{n}": 1 for n in range(8)}, "": 12}


def test_a_library_is_not_blamed_for_the_program_that_calls_it(tmp_path: Path) -> None:
    """The count stands at the program's line, however many library frames are between it and the call."""
    program = """
        import asyncio, logging

        logging.basicConfig(filename="log.txt", level="INFO")

        async def main():
            logging.info("hello")  # -> file.write

        asyncio.run(main())
    """
    seen = watched(program, tmp_path, calls=True)

    assert by_line(counts(seen)) == marked(program)
