"""Families of modules: each file in the family's package is a member, without a list to maintain."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator
from importlib import import_module
from types import ModuleType
from typing import Any


def members(package: ModuleType, *, first: str = "") -> Iterator[Any]:
    """Every module of *package* by name, but *first* before the others; each is imported when reached."""
    found = (module.name for module in pkgutil.iter_modules(package.__path__))
    for name in sorted(found, key=lambda name: (name != first, name)):
        yield import_module(f"{package.__name__}.{name}")
