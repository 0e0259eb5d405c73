"""What a block means and what usually helps, by its cause, by what it waited for, and by its library.

Each remedy is one sentence and has a section in the guide, `docs/blocking.md`. To add a library, add a line
to one of the tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...stacks.library import find

GUIDE = "docs/blocking.md"


@dataclass(frozen=True, slots=True)
class Advice:
    """The texts for one cause or kind of waiting."""

    label: str  # two to four words
    meaning: str
    remedy: str
    section: str  # of the guide

    @property
    def past(self) -> str:
        """The label in the past tense: ``slept``, ``waited for a socket``."""
        return self.label.replace("sleeping", "slept").replace("waiting", "waited")


@dataclass(frozen=True, slots=True)
class Hint:
    """What to write in place of a call that blocked."""

    text: str  # one sentence
    help: str  # the section of the guide: "docs/blocking.md#sleep"


CAUSES = {
    "call": Advice(
        "waiting in a call",
        "The loop's thread was off the processor, inside a call that waits.",
        "Use the asynchronous form of the call, or run it in a thread: await asyncio.to_thread(...).",
        "call",
    ),
    "cpu": Advice(
        "computing",
        "The loop's thread was on the processor the whole time.",
        "Do less at once, or move it to a process; a thread helps if the GIL is released, as in hashing, key "
        "derivation and compression.",
        "computing",
    ),
    "gil": Advice(
        "the GIL was held",
        "Another thread held the GIL, and the loop's thread could not run.",
        "Move that thread's work to a process, or to code that releases the GIL.",
        "gil",
    ),
    "gc": Advice(
        "garbage collection",
        "The collector stopped the loop.",
        "Call gc.freeze() after startup, keep fewer long-lived containers, or collect at quiet moments.",
        "gc",
    ),
    "import": Advice(
        "an import",
        "A module was loaded while the loop waited for it.",
        "Import it when the program starts.",
        "import",
    ),
    "many": Advice(
        "many short callbacks",
        "No single step was long, but the loop ran so many in one turn that everything else waited.",
        "Start fewer at once (a semaphore, a bounded queue), or do their work in larger pieces elsewhere.",
        "many",
    ),
    "descheduled": Advice(
        "no processor",
        "The thread could run, but the kernel's figures show that it got no processor. The line is only "
        "where it stopped.",
        "This code is not the cause: give the process more CPU, and measure on a quieter machine.",
        "descheduled",
    ),
    "unknown": Advice(
        "unknown cause",
        "The loop's thread hardly computed, no other thread is known to have held the GIL, and the kernel "
        "does not show that the thread lacked a processor.",
        "Record it again with --sample --native and py-spy installed: compiled code may keep the GIL while "
        "it waits.",
        "unknown",
    ),
}

# What a block with the cause "call" waited for.
WAITS = {
    "sleep": Advice(
        "sleeping",
        "The loop's thread slept.",
        # SQLite sleeps between attempts to lock its file; being C code, it has no frame to recognize it by.
        "Use await asyncio.sleep(...); if SQLite waits for another writer, use aiosqlite or a thread.",
        "sleep",
    ),
    "socket": Advice(
        "waiting for a socket",
        "The loop's thread waited for the other end of a connection.",
        "Use asyncio's streams, loop.sock_recv(...) or its siblings, the library's asynchronous client, or "
        "a thread.",
        "socket",
    ),
    "dns": Advice(
        "waiting for DNS",
        "The loop's thread waited for a name lookup.",
        "Use await loop.getaddrinfo(...), which resolves in a thread.",
        "dns",
    ),
    "file": Advice(
        "waiting for a file",
        "The loop's thread waited for a file.",
        "Do all the work on the file in a thread: await asyncio.to_thread(...), or aiofiles.",
        "file",
    ),
    "subprocess": Advice(
        "waiting for a process",
        "The loop's thread waited for another process.",
        "Use await asyncio.create_subprocess_exec(...) and await its communicate() or wait().",
        "subprocess",
    ),
    "lock": Advice(
        "waiting for a lock",
        "The loop's thread waited for another thread to release a lock.",
        "Use asyncio.Lock between tasks; do work under a threading lock in a thread: "
        "await asyncio.to_thread(...).",
        "lock",
    ),
    "queue": Advice(
        "waiting for a queue",
        "The loop's thread waited for another thread to use a queue.",
        "Use asyncio.Queue; other threads add to it with loop.call_soon_threadsafe(queue.put_nowait, item).",
        "queue",
    ),
    "future": Advice(
        "waiting for a future",
        "The loop's thread waited for work that it had submitted elsewhere.",
        "Use await asyncio.wrap_future(future), or await loop.run_in_executor(...) from the start.",
        "future",
    ),
}

# By section: a library whose calls wait, and its asynchronous replacement.
ASYNCHRONOUS = {
    "http": {
        "boto3": "aiobotocore",
        "botocore": "aiobotocore",
        "docker": "aiodocker",
        "elasticsearch": "elasticsearch.AsyncElasticsearch",
        "http.client": "httpx.AsyncClient or aiohttp",
        "httplib2": "httpx.AsyncClient or aiohttp",
        "httpx": "httpx.AsyncClient",
        "kubernetes": "kubernetes_asyncio",
        "requests": "httpx.AsyncClient or aiohttp",
        "urllib.request": "httpx.AsyncClient or aiohttp",
        "urllib3": "httpx.AsyncClient or aiohttp",
    },
    "database": {
        "MySQLdb": "asyncmy or aiomysql",
        "django.db": "the asynchronous methods of querysets (aget, acreate, async for)",
        "mysql.connector": "mysql.connector.aio",
        "psycopg": "psycopg.AsyncConnection",
        "psycopg2": "asyncpg, or psycopg.AsyncConnection",
        "pymongo": "pymongo.AsyncMongoClient",
        "pymysql": "asyncmy or aiomysql",
        "pyodbc": "aioodbc",
        "redis": "redis.asyncio",
        "sqlalchemy": "sqlalchemy.ext.asyncio with an asynchronous driver",
        "sqlite3": "aiosqlite",
    },
    "socket": {
        "ftplib": "aioftp",
        "grpc": "grpc.aio",
        "imaplib": "aioimaplib",
        "kafka": "aiokafka",
        "ldap3": "bonsai",
        "paho": "aiomqtt",
        "paramiko": "asyncssh",
        "pika": "aio-pika",
        "smtplib": "aiosmtplib",
    },
    "dns": {"dns.resolver": "dns.asyncresolver"},
    "lock": {"filelock": "filelock.AsyncFileLock"},
    "future": {"multiprocessing": "loop.run_in_executor(...) with a ProcessPoolExecutor"},
    "sleep": {"tenacity": "tenacity.AsyncRetrying"},
}

# By section: a library that computes, and what to do about it.
_IN_A_THREAD = "Use await asyncio.to_thread(...): it releases the GIL for most of its work."
_IN_A_PROCESS = "It holds the GIL, so a thread does not help: use a process, or smaller pieces."
COMPUTING = {
    "computing": {
        "PIL": _IN_A_THREAD,
        "argon2": _IN_A_THREAD,
        "bcrypt": _IN_A_THREAD,
        "bz2": _IN_A_THREAD,
        "copy": "Copy less, or in smaller pieces: it holds the GIL, so a thread does not help.",
        "csv": _IN_A_PROCESS,
        "gzip": _IN_A_THREAD,
        "hashlib": _IN_A_THREAD,
        "json": "Big documents hold the GIL: stream them in smaller pieces, or use a process.",
        "lzma": _IN_A_THREAD,
        "numpy": _IN_A_THREAD,
        "passlib": _IN_A_THREAD,
        "pickle": _IN_A_PROCESS,
        "re": "A backtracking pattern holds the GIL: avoid nested repeats, or use a process.",
        "tarfile": _IN_A_THREAD,
        "xml": _IN_A_PROCESS,
        "yaml": "Use yaml.CSafeLoader, and a process if that is still slow: it holds the GIL.",
        "zipfile": _IN_A_THREAD,
    },
    "file": {
        "shutil": WAITS["file"].remedy,
        "ssl.create_default_context": "Create the TLS context once, at startup: it reads every certificate.",
        "tempfile": WAITS["file"].remedy,
    },
    "logging": {
        "logging": "Log through logging.handlers.QueueHandler, so that a QueueListener writes in its thread.",
    },
}

_COMPUTING = {
    name: Hint(text, f"{GUIDE}#{section}")
    for section, rows in COMPUTING.items()
    for name, text in rows.items()
}
_BY_LIBRARY = {
    "call": {
        name: Hint(f"Use {instead} in place of {name}.", f"{GUIDE}#{section}")
        for section, rows in ASYNCHRONOUS.items()
        for name, instead in rows.items()
    }
    | _COMPUTING,
    "cpu": _COMPUTING,
}


def advice(cause: str, waits_for: str = "") -> Advice:
    """The texts for *cause* and what it waited for; a cause unknown to this version is its own label."""
    return WAITS.get(waits_for) or CAUSES.get(cause) or Advice(cause, "", "", "")


def hint(cause: str, waits_for: str, calls: Sequence[str]) -> Hint:
    """What to do about a block: by the outermost known library among *calls*, else by its kind or cause.

    Both parts are "" for a cause unknown to this version.
    """
    # Do not recommend the asynchronous part of a library that is already in use.
    adopted = {_package(call) for call in calls if "async" in call.lower()}
    table = _BY_LIBRARY.get(cause, {})
    known = (find(call, table) for call in calls if _package(call) not in adopted)
    about = advice(cause, waits_for)
    return next(filter(None, known), Hint(about.remedy, f"{GUIDE}#{about.section}" if about.section else ""))


def lazily(name: str) -> Hint:
    """What to do about a lazy import that the first use of *name* began."""
    text = f"Use {name} once when the program starts, or import it without `lazy`."
    return Hint(text, f"{GUIDE}#import")


def planted(fault: str, detail: str) -> Hint:
    """What to do about the block of an injected fault: nothing."""
    what = f"Planted by fault {fault}: {detail}." if detail else f"Planted by fault {fault}."
    return Hint(f"{what} There is nothing to fix here.", f"{GUIDE}#planted")


def _package(call: str) -> str:
    return call.partition(".")[0]
