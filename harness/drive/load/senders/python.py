"""Calls coroutine functions of the user's own, as requests.

``python -m harness.drive.load.senders.python FOLDER CALL...`` looks whether they can be called, in a process
of its own, before anything is started.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from ....errors import UsageError
from ..failure_kind import error_text, failure_kind
from ..in_flight import DriverRequest, InFlightRequests
from ..visitors import Visit


@dataclass(frozen=True, slots=True)
class CalledRequest:
    """What the function is given."""

    n: int  # of the request in the load, from 0
    user: int  # in a closed model
    traceparent: str  # the W3C header, for what the function sends
    values: dict[str, str]  # of the visit: its row of the data, and what earlier steps have put there


@asynccontextmanager
async def connect(flight: InFlightRequests, *, cwd: str, timeout_s: float) -> AsyncIterator[PythonExchanger]:
    """Open an exchanger whose modules are looked for in the folder *cwd* first."""
    sys.path.insert(0, cwd)
    yield PythonExchanger(flight, timeout_s)


class PythonExchanger:
    """Makes the calls."""

    def __init__(self, flight: InFlightRequests, timeout_s: float) -> None:
        self._flight = flight
        self._timeout_s = timeout_s

    def prepare(self, what: Mapping[str, Any]) -> _Call:
        """The function of a step, with its name.

        Raises:
            UsageError: It cannot be imported, or is no coroutine function.
        """
        return what["call"], _function(what["call"])

    async def exchange(self, request: DriverRequest, step: _Call, visit: Visit) -> bool:
        """Make the call, and return whether it returned."""
        call, function = step
        given = CalledRequest(request.n, visit.user, request.traceparent, visit.values)
        sent_ns = time.monotonic_ns()
        self._flight.sent(request, sent_ns)
        error, kind = "", None
        try:
            async with asyncio.timeout(self._timeout_s):
                await function(given)
        except Exception as exc:
            error, kind = error_text(exc), failure_kind(exc)
        done_ns = time.monotonic_ns()
        self._flight.span(
            request, call, "client", sent_ns, done_ns, {"code.function.name": call}, error=error
        )
        self._flight.end(request, done_ns, error=error, kind=kind)
        return not error


_Function = Callable[[CalledRequest], Awaitable[object]]
_Call = tuple[str, _Function]


def _function(call: str) -> _Function:
    module, _, name = call.partition(":")
    try:
        function = attrgetter(name)(importlib.import_module(module))
    except Exception as exc:
        raise UsageError(f"load.call {call}: {type(exc).__name__}: {exc}") from exc
    if not inspect.iscoroutinefunction(function):
        raise UsageError(f"load.call {call}: expected a coroutine function (async def)")
    made: _Function = function
    return made


def main() -> int:
    """Look whether the functions can be called; nothing is."""
    cwd, *calls = sys.argv[1:]
    sys.path.insert(0, cwd)
    try:
        for call in calls:
            _function(call)
    except UsageError as exc:
        sys.stderr.write(f"{exc}\n")
        return exc.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
