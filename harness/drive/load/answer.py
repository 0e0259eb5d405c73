"""What an answer must be like, and the values that a visit takes from it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache

# The record keeps the beginning of what was there instead.
SHOWN_CHARS = 80

_pattern = cache(re.compile)


class UnexpectedAnswerError(Exception):
    """The answer is not what the scenario says; the text is ``what: detail``."""


def check(
    body: bytes, headers: Mapping[str, str], expect_body: str, expect_headers: Mapping[str, str]
) -> None:
    """Search the expressions in the answer.

    Raises:
        UnexpectedAnswerError: One is not found.
    """
    for name, pattern in expect_headers.items():
        found = headers.get(name)
        if found is None:
            raise UnexpectedAnswerError(f"header {name} missing")
        if not _pattern(pattern).search(found):
            raise UnexpectedAnswerError(f"unexpected header {name}: {found[:SHOWN_CHARS]}")
    if expect_body and not _pattern(expect_body).search(text := _text(body)):
        raise UnexpectedAnswerError(f"unexpected body: {text[:SHOWN_CHARS]}")


def take(sources: Mapping[str, str], body: bytes, headers: Mapping[str, str]) -> dict[str, str]:
    """The values of the answer, by name.

    Args:
        sources: ``json:a.0.b``, ``header:name``, or ``body:`` with an expression, whose first group counts.

    Raises:
        UnexpectedAnswerError: One is not there.
    """
    return {name: _value(name, source, body, headers) for name, source in sources.items()}


def _value(name: str, source: str, body: bytes, headers: Mapping[str, str]) -> str:
    kind, _, where = source.partition(":")
    match kind:
        case "header":
            value = headers.get(where)
        case "json":
            value = _in_json(body, where)
        case _:
            found = _pattern(where).search(_text(body))
            value = found and (found[1] if found.re.groups else found[0])
    if value is None:
        raise UnexpectedAnswerError(f"no {name} in the answer: {source}")
    return value


def _in_json(body: bytes, path: str) -> str | None:
    try:
        value = json.loads(body)
        for part in path.split("."):
            value = value[int(part)] if isinstance(value, list) else value[part]
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    return value if isinstance(value, str) else json.dumps(value)


def _text(body: bytes) -> str:
    return body.decode(errors="replace")
