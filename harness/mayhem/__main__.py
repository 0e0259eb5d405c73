"""``python -m harness.mayhem``: serve, or print the ledger. Results go to stdout, the rest to stderr."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import logging
import os
import sys
import threading
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence

from .errors import MayhemError
from .ledger import read_ledger
from .log import logging_to_stderr
from .service import serve
from .settings import Settings, add_options, settings_from
from .telemetry import telemetry
from .tracing import root_cause

log = logging.getLogger("harness.mayhem")

# For a thread to come back, once everything else has ended.
LEAVE_S = 2.0


def main(arguments: Sequence[str]) -> int:
    """Run one sub-command and return its exit status: 1 for a drain that was cut short, 2 for usage."""
    options = _options(arguments)
    try:
        settings = settings_from(options, os.environ)
        if options.command == "ledger":
            json.dump(dataclasses.asdict(read_ledger(settings.db)), sys.stdout)
            sys.stdout.write("\n")
            return 0
        return _serve(settings)
    except MayhemError as exc:
        sys.stderr.write(f"mayhem: {exc}\n")
        return exc.exit_code


def _options(arguments: Sequence[str]) -> Namespace:
    parser = ArgumentParser(prog="mayhem", description="Restarts hosts as a broker's messages demand.")
    commands = parser.add_subparsers(dest="command", required=True)
    add_options(commands.add_parser("serve", help="consume restart events (the default)"))
    add_options(commands.add_parser("ledger", help="print what became of the messages, as JSON"), "db")
    if not arguments or (arguments[0].startswith("-") and arguments[0] not in ("-h", "--help")):
        arguments = ["serve", *arguments]
    return parser.parse_args(arguments)


def _serve(settings: Settings) -> int:
    with (
        logging_to_stderr(logging.DEBUG if settings.debug else logging.INFO),
        telemetry(os.environ),
        # None leaves it to PYTHONASYNCIODEBUG and -X dev.
        asyncio.Runner(debug=settings.debug or None) as runner,
    ):
        try:
            return 0 if runner.run(serve(settings)) else 1
        except ExceptionGroup as group:
            log.critical("stopped by an error", exc_info=root_cause(group))
            return 1


def _leave(status: int) -> None:
    """Exit, even if a blocking call never returns: Python would wait for its thread for ever."""
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
