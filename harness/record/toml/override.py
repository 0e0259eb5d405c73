"""``--set KEY=VALUE``: a change to a scenario, given on the command line.

KEY is a dotted TOML key; a list item is named by its index or its ``id``. VALUE is TOML, or else plain text:
``load.rate_per_s=50``, ``faults.slow-log.block_ms=50``, ``faults=[]``, ``target.cwd=../shop``.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator

from ...errors import ScenarioError
from .lines import Key

Table = dict[str, object]


def parse(text: str) -> Table:
    """The change as a table of only what it sets.

    Raises:
        ScenarioError: *text* is not KEY=VALUE.
    """
    key, equals, value = text.partition("=")
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        pass
    try:
        change = tomllib.loads(f"{key} = 0")
    except tomllib.TOMLDecodeError:
        equals = ""
    if not equals:
        raise ScenarioError(f"--set {text}: expected KEY=VALUE, with a dotted TOML key")
    place: object = change
    while isinstance(place, dict):
        [(name, inner)] = place.items()
        if inner == 0:
            place[name] = value
        place = inner
    return change


def merge(settings: Table, change: Table) -> Iterator[Key]:
    """Merge the change into *settings*, in place, and yield each key that it sets.

    Raises:
        LookupError: A list has no item with that index or id; the message lists those it has.
    """
    for name, value in change.items():
        old = settings.get(name)
        if isinstance(value, dict) and isinstance(old, dict):
            yield from ((name, *rest) for rest in merge(old, value))
        elif isinstance(value, dict) and isinstance(old, list):
            yield from ((name, *rest) for rest in _merge_items(name, old, value))
        else:
            settings[name] = value
            yield (name,)


def _merge_items(name: str, items: list[object], change: Table) -> Iterator[Key]:
    for which, value in change.items():
        index = _index_of(name, items, which)
        # Merged as a table with one key, so that the item itself can also be replaced.
        slot: Table = {which: items[index]}
        for _, *rest in merge(slot, {which: value}):
            yield (index, *rest)
        items[index] = slot[which]


def _index_of(name: str, items: list[object], which: str) -> int:
    ids = [item.get("id") if isinstance(item, dict) else None for item in items]
    if which in ids:
        return ids.index(which)
    if which.isdecimal() and int(which) < len(items):
        return int(which)
    known = [str(index if own is None else own) for index, own in enumerate(ids)]
    raise LookupError(f"{name} has no item {which!r}; it has: {', '.join(known) or 'none'}")
