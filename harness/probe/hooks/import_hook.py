"""Runs a callback right after the first import of a module, and costs nothing until then."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    # A process without asyncio does not need these imports.
    from collections.abc import Callable, Sequence
    from importlib.abc import Loader
    from importlib.machinery import ModuleSpec
    from types import ModuleType


class PostImportHook:
    """A finder that leaves finding to the others, and runs a step after the loading of watched modules."""

    def __init__(self) -> None:
        self._steps: dict[str, Callable[[ModuleType], None]] = {}

    def watch(self, name: str, step: Callable[[ModuleType], None]) -> None:
        """Call *step* with the module *name*: now if it is imported already, else right after its import."""
        if (module := sys.modules.get(name)) is not None:
            step(module)
            return
        self._steps[name] = step
        if self not in sys.meta_path:
            sys.meta_path.insert(0, self)

    def keep(self, names: set[str]) -> None:
        """Watch no other modules than those of *names* that are watched now."""
        self._steps = {name: step for name, step in self._steps.items() if name in names}
        if not self._steps and self in sys.meta_path:
            sys.meta_path.remove(self)

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if (step := self._steps.pop(name, None)) is None:
            return None
        if not self._steps and self in sys.meta_path:
            sys.meta_path.remove(self)
        for finder in sys.meta_path:
            find = getattr(finder, "find_spec", None)
            spec: ModuleSpec | None = find(name, path, target) if find and finder is not self else None
            if spec is not None:
                if spec.loader is not None:
                    spec.loader = _HookedLoader(spec.loader, step)  # type: ignore[assignment]  # it loads by duck type
                return spec
        return None


class _HookedLoader:
    """Runs the module's own loader, then the step. The module's spec gets its own loader back."""

    def __init__(self, own: Loader, step: Callable[[ModuleType], None]) -> None:
        self._own = own
        self._step = step

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._own.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        if module.__spec__ is not None:
            module.__spec__.loader = self._own
        module.__loader__ = self._own
        self._own.exec_module(module)
        self._step(module)
