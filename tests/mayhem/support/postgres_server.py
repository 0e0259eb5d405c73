"""A real PostgreSQL server for the tests, with its own folder, port and socket."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from tests.support.port import free_port

USER, PASSWORD = "mayhem", "correct horse"
START_S = 30.0
# Without fsync, as power cuts are not tested; few connections, so that tests can use them up.
OPTIONS = {"fsync": "off", "listen_addresses": "127.0.0.1", "max_connections": "20", "shared_buffers": "16MB"}
# A small file system, for a full database. An empty database takes 8 MB of it.
SMALL_MB = 24


class PostgresServer:
    """A server that tests can stop, start and freeze; made by `postgres_server`."""

    def __init__(self, folder: Path, binaries: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self._binaries = binaries
        self._process: subprocess.Popen[bytes] | None = None
        # It refuses to run as root.
        self._as_user = ("setpriv", "--reuid=nobody", "--clear-groups", "--") if os.geteuid() == 0 else ()

    def url(self, database: str = "postgres", *, user: str = USER, password: str = PASSWORD) -> str:
        """The URL over TCP, which needs a password."""
        return f"postgresql://{user}:{password.replace(' ', '%20')}@127.0.0.1:{self.port}/{database}"

    @property
    def socket_url(self) -> str:
        """The URL over the UNIX socket, without a password."""
        return f"postgresql://{USER}@/postgres?host={self.folder}&port={self.port}"

    def create(self) -> None:
        if self._as_user:
            os.chown(self.folder, pwd.getpwnam("nobody").pw_uid, -1)
        secret = self.folder / "secret"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        (self.folder / "small").mkdir()
        if self._as_user:
            os.chown(self.folder / "small", pwd.getpwnam("nobody").pw_uid, -1)
        command: list[str | Path] = [
            self._binary("initdb"),
            "-D",
            self.folder / "data",
            "-U",
            USER,
            "--no-sync",
            "-E",
            "UTF8",
        ]
        command += ["--auth-local=trust", "--auth-host=scram-sha-256", f"--pwfile={secret}", "--locale=C"]
        subprocess.run([*self._as_user, *command], check=True, capture_output=True)

    def start(self) -> None:
        """Start, and return when connections are accepted."""
        options = [word for name, value in OPTIONS.items() for word in ("-c", f"{name}={value}")]
        command: list[str | Path] = [
            *self._as_user,
            self._binary("postgres"),
            "-D",
            self.folder / "data",
            "-k",
            self.folder,
        ]
        command += ["-p", str(self.port), *options]
        if self._as_user:
            # In its own mount namespace, so that the small file system ends with the server.
            small = f"mount -t tmpfs -o size={SMALL_MB}m,uid=nobody tmpfs {self.folder / 'small'}"
            command = ["unshare", "--mount", "sh", "-c", f'{small}; exec "$@"', "sh", *command]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        ready: list[str | Path] = [self._binary("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        deadline = time.monotonic() + START_S
        while subprocess.run(ready, check=False).returncode:
            if self._process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"PostgreSQL did not start: {(self.folder / 'log').read_text()[-2000:]}")
            time.sleep(0.02)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End it and wait: SIGINT closes connections, SIGQUIT crashes."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(START_S)
            self._process = None

    @contextmanager
    def stopped(self, how: signal.Signals = signal.SIGINT) -> Iterator[None]:
        """Stop the server while the block runs."""
        self.stop(how)
        try:
            yield
        finally:
            self.start()

    def _binary(self, name: str) -> Path:
        return self._binaries / name


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """The session's server."""
    binaries = _binaries()
    if binaries is None:
        pytest.skip("postgresql is not installed")
    # Not pytest's folder, whose parents other users cannot enter; and a socket's path must be short.
    with tempfile.TemporaryDirectory(prefix="mayhem-pg-") as folder:
        server = PostgresServer(Path(folder), binaries)
        server.create()
        server.start()
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture
async def database_url(postgres_server: PostgresServer) -> AsyncIterator[str]:
    """A new, empty database on the session's server."""
    async with new_database(postgres_server) as url:
        yield url


@asynccontextmanager
async def new_database(server: PostgresServer, options: str = "") -> AsyncIterator[str]:
    asyncpg = pytest.importorskip("asyncpg")
    name = f"test_{time.monotonic_ns()}"

    async def execute(statement: str) -> None:
        connection = await asyncpg.connect(server.socket_url)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    await execute(f"CREATE DATABASE {name} {options}")
    try:
        yield server.url(name)
    finally:
        async with asyncio.timeout(START_S):
            await execute(f"DROP DATABASE {name} WITH (FORCE)")


def _binaries() -> Path | None:
    """The folder with the newest `postgres`, where Debian keeps it or on PATH."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    if on_path := shutil.which("postgres"):
        folders.insert(0, Path(on_path).resolve().parent)
    found = [folder for folder in folders if (folder / "initdb").exists()]
    return found[-1] if found else None
