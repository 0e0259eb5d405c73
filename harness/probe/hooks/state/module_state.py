"""What a module tells about its own import, read without computing an attribute of it."""

from __future__ import annotations

import sys
from typing import Any


def namespace_of(module: object) -> dict[str, Any] | None:
    """The module's names; `None` if it has none yet, or is not a module."""
    # Not by `vars`: the first look at a module that is loaded lazily would load it.
    try:
        space = object.__getattribute__(module, "__dict__")
    except AttributeError:
        return None
    if type(module).__name__ == "_LazyModule" or not isinstance(space, dict):
        return None
    return space


def is_loading(namespace: dict[str, Any]) -> bool:
    """Whether the module with these names is still being imported."""
    return bool(getattr(namespace.get("__spec__"), "_initializing", False))


def forget_overloads(package: str) -> None:
    """Remove what `typing` keeps of a package's functions that are declared with `overload`."""
    kept = getattr(sys.modules.get("typing"), "_overload_registry", {})
    for name in [name for name in kept if name.partition(".")[0] == package]:
        del kept[name]
