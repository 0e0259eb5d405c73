"""``${NAME}`` in a string of a scenario: the value of an environment variable, so that files hold no secrets.

``$${NAME}`` stands for the text ``${NAME}``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from .lines import Key
from .validation import Violation

_REFERENCE = re.compile(r"\$(\$?)\{([A-Za-z_][A-Za-z0-9_]*)\}")


@dataclass(slots=True)
class Resolved:
    """Settings with the values of the environment in them."""

    settings: object
    written: dict[Key, str] = field(default_factory=dict)  # the strings as they were before
    values: dict[str, str] = field(default_factory=dict, repr=False)  # of the variables, by name
    unset: list[Violation] = field(default_factory=list)


def resolve(settings: object, variables: Mapping[str, str]) -> Resolved:
    """The *settings*, tables and lists as `tomllib` gives them, with every reference replaced."""
    found = Resolved(None)
    found.settings = _copy(settings, (), variables, found)
    return found


def restore(settings: object, written: Mapping[Key, str]) -> None:
    """Put the strings with references back into *settings*, in place, where it has these keys."""
    for key, text in written.items():
        *outer, last = key
        table = settings
        try:
            for part in outer:
                table = table[part]  # type: ignore[index]
            if isinstance(table[last], str):  # type: ignore[index]
                table[last] = text  # type: ignore[index]
        except (LookupError, TypeError):
            continue


def _copy(value: object, key: Key, variables: Mapping[str, str], found: Resolved) -> object:
    if isinstance(value, dict):
        return {name: _copy(part, (*key, name), variables, found) for name, part in value.items()}
    if isinstance(value, list):
        return [_copy(part, (*key, index), variables, found) for index, part in enumerate(value)]
    if not isinstance(value, str) or "${" not in value:
        return value
    for name in _names(value):
        if name in variables:
            found.values[name] = variables[name]
        else:
            note = f"Set it, or write $${{{name}}} for the text itself."
            found.unset.append(Violation(key, f"the environment variable {name} is not set", note))
    found.written[key] = value
    return _REFERENCE.sub(
        lambda match: match[0][1:] if match[1] else variables.get(match[2], match[0]), value
    )


def _names(text: str) -> Iterator[str]:
    return (match[2] for match in _REFERENCE.finditer(text) if not match[1])
