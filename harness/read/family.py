"""Families of modules: a member is a file in the family's package, and nothing lists it by hand."""

from __future__ import annotations

import pkgutil
from importlib import import_module
from types import ModuleType
from typing import Any


def members(package: ModuleType) -> list[Any]:
    """Every module of *package*, imported, by name."""
    found = pkgutil.iter_modules(package.__path__, f"{package.__name__}.")
    return [import_module(name) for name in sorted(module.name for module in found)]
