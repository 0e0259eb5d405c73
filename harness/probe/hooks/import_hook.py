"""Runs a callback right after the first import of a module, and costs nothing until then."""

from __future__ import annotations

import sys

from .hook import Hook

TYPE_CHECKING = False
if TYPE_CHECKING:
    # A process without asyncio does not need these imports.
    from collections.abc import Callable, Sequence
    from importlib.abc import Loader
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

    Step = Callable[[ModuleType], None]


class PostImportHook:
    """A finder that leaves finding to the others, and runs a step after the loading of watched modules.

    A step that raises is undone alone, as the part of the probe that it belongs to.
    """

    def __init__(self) -> None:
        self._steps: dict[str, list[Callable[..., object]]] = {}
        self._sought: set[str] = set()  # the other finders are being asked for these
        # An error in the finder itself: no step runs any more.
        self._hook = Hook("imports")
        self._hook.when_undone(self._leave)

    def watch(self, name: str, part: str, step: Step) -> None:
        """Call *step* with the module *name*: now if it is imported already, else right after its import.

        *part* is the name for its errors in the record.
        """
        run = Hook(part).guarded(step)
        if (module := sys.modules.get(name)) is not None:
            run(module)
            return
        self._steps.setdefault(name, []).append(run)
        if self not in sys.meta_path and self._hook.is_on:
            sys.meta_path.insert(0, self)

    def keep(self, names: set[str]) -> None:
        """Watch no other modules than those of *names* that are watched now."""
        self._steps = {name: step for name, step in self._steps.items() if name in names}
        if not self._steps and self in sys.meta_path:
            sys.meta_path.remove(self)

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        others: list[Any] = []
        try:
            if name in self._steps and name not in self._sought:
                others = [finder for finder in sys.meta_path if finder is not self]
                self._sought.add(name)
        except BaseException as exc:
            if not self._hook.caught(exc):
                raise
        if not others:
            return None
        spec: ModuleSpec | None = None
        try:
            for finder in others:
                find = getattr(finder, "find_spec", None)
                if find is not None and (spec := find(name, path, target)) is not None:
                    break
        except BaseException as exc:  # of the program's own finder
            exc.__traceback__ = exc.__traceback__ and exc.__traceback__.tb_next  # without this frame
            raise
        finally:
            self._sought.discard(name)
        try:
            # A loader of the kind before PEP 451 is left alone.
            if spec is not None and spec.loader is not None and hasattr(spec.loader, "exec_module"):
                spec.loader = _HookedLoader(spec.loader, self, name)  # type: ignore[assignment]  # by duck type
        except BaseException as exc:
            if not self._hook.caught(exc):
                raise
        return spec

    def imported(self, name: str, module: ModuleType) -> None:
        """Run the steps for a module that has just been loaded."""
        try:
            steps = self._steps.pop(name, ())
            if not self._steps:
                self._leave()
        except BaseException as exc:
            if not self._hook.caught(exc):
                raise
            return
        for step in steps:
            step(module)

    def _leave(self) -> None:
        if self in sys.meta_path:
            sys.meta_path.remove(self)


class _HookedLoader:
    """Runs the module's own loader, then the steps. The module's spec gets its own loader back."""

    def __init__(self, own: Loader, hook: PostImportHook, name: str) -> None:
        self._own = own
        self._hook = hook
        self._name = name

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        try:
            return self._own.create_module(spec)
        except BaseException as exc:
            exc.__traceback__ = exc.__traceback__ and exc.__traceback__.tb_next  # without this frame
            raise

    def exec_module(self, module: ModuleType) -> None:
        if module.__spec__ is not None:
            module.__spec__.loader = self._own
        module.__loader__ = self._own
        try:
            self._own.exec_module(module)
        except BaseException as exc:
            exc.__traceback__ = exc.__traceback__ and exc.__traceback__.tb_next  # without this frame
            raise
        self._hook.imported(self._name, module)

    def __getattr__(self, name: str) -> object:
        # A program may look for a module without importing it, and ask its loader.
        return getattr(self._own, name)
