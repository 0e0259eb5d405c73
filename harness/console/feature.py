"""The console as a feature of the probe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..probe.feature import Feature
from .server.console import Console

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

    from ..probe.session import ProbeSession
    from ..record.event import Event
    from ..record.probe_config import ConsoleConfig


class ConsoleFeature(Feature):
    """The console of a process that runs under the probe."""

    def __init__(self, session: ProbeSession, config: ConsoleConfig) -> None:
        self._console = Console(
            loops=session.loops,
            folder=None if session.config.unrecorded else session.folder,
            pages=session.folder.loops,
            allow=config.allow,
            port=config.port,
            admit=config.admit,
            write=session.write,
            dropped=session.dropped,
            handlers=session.handlers,
            on_error=session.failed,
        )

    def loop_begins(self, loop: AbstractEventLoop) -> None:
        self._console.running(loop)

    def span_began(self, span: Any) -> None:
        self._console.recent.span_began(span)

    def span_ended(self, span: Any) -> None:
        self._console.recent.span_ended(span)

    def take(self, event: Event) -> None:
        self._console.recent.take(event)

    def close(self) -> None:
        self._console.close()

    def abandon(self) -> None:
        self._console.abandon()

    def cpu_ns(self) -> int:
        return self._console.cpu_ns()


def create(session: ProbeSession) -> Feature:
    assert session.config.console is not None
    return ConsoleFeature(session, session.config.console)
