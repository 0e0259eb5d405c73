"""What a report advises against a block."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.read.blocks.advice import ASYNCHRONOUS, CAUSES, COMPUTING, WAITS, Hint, hint
from harness.record.event import Frame
from harness.stacks.ownership import CodeOwnership
from harness.stacks.turn_stack import TurnStack

ROOT = Path(__file__).parents[3]
STDLIB = "/usr/lib/python3.12/"
SITE = "/srv/shop/.venv/lib/python3.12/site-packages/"
OWNERSHIP = CodeOwnership(("/srv/shop/",), (STDLIB, SITE))
RUN = Frame(STDLIB + "asyncio/events.py", 88, "Handle._run")
OWN = Frame("/srv/shop/cart.py", 41, "Cart.total")
READ = Frame(STDLIB + "socket.py", 706, "SocketIO.readinto")
REQUESTS = Frame(SITE + "requests/api.py", 59, "get")
URLLIB3 = Frame(SITE + "urllib3/connectionpool.py", 789, "HTTPConnectionPool.urlopen")
LOGGING = Frame(STDLIB + "logging/__init__.py", 1001, "Handler.handle")
JSON = Frame(STDLIB + "json/__init__.py", 231, "dumps")
REDIS_ASYNC = Frame(SITE + "redis/asyncio/client.py", 3, "Redis.execute_command")
RESOLVE = Frame(STDLIB + "socket.py", 978, "getaddrinfo")


def advised(cause: str, kind: str, *stack: Frame) -> Hint:
    return hint(cause, kind, TurnStack((RUN, *stack), OWNERSHIP).library_calls)


@pytest.mark.parametrize(
    ("cause", "kind", "stack", "section", "word"),
    [
        ("call", "sleep", [OWN], "sleep", "await asyncio.sleep"),
        ("call", "lock", [OWN], "lock", "asyncio.Lock"),
        ("call", "socket", [OWN, READ], "socket", "streams"),
        ("call", "socket", [OWN, REQUESTS, URLLIB3, READ], "http", "in place of requests."),
        ("call", "dns", [OWN, RESOLVE], "dns", "loop.getaddrinfo"),
        (
            "call",
            "socket",
            [OWN, Frame(SITE + "pymysql/cursors.py", 1, "Cursor.execute")],
            "database",
            "asyncmy",
        ),
        ("call", "sleep", [LOGGING, OWN], "logging", "QueueHandler"),
        ("call", "file", [OWN, LOGGING], "logging", "QueueHandler"),
        ("call", "", [OWN], "call", "asyncio.to_thread"),
        ("cpu", "", [OWN], "computing", "process"),
        ("cpu", "", [OWN, JSON], "computing", "documents"),
        ("cpu", "", [OWN, REQUESTS, JSON], "computing", "documents"),
        ("cpu", "", [OWN, Frame(STDLIB + "gzip.py", 1, "compress")], "computing", "asyncio.to_thread"),
        ("gc", "", [OWN, JSON], "gc", "gc.freeze"),
        ("gil", "", [OWN, REQUESTS], "gil", "thread's work"),
    ],
)
def test_the_hint_fits_the_block(cause: str, kind: str, stack: list[Frame], section: str, word: str) -> None:
    """By the outermost known library below the program's code, else by the kind, else by the cause."""
    found = advised(cause, kind, *stack)

    assert found.help == f"docs/blocking.md#{section}"
    assert word in found.text


def test_a_library_is_not_advised_where_it_is_used_already() -> None:
    """Its asynchronous client that resolves a name synchronously is a matter of the name."""
    assert advised("call", "dns", OWN, REDIS_ASYNC, RESOLVE).help == "docs/blocking.md#dns"


def test_a_library_above_the_programs_code_did_not_call_what_waits() -> None:
    """A framework that called the program is no reason for a hint, but for a handler of logging."""
    assert advised("call", "sleep", REQUESTS, OWN).help == "docs/blocking.md#sleep"


def test_a_cause_of_a_newer_version_gets_no_hint() -> None:
    """Nothing is made up."""
    found = hint("moonlight", "", ())

    assert (found.text, found.help) == ("", "")


def test_every_section_that_a_hint_leads_to_is_there() -> None:
    """And the guide has none to which no hint leads."""
    sections = set(re.findall(r"^## (\w+)$", (ROOT / "docs/blocking.md").read_text(), re.MULTILINE))
    named = {about.section for about in (*CAUSES.values(), *WAITS.values())}

    assert sections == named | set(ASYNCHRONOUS) | set(COMPUTING) | {"planted"}


def test_a_hint_is_one_sentence() -> None:
    """It ends with a full stop and has no other."""
    rows = [text for table in COMPUTING.values() for text in table.values()]
    remedies = [about.remedy for about in (*CAUSES.values(), *WAITS.values())]

    for text in rows + remedies:
        assert text.endswith(".")
        assert not re.search(r"\. [A-Z]", text)
