"""Families of modules: a member is a file in the family's package, and nothing lists it by hand."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator
from importlib import import_module
from types import ModuleType
from typing import Any


def members(package: ModuleType, *, first: str = "") -> Iterator[Any]:
    """Every module of *package* by name, but *first* before the others; each is imported in its turn."""
    found = (module.name for module in pkgutil.iter_modules(package.__path__))
    for name in sorted(found, key=lambda name: (name != first, name)):
        yield import_module(f"{package.__name__}.{name}")
