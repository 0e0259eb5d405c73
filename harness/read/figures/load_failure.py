"""Why requests of the load failed, by kind, with whose doing it was."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from ...record.event import RequestFailure
from ..history import Request

_IN_WORDS = {
    RequestFailure.REFUSED: "connection refused",
    RequestFailure.RESET: "connection closed without an answer",
    RequestFailure.TIMEOUT: "timeout",
    RequestFailure.TLS: "TLS error",
    RequestFailure.PROTOCOL: "answer that is not HTTP",
    RequestFailure.IN_FLIGHT: "too many unanswered requests to send another",
    RequestFailure.DESCRIPTORS: "no file descriptor left in the load driver",
    RequestFailure.PORTS: "no local port left for the load driver",
    RequestFailure.NAME: "name look-up failed in the load driver",
    RequestFailure.MEMORY: "no memory left for the load driver",
}


@dataclass(frozen=True, slots=True)
class LoadFailure:
    """Requests that failed in the same way."""

    what: str  # "status 503", "connection refused"
    count: int
    example: str  # the message of the first one
    is_the_drivers: bool  # the driver could not ask; this says nothing about the target


def load_failures(requests: Iterable[Request]) -> tuple[LoadFailure, ...]:
    """The failures among *requests*, most frequent first."""
    counts: Counter[str] = Counter()
    first: dict[str, Request] = {}
    for request in requests:
        if not request.ok:
            what = _what(request)
            counts[what] += 1
            first.setdefault(what, request)
    return tuple(
        LoadFailure(what, count, first[what].error, _is_the_drivers(first[what]))
        for what, count in counts.most_common()
    )


def _what(request: Request) -> str:
    if request.kind in (RequestFailure.STATUS, RequestFailure.CHECK, None):
        # "status 503"; "unexpected body: …"; or "nacked: the host is gone", whose reasons differ.
        return request.error.partition(":")[0]
    return _IN_WORDS[request.kind]


def _is_the_drivers(request: Request) -> bool:
    return request.kind is not None and request.kind.is_the_drivers
