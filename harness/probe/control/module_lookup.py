"""Finds a module of the program in what is loaded, under any name that it may have; never imports it."""

from __future__ import annotations

import sys
import time
from types import ModuleType
from typing import Any

from ...record.clock import monotonic
from ..hooks.import_hook import PostImportHook
from ..hooks.state.module_state import is_loading, namespace_of

# Shorter than the time in which the runner expects an answer.
LOADING_WITHIN_S = 4.0


class ModuleNotLoadedError(LookupError):
    """The program has not imported the module so far; *importable*: it could, as far as can be told."""

    def __init__(self, name: str) -> None:
        self.importable = _is_importable(name)
        may = "has not imported" if self.importable else "has no module"
        super().__init__(f"the program {may} {name}")


def namespaces(name: str) -> list[dict[str, Any]]:
    """The namespaces of the loaded module *name*.

    A script runs as ``__main__``, whatever its file is called. A program may load the same file under both
    names: then both are found.

    Raises:
        ModuleNotLoadedError: There is none, or it is still being imported.
    """
    main = sys.modules.get("__main__")
    found = [sys.modules.get(name), main if main is not None and _is_main(main, name) else None]
    if found == [None, None]:
        # A loader may have registered it under another name than its own.
        found = [module for module in tuple(sys.modules.values()) if _own_name(module) == name]
    unique: dict[int, dict[str, Any]] = {}
    for module in found:
        if module is not None and (space := namespace_of(module)) is not None:
            unique[id(space)] = space
    if not unique:
        raise ModuleNotLoadedError(name)
    return list(unique.values())


def wait_loaded(name: str) -> None:
    """Return when no other thread is importing the module, at the latest after `LOADING_WITHIN_S`."""
    until_s = monotonic() + LOADING_WITHIN_S
    while (module := sys.modules.get(name)) is not None and monotonic() < until_s:
        if not is_loading(namespace_of(module) or {}):
            return
        time.sleep(0.005)


def _own_name(module: object) -> str:
    space = namespace_of(module) or {}
    spec = space.get("__spec__")
    return str(getattr(spec, "name", "") or space.get("__name__", ""))


def _is_main(main: ModuleType, name: str) -> bool:
    """Whether the program was started from the module *name*: as a script, by ``-m``, or by `runpy`."""
    space = namespace_of(main) or {}
    ran = str(getattr(space.get("__spec__"), "name", "") or "")
    if name in (ran, ran.removesuffix(".__main__")) and ran:
        return True
    file = str(space.get("__file__") or "")
    script = file.removesuffix(".pyc").removesuffix(".py")
    for stem in (script, script.removesuffix("/__main__")):
        parts = stem.split("/")
        if parts[-name.count(".") - 1 :] == name.split("."):
            return True
    return False


def _is_importable(name: str) -> bool:
    """Whether the finders of this process know a module of that name; a package is not imported for it."""
    path: Any = None
    parts = name.split(".")
    for count in range(1, len(parts) + 1):
        full = ".".join(parts[:count])
        if (module := sys.modules.get(full)) is not None:
            path = (namespace_of(module) or {}).get("__path__")
        else:
            spec = _spec(full, path)
            if spec is None:
                return False
            path = spec.submodule_search_locations
        if path is None and count < len(parts):
            return False
    return True


def _spec(name: str, path: Any) -> Any:
    for finder in tuple(sys.meta_path):
        find = getattr(finder, "find_spec", None)
        if find is None or isinstance(finder, PostImportHook):
            continue
        try:
            if (spec := find(name, path)) is not None:
                return spec
        except Exception:  # noqa: S112  # a finder of the program; the next one may know
            continue
    return None
