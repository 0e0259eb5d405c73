"""Makes the HTTP requests of visits: no redirects, no limit on connections, and no cookies unless asked."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urljoin, urlsplit

from ....errors import UsageError
from ....record.event import RequestFailure
from ....record.options.template import fill, fill_all
from ....record.redact import redacted
from .. import answer
from ..answer import UnexpectedAnswerError
from ..failure_kind import ERROR_CHARS, error_text, failure_kind
from ..in_flight import DriverRequest, InFlightRequests
from ..visitors import Visit

try:
    import aiohttp
    from yarl import URL
except ImportError as missing:
    raise UsageError('the sender "http" needs aiohttp: install asyncio-harness[http]') from missing


@asynccontextmanager
async def connect(
    flight: InFlightRequests, *, url: str, cookies: bool, timeout_s: float
) -> AsyncIterator[HttpExchanger]:
    """Open an exchanger for addresses relative to *url*.

    If the target does not listen, requests fail; `connect` raises nothing.
    """
    async with aiohttp.ClientSession(
        # A limit would make requests queue here, as in a closed model.
        connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=None),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=timeout_s),
        auto_decompress=False,
    ) as session:
        yield HttpExchanger(flight, session, url, cookies=cookies)


class _Message:
    """What one step sends; made once if it has no values of the visit, as most steps have none."""

    def __init__(self, what: Mapping[str, Any], base: str) -> None:
        self.method: str = what["method"]
        self.span = f"{self.method} {urlsplit(what['url'] or base).path or '/'}"
        self.inspects = bool(what["expect_body"] or what["expect_headers"] or what["take"])
        self.what = what
        self._base = base
        self._headers: dict[str, str] = dict(what["headers"])
        if what["json"] is not None and "content-type" not in {name.lower() for name in self._headers}:
            self._headers["content-type"] = "application/json"
        texts = [base, what["url"], what["body"], json.dumps(what["json"]), *self._headers.values()]
        self._fixed = None if any("{{" in text for text in texts) else self._made({})

    def made(self, values: Mapping[str, str]) -> tuple[URL, str, dict[str, str], bytes | None]:
        """The address, the same as it may be shown, the headers, and the body."""
        return self._fixed or self._made(values)

    def _made(self, values: Mapping[str, str]) -> tuple[URL, str, dict[str, str], bytes | None]:
        url = urljoin(self._base, fill(self.what["url"], values))
        headers = {name: fill(text, values) for name, text in self._headers.items()}
        if self.what["json"] is not None:
            body = json.dumps(fill_all(self.what["json"], values))
        else:
            body = fill(self.what["body"], values)
        return URL(url), redacted(url), headers, body.encode() or None


class HttpExchanger:
    """Makes the requests, on connections that all visits share."""

    def __init__(
        self, flight: InFlightRequests, session: aiohttp.ClientSession, url: str, *, cookies: bool
    ) -> None:
        self._flight = flight
        self._session = session
        self._url = url
        self._cookies = cookies

    def prepare(self, what: Mapping[str, Any]) -> _Message:
        """What the step sends. Whether the target can be reached is not looked at: that is measured."""
        return _Message(what, self._url)

    async def exchange(self, request: DriverRequest, message: _Message, visit: Visit) -> bool:
        """Send the request and check its answer."""
        what, error, kind = message.what, "", None
        try:
            url, shown, headers, body = message.made(visit.values)
        except ValueError as exc:
            # What the visit has taken from an answer may be no address.
            now_ns = time.monotonic_ns()
            self._flight.sent(request, now_ns)
            self._flight.end(request, now_ns, error=redacted(f"no address: {exc}"), kind=RequestFailure.CHECK)
            return False
        attributes: dict[str, str | int] = {"http.request.method": message.method, "url.full": shown}
        sent_ns = time.monotonic_ns()
        self._flight.sent(request, sent_ns)
        try:
            async with self._session.request(
                message.method,
                url,
                data=body,
                headers={**headers, "traceparent": request.traceparent},
                cookies=_jar(visit).filter_cookies(url) if self._cookies else None,
                allow_redirects=False,
                auto_decompress=message.inspects,
            ) as response:
                read = await response.read()
            attributes["http.response.status_code"] = response.status
            if self._cookies:
                _jar(visit).update_cookies(response.cookies, response.url)
            if not _expected(response.status, what["expect_status"]):
                error, kind = f"status {response.status}", RequestFailure.STATUS
            elif message.inspects:
                answer.check(read, response.headers, what["expect_body"], what["expect_headers"])
                visit.values |= answer.take(what["take"], read, response.headers)
        except UnexpectedAnswerError as exc:
            error, kind = redacted(str(exc))[:ERROR_CHARS], RequestFailure.CHECK
        # A ValueError: a value of the visit may not fit into a header.
        except (aiohttp.ClientError, OSError, TimeoutError, MemoryError, ValueError) as exc:
            error, kind = error_text(exc), _kind(exc)
        done_ns = time.monotonic_ns()
        self._flight.span(request, message.span, "client", sent_ns, done_ns, attributes, error=error)
        self._flight.end(request, done_ns, error=error, kind=kind)
        return not error


def _jar(visit: Visit) -> aiohttp.CookieJar:
    # Unsafe: a service on loopback has an address instead of a name.
    jar: aiohttp.CookieJar = visit.state.get("cookies") or aiohttp.CookieJar(unsafe=True)
    visit.state["cookies"] = jar
    return jar


def _expected(status: int, expect_status: list[int]) -> bool:
    return status in expect_status if expect_status else status < 400


def _kind(exc: BaseException) -> RequestFailure | None:
    if (kind := failure_kind(exc)) is not None:
        return kind
    match exc:
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientPayloadError():
            return RequestFailure.RESET
        case aiohttp.ClientResponseError():
            return RequestFailure.PROTOCOL
    return None
