"""Families of modules: each file in the family's package is a member, without a list to maintain."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator
from importlib import import_module
from types import ModuleType
from typing import Any


def names_in(package: ModuleType) -> list[str]:
    """The names of all members, sorted; imports none of them."""
    return sorted(module.name for module in pkgutil.iter_modules(package.__path__))


def members(package: ModuleType, *, first: str = "") -> Iterator[Any]:
    """Every module of *package* by name, but *first* before the others; each is imported when reached."""
    for name in sorted(names_in(package), key=lambda name: (name != first, name)):
        yield import_module(f"{package.__name__}.{name}")
