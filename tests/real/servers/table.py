"""The servers: how each is started and ended, and what it does with its loop."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from enum import StrEnum


class Loop(StrEnum):
    """Whose loop runs."""

    ASYNCIO = "asyncio"
    UVLOOP = "uvloop"


class Reload(StrEnum):
    """What makes a server replace its workers."""

    HANGUP = "SIGHUP"
    FILE = "a changed file"


class Ending(StrEnum):
    """What ends a server."""

    TERM = "SIGTERM"
    TYPED = "Ctrl-C"  # at the terminal, which sends it to every process of the server
    HANGUP = "SIGHUP"

    @property
    def number(self) -> signal.Signals:
        return signal.SIGINT if self is Ending.TYPED else signal.Signals[self.value]


BOTH = (Loop.ASYNCIO, Loop.UVLOOP)
ENDINGS = (Ending.TERM, Ending.TYPED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """One server.

    ``{port}`` and ``{loop}`` are replaced in the command, which is a program of the environment, or a file of
    `programs` that Python runs.
    """

    name: str
    command: str
    protocol: str = "http"
    loops: tuple[Loop, ...] = BOTH
    loop_names: tuple[str, str] = ("asyncio", "uvloop")  # how the command calls them
    endings: tuple[Ending, ...] = ENDINGS
    dies_of: tuple[Ending, ...] = ()  # what it does not handle: the system ends the process as it stands
    reload: Reload | None = None
    workers: int = 1
    broker: str = ""
    finding: str = ""  # what the report rightly finds in the server's own code
    by_chance: str = ""  # the lines that depend on which of its processes is faster
    # Whether each client has a socket that the loop waits for: only then can a request be seen to wait.
    sockets: bool = True


@dataclass(frozen=True, slots=True)
class Case:
    """A server under one loop, and what happens to it."""

    server: Server
    loop: Loop
    ending: Ending

    @property
    def name(self) -> str:
        return f"{self.server.name}-{self.loop}-{self.ending}".replace(" ", "_")

    def command(self, port: int) -> list[str]:
        """Its words."""
        loop = dict(zip(BOTH, self.server.loop_names, strict=True))[self.loop]
        return self.server.command.format(port=port, loop=loop).split()


# Said of workers that a Ctrl-C at the terminal has not ended when gunicorn's own signal comes.
SENT = "was sent SIG"
GUNICORN = "gunicorn --no-control-socket -w 2 -b 127.0.0.1:{port} -k {loop}"

SERVERS = (
    Server(name="uvicorn", command="uvicorn on_asgi:app --port {port} --loop {loop}"),
    Server(
        name="uvicorn workers",
        command="uvicorn on_asgi:app --port {port} --loop {loop} --workers 2",
        workers=2,
        # Said of workers that a Ctrl-C at the terminal has not ended yet.
        by_chance="Terminated child process",
        reload=Reload.HANGUP,
    ),
    Server(
        name="uvicorn reload",
        command="uvicorn on_asgi:app --port {port} --loop {loop} --reload",
        # The worker has a Ctrl-C from the terminal and from the reloader, and the second one makes it hurry.
        by_chance="pplication shutdown|Finished server process",
        reload=Reload.FILE,
    ),
    Server(name="hypercorn", command="hypercorn on_asgi:app -b 127.0.0.1:{port} -k {loop} -w 2", workers=2),
    Server(
        name="granian",
        command="granian --interface asgi on_asgi:app --port {port} --loop {loop} --workers 2",
        workers=2,
        # A Ctrl-C reaches a worker twice, from the terminal and as its parent's SIGTERM. If the second signal
        # comes soon after the first, granian waits for ever (bare, too: 6 of 12 with both at once).
        endings=(Ending.TERM,),
        reload=Reload.HANGUP,
    ),
    Server(
        name="daphne, django, channels",
        command="daphne -p {port} on_django:application",
        loops=(Loop.ASYNCIO,),
    ),
    Server(
        name="gunicorn, uvicorn",
        command=f"{GUNICORN} on_asgi:app",
        by_chance=SENT,
        loop_names=("uvicorn_worker.UvicornH11Worker", "uvicorn_worker.UvicornWorker"),
        workers=2,
        reload=Reload.HANGUP,
    ),
    Server(
        name="gunicorn, aiohttp",
        command=f"{GUNICORN} on_aiohttp:app",
        by_chance=SENT,
        loop_names=("aiohttp.GunicornWebWorker", "aiohttp.GunicornUVLoopWebWorker"),
        workers=2,
        reload=Reload.HANGUP,
    ),
    Server(name="aiohttp", command="on_aiohttp.py {port} {loop}"),
    Server(name="sanic", command="on_sanic.py {port} {loop}", workers=2),
    Server(name="quart, hypercorn", command="hypercorn on_quart:app -b 127.0.0.1:{port} -k {loop}"),
    Server(
        name="litestar",
        command="litestar --app on_litestar:app run --port {port}",
        loops=(Loop.UVLOOP,),
    ),
    Server(name="fastapi", command="fastapi run on_fastapi.py --port {port}", loops=(Loop.UVLOOP,)),
    Server(name="starlette", command="on_starlette.py {port} {loop}"),
    Server(
        name="blacksheep, granian",
        command="granian --interface asgi on_blacksheep:app --port {port} --loop {loop}",
        endings=(Ending.TERM,),
    ),
    Server(name="tornado", command="on_tornado.py {port} {loop}"),
    Server(name="grpc", command="on_grpc.py {port} {loop}", protocol="grpc_calls", sockets=False),
    Server(name="websockets", command="on_websockets.py {port} {loop}", protocol="websocket"),
    Server(
        name="streams",
        command="on_streams.py {port} {loop}",
        protocol="lines",
        endings=(Ending.HANGUP, Ending.TYPED, Ending.TERM),
        dies_of=(Ending.HANGUP, Ending.TERM),
    ),
    Server(name="aiosmtpd", command="on_smtp.py {port} {loop}", protocol="smtp"),
    Server(
        name="faststream, nats",
        command="faststream run on_faststream:app",
        protocol="nats_requests",
        loops=(Loop.UVLOOP,),
        broker="nats",
        finding=r"Client\._\w+ swallowed a cancellation",
        # All requests come through one connection to the broker.
        sockets=False,
    ),
    Server(
        name="arq, redis",
        command="arq on_arq.WorkerSettings",
        protocol="arq_jobs",
        loops=(Loop.ASYNCIO,),
        broker="redis",
        sockets=False,
    ),
)


def cases() -> list[Case]:
    """Every loop and every ending of each server; not each with each."""
    found = []
    for server in SERVERS:
        count = max(len(server.loops), len(server.endings))
        for i in range(count):
            loop = server.loops[i % len(server.loops)]
            found.append(Case(server, loop, server.endings[i % len(server.endings)]))
    return found
