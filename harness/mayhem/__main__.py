"""``python -m harness.mayhem``: serve, print the ledger, remove the queue, or print the settings.

Results go to stdout, everything else to stderr.
"""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import json
import logging
import os
import re
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from . import brokers
from .backend import member
from .errors import MayhemError, SettingsError
from .ledger import read_ledger
from .operations.health import Health
from .operations.listen_address import parse_listen_address
from .operations.log import logging_to_stderr
from .operations.telemetry import telemetry
from .operations.tracing import root_cause
from .process.init import fork_if_first
from .service import Service
from .settings import Settings, load

log = logging.getLogger("harness.mayhem")

COMMANDS = ("serve", "ledger", "remove", "check")
# Time for threads to return once everything else has ended.
LEAVE_S = 2.0
# Allocations between garbage collections. With Python's default of 700, scanning the messages in flight and
# their spans again and again took a quarter of the CPU time and freed nothing.
GARBAGE = 50_000


def main(arguments: Sequence[str]) -> int:
    """Run one command and return its exit status: 1 for a drain that was cut short, 2 for a usage error."""
    command, *options = arguments if arguments and arguments[0] in COMMANDS else ("serve", *arguments)
    try:
        settings = load(options)
        match command:
            case "ledger":
                ledger = asyncio.run(read_ledger(settings.broker, settings.store_url))
                sys.stdout.write(f"{json.dumps(dataclasses.asdict(ledger))}\n")
            case "remove":
                asyncio.run(member(brokers, settings.broker, "removal").remove(settings.broker))
            case "check":
                sys.stdout.write(f"{json.dumps(_shown(settings))}\n")
            case _:
                return _serve(settings, options)
        return 0
    except MayhemError as exc:
        sys.stderr.write(f"mayhem: {exc}\n")
        return exc.exit_code
    except KeyboardInterrupt:
        return 130


def _shown(settings: Settings) -> dict[str, object]:
    """The effective settings, without passwords."""
    shown: dict[str, object] = settings.model_dump(mode="json")
    urls = {"broker": settings.broker, "store": settings.store_url}
    return shown | {name: re.sub(r"//[^/]*@", "//...@", url) for name, url in urls.items()}


def _serve(settings: Settings, options: Sequence[str]) -> int:
    fork_if_first()
    # Imported objects live until the exit, so collections need not scan them.
    gc.freeze()
    gc.set_threshold(GARBAGE)
    health = Health()
    with (
        logging_to_stderr(settings.level, settings.log_format),
        _observed(settings, health),
        # None leaves the choice to PYTHONASYNCIODEBUG and -X dev.
        asyncio.Runner(debug=settings.debug or None) as runner,
    ):
        try:
            service = Service(settings, read=lambda: load(options), health=health)
            return 0 if runner.run(service.run()) else 1
        except ExceptionGroup as group:
            cause = root_cause(group)
            if isinstance(cause, SettingsError):
                raise cause from None
            # The service's own errors need no traceback; any other exception is a bug.
            bug = None if isinstance(cause, MayhemError) else cause
            log.critical("stopped by an error: %s", cause, exc_info=bug)
            return 1


@contextmanager
def _observed(settings: Settings, health: Health) -> Iterator[None]:
    """Run with telemetry, and with the HTTP endpoint if configured."""
    if settings.http is None:
        with telemetry(os.environ):
            yield
        return
    try:
        from .operations.endpoint import prometheus, serve_http
    except ImportError as exc:
        raise SettingsError(f"http: {exc.name} is missing; pip install 'asyncio-harness[metrics]'") from None
    views = {"/healthz": health.whole, "/readyz": health.ready, "/livez": health.alive}
    with (
        serve_http(parse_listen_address(settings.http), views) as port,
        telemetry(os.environ, readers=[prometheus()]),
    ):
        log.info("answering over HTTP", extra={"port": port})
        yield


def _leave(status: int) -> None:
    """Exit even if a blocking call never returns; Python would wait for its thread forever."""
    others = [t for t in threading.enumerate() if t is not threading.main_thread() and not t.daemon]
    deadline = time.monotonic() + LEAVE_S
    for thread in others:
        thread.join(max(0.0, deadline - time.monotonic()))
    if stuck := [thread.name for thread in others if thread.is_alive()]:
        sys.stderr.write(f"mayhem: left behind, still in a blocking call: {', '.join(stuck)}\n")
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)


if __name__ == "__main__":
    _leave(main(sys.argv[1:]))
