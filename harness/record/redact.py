"""What a record must not hold, because it is passed on: the passwords in URLs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TypeVar

T = TypeVar("T")

# What stands in the place of the user and the password.
HIDDEN = "..."
# A user alone as well: NATS calls a token so.
_USER_AND_PASSWORD = re.compile(r"(?<=://)[^/\s]+(?=@)")


def without_password(text: str) -> str:
    """The text, and of each URL in it neither the password nor the user."""
    return _USER_AND_PASSWORD.sub(HIDDEN, text)


def without_passwords(value: T) -> T:
    """A copy of a JSON value, with each of its texts so."""
    copy: object = value
    if isinstance(value, str):
        copy = without_password(value)
    elif isinstance(value, Mapping):
        copy = {key: without_passwords(part) for key, part in value.items()}
    elif isinstance(value, Sequence):
        copy = [without_passwords(part) for part in value]
    return copy  # type: ignore[return-value]
