"""Keeps secrets out of a record, because records are shared: passwords, tokens, values of the environment.

A secret is recognised by its place (the user part of a URL, ``Bearer …``), by its name (``--password``, a
header ``authorization``, ``token=…``), or because this process has learned it: the values of ``${NAME}`` in a
scenario. What a process learned holds for everything that it writes afterwards.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re
    from collections.abc import Iterable, Mapping
    from typing import TypeVar

    T = TypeVar("T")

# Replaces a secret.
HIDDEN = "..."
# A shorter value of the environment, such as a port, is not replaced wherever it occurs in a text.
SHORTEST_KNOWN = 6
# A longer argument of a command is cut.
ARGUMENT_CHARS = 4_000

# `re` is imported and the patterns are compiled only when a text needs them, because every process of a
# target pays for this module at its start.
# Includes a user without a password: NATS URLs hold a token there.
_USER_OF_URL = r"(?<=://)[^/\s]+(?=@)"
_NAME = (
    r"(?:passw|passphrase|secret|token|credential|authorization|cookie|"
    r"api[_-]?key|access[_-]?key|private[_-]?key|session[_-]?id)"
)
_FLAG = rf"(?i)--?[\w-]*{_NAME}[\w-]*"
# token=abc, "password": "abc", api_key: abc; but not a reference to the environment.
# A search begins once in each word, and goes on for so long: a text may be one word of a megabyte.
_ASSIGNED = (
    rf"(?i)(?<![\w-])([\w-]*{_NAME}[\w-]{{0,64}}\"?\s{{0,8}}[=:]\s{{0,8}}\"?"
    rf"(?:(?:bearer|basic|token)\s{{1,8}})?)(?!\$\{{)[^\s\"'&,;}}]+"
)
# Base64 has a digit, a sign or mixed case, unlike the next word of a sentence.
_AFTER_SCHEME = (
    r"\b([Bb]earer|[Bb]asic|BEARER|BASIC)\s+"
    r"(?=[^\s\"']*(?:[0-9=+/._-]|[a-z][A-Z]))[^\s\"'$]{6,}"
)
_ONLY_REFERENCES = r"(?i)(?:(?:bearer|basic|token)\s+)?(?:\$\{\w+\})+"
# A text with none of these needs no pattern.
_HINTS = (
    *("://", "bearer", "basic", "passw", "passphrase", "secret", "token", "credential", "authorization"),
    *("cookie", "key", "session"),
)

_known: dict[str, str] = {}


def learn(values: Mapping[str, str]) -> None:
    """Hide these secrets from now on: each value, and what stands in its place, such as ``${API_TOKEN}``."""
    _known.update((value, shown) for value, shown in values.items() if len(value) >= SHORTEST_KNOWN)


def learn_variables(names: Iterable[str]) -> None:
    """Hide the values of these environment variables, as ``${NAME}``."""
    learn({os.environ[name]: f"${{{name}}}" for name in names if name in os.environ})


def known() -> dict[str, str]:
    """The secrets that were learned, to be passed to another process of the harness, never written."""
    return dict(_known)


def is_secret_name(name: str) -> bool:
    """Whether the value under this name of a header, variable or setting is probably a secret."""
    return _pattern(f"(?i){_NAME}").search(name) is not None


def without_password(text: str) -> str:
    """The text without the user and the password of any URL in it."""
    return _pattern(_USER_OF_URL).sub(HIDDEN, text)


def redacted(text: str, most: int | None = None) -> str:
    """The text without the secrets in it, cut after *most* characters."""
    # Long ones first: a secret can contain another one.
    for value, shown in sorted(_known.items(), key=lambda item: -len(item[0])) if _known else ():
        text = text.replace(value, shown)
    if most is not None and len(text) > most:
        text = f"{text[:most]}…"
    lower = text.lower()
    if not any(hint in lower for hint in _HINTS):
        return text
    text = _pattern(_ASSIGNED).sub(rf"\1{HIDDEN}", without_password(text))
    return _pattern(_AFTER_SCHEME).sub(rf"\1 {HIDDEN}", text)


def redacted_command(command: Iterable[str]) -> tuple[str, ...]:
    """The arguments of a command without secrets, including the one after ``--password``."""
    shown: list[str] = []
    is_value = False
    for argument in command:
        shown.append(
            HIDDEN if is_value and not argument.startswith("-") else redacted(argument, ARGUMENT_CHARS)
        )
        is_value = _is_flag_of_secret(argument[:ARGUMENT_CHARS])
    return tuple(shown)


def _is_flag_of_secret(argument: str) -> bool:
    lower = argument.lower()
    # Most processes have only other options, and need not import `re` for them.
    if not (argument.startswith("-") and any(hint in lower for hint in _HINTS)):
        return False
    return _pattern(_FLAG).fullmatch(argument) is not None


def redacted_settings(value: T) -> T:
    """A copy of a JSON value whose strings have no secrets; a string under a secret's name is hidden."""
    return _copy(value, "")  # type: ignore[return-value]  # of the same shape


def secrets_in(value: object, name: str = "") -> Iterable[str]:
    """The strings of a JSON value that stand under a secret's name, without ``Bearer`` before them."""
    if isinstance(value, str):
        if is_secret_name(name) and not _pattern(_ONLY_REFERENCES).fullmatch(value):
            yield value.split()[-1] if value.split() else value
    elif isinstance(value, dict):
        for key, part in value.items():
            yield from secrets_in(part, str(key))
    elif isinstance(value, list | tuple):
        for part in value:
            yield from secrets_in(part, name)


def _copy(value: object, name: str) -> object:
    if isinstance(value, str):
        if is_secret_name(name) and value and not _pattern(_ONLY_REFERENCES).fullmatch(value):
            return HIDDEN
        return redacted(value)
    if isinstance(value, dict):
        return {key: _copy(part, str(key)) for key, part in value.items()}
    if isinstance(value, list | tuple):
        if all(isinstance(part, str) for part in value) and not is_secret_name(name):
            return list(redacted_command(value))
        return [_copy(part, name) for part in value]
    return value


def _pattern(text: str) -> re.Pattern[str]:
    import re

    return re.compile(text)
