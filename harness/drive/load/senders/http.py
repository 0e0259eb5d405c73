"""Sends independent HTTP requests: no cookies, no redirects, no limit on connections."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from ....errors import UsageError
from ....record.event import RequestFailure
from ....record.redact import redacted
from ..failure_kind import failure_kind
from ..in_flight import DriverRequest, InFlightRequests

try:
    import aiohttp
except ImportError as missing:
    raise UsageError('the sender "http" needs aiohttp: install asyncio-harness[http]') from missing

# The record keeps the beginning of an error, which may quote addresses and more.
ERROR_CHARS = 200


@asynccontextmanager
async def connect(
    flight: InFlightRequests,
    *,
    url: str,
    method: str,
    headers: Mapping[str, str],
    body: str,
    timeout_s: float,
    expect_status: Sequence[int],
) -> AsyncIterator[HttpSender]:
    """Open a sender to *url*. If the target does not listen, requests fail; `connect` raises nothing.

    Args:
        expect_status: Statuses that count as success; if empty, all below 400.
    """
    async with aiohttp.ClientSession(
        # A limit would make requests queue here, as in a closed model.
        connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=None),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=timeout_s),
        headers=headers,
        auto_decompress=False,
    ) as session:
        sender = HttpSender(flight, session, method, url, body.encode(), frozenset(expect_status))
        try:
            yield sender
        finally:
            await sender.close()


class HttpSender:
    """Runs one task per request, so that none waits for another."""

    def __init__(
        self,
        flight: InFlightRequests,
        session: aiohttp.ClientSession,
        method: str,
        url: str,
        body: bytes,
        expect_status: frozenset[int],
    ) -> None:
        self._flight = flight
        self._session = session
        self._method = method
        self._url = url
        self._body = body
        self._expect_status = expect_status
        self._shown_url = redacted(url)
        self._span = f"{method} {urlsplit(url).path or '/'}"
        self._tasks: set[asyncio.Task[None]] = set()

    def send(self, request: DriverRequest) -> None:
        """Start the request."""
        task = asyncio.get_running_loop().create_task(self._exchange(request))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Cancel the requests that have no answer yet."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _exchange(self, request: DriverRequest) -> None:
        attributes: dict[str, str | int] = {"http.request.method": self._method, "url.full": self._shown_url}
        sent_ns = time.monotonic_ns()
        self._flight.sent(request, sent_ns)
        kind: RequestFailure | None = None
        try:
            async with self._session.request(
                self._method,
                self._url,
                data=self._body or None,
                headers={"traceparent": request.traceparent},
                allow_redirects=False,
            ) as response:
                await response.read()
            attributes["http.response.status_code"] = response.status
            error = "" if self._expected(response.status) else f"status {response.status}"
            kind = RequestFailure.STATUS if error else None
        except (aiohttp.ClientError, OSError, TimeoutError, MemoryError) as exc:
            error, kind = redacted(f"{type(exc).__name__}: {exc}")[:ERROR_CHARS], _kind(exc)
        done_ns = time.monotonic_ns()
        self._flight.span(request, self._span, "client", sent_ns, done_ns, attributes, error=error)
        self._flight.end(request, done_ns, error=error, kind=kind)

    def _expected(self, status: int) -> bool:
        return status in self._expect_status if self._expect_status else status < 400


def _kind(exc: BaseException) -> RequestFailure | None:
    if (kind := failure_kind(exc)) is not None:
        return kind
    match exc:
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientPayloadError():
            return RequestFailure.RESET
        case aiohttp.ClientResponseError():
            return RequestFailure.PROTOCOL
    return None
