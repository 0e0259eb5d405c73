"""The kinds of faults of a network, one per file of `toxics/`: what becomes of data that a proxy passes on.

The names are those of Toxiproxy. The file `toxics/latency.py` is the kind ``net.latency``; its `KIND` is a
dataclass with the methods of `Toxic`. They are pure: the proxy does the waiting and the closing.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from enum import StrEnum
from importlib import import_module
from typing import ClassVar, NamedTuple, Protocol

from . import toxics

PREFIX = "net."


class Ending(StrEnum):
    """How a connection is ended on both sides."""

    NONE = ""
    CLOSE = "close"
    RESET = "reset"  # as a peer does that has crashed


class Piece(NamedTuple):
    """What the proxy does next with a direction of a connection: it waits, sends, and may end the connection.

    When the fault is undone it waits no longer, and what was held is sent.
    """

    wait_s: float = 0.0
    data: bytes = b""
    ending: Ending = Ending.NONE


class Toxic(Protocol):
    """What a fault of one kind does to a connection, with its parameters."""

    shows: ClassVar[str]

    def describe(self) -> str:
        """Describe the effect briefly: ``200 ms later``."""
        ...

    def pieces(self, data: bytes, passed: int, dice: random.Random) -> Iterator[Piece]:
        """What becomes of *data*, read at once; *passed* bytes came before it in the time of the fault."""
        ...

    def at_end(self) -> float:
        """How long the end of a connection is kept back, in seconds."""
        ...

    def for_all(self) -> Ending:
        """What becomes of every connection as soon as the fault begins, and of each new one."""
        ...


class PassingToxic:
    """A base for kinds that change only some of this."""

    def pieces(self, data: bytes, passed: int, dice: random.Random) -> Iterator[Piece]:
        yield Piece(data=data)

    def at_end(self) -> float:
        return 0.0

    def for_all(self) -> Ending:
        return Ending.NONE


def names() -> list[str]:
    """Every kind, sorted."""
    import pkgutil

    return sorted(PREFIX + member.name for member in pkgutil.iter_modules(toxics.__path__))


def find(name: str) -> type[Toxic]:
    """The kind of that name.

    Raises:
        ValueError: There is none.
    """
    if name not in names():
        raise ValueError(f"no fault of the kind {name!r}")
    kind: type[Toxic] = import_module(f"{toxics.__name__}.{name.removeprefix(PREFIX)}").KIND
    return kind
