"""Removes passwords from URLs, because records are shared."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TypeVar

T = TypeVar("T")

# Replaces the user and the password.
HIDDEN = "..."
# Includes a user without a password: NATS URLs hold a token there.
_USER_AND_PASSWORD = re.compile(r"(?<=://)[^/\s]+(?=@)")


def without_password(text: str) -> str:
    """The text without the user and the password of any URL in it."""
    return _USER_AND_PASSWORD.sub(HIDDEN, text)


def without_passwords(value: T) -> T:
    """A copy of a JSON value whose strings have no passwords."""
    copy: object = value
    if isinstance(value, str):
        copy = without_password(value)
    elif isinstance(value, Mapping):
        copy = {key: without_passwords(part) for key, part in value.items()}
    elif isinstance(value, Sequence):
        copy = [without_passwords(part) for part in value]
    return copy  # type: ignore[return-value]
