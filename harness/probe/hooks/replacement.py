"""Replaces one attribute of a module, a class or an object, and restores it."""

from __future__ import annotations

from _weakref import ref  # the module behind `weakref`

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .hook import Hook

# Stands for an attribute that the owner itself lacks.
ABSENT: Any = object()


class Replacement:
    """Sets an attribute of *owner* to *ours* until `undo`, at the latest when *hook* is undone.

    Replacements of the same attribute may be undone in any order. If other code has replaced *ours*
    since, its value stays, and may still call *ours*, which must then only call the original.
    """

    def __init__(self, hook: Hook, owner: Any, name: str, ours: Any, *, weakly: bool = False) -> None:
        """With *weakly*, *owner* is not kept alive; then *ours* must not refer to it, either."""
        self._owner = ref(owner) if weakly else lambda: owner
        self.name = name
        self._ours = ours
        self._ident = id(ours)
        self._before = self.stored()
        self.store(ours)
        hook.when_undone(self.undo)
        try:  # noqa: SIM105  # spares every process the import of `contextlib`
            ours._harness_replacement = self
        except AttributeError:  # *ours* takes no attributes: later replacements must be undone first
            pass

    @property
    def owner(self) -> Any:
        """Whose attribute it is; `None` if that was not kept alive, and is deleted."""
        return self._owner()

    def undo(self) -> None:
        """Restore the attribute; a second call has no effect."""
        ours, self._ours = self._ours, None  # breaks a reference cycle
        if ours is None or self.owner is None or self.stored() is not ours:
            return
        before = self._before
        # An earlier replacement may have been undone since: skip its value. The id is also compared, because
        # `functools.wraps` copies the attribute to the program's own wrappers.
        while (below := getattr(before, "_harness_replacement", None)) is not None:
            if below._ours is not None or below._ident != id(before):
                break
            before = below._before
        self.store(before)

    def stored(self) -> Any:
        """The owner's own attribute as it is stored (a static method is not unwrapped), else `ABSENT`."""
        return vars(self.owner).get(self.name, ABSENT)

    def store(self, value: Any) -> None:
        """Set the owner's own attribute; `ABSENT` deletes it, which uncovers an inherited one."""
        namespace = vars(self.owner)
        # Not by `setattr`: an object's class may redefine it, as a mock does.
        if type(namespace) is dict:
            if value is ABSENT:
                del namespace[self.name]
            else:
                namespace[self.name] = value
        elif value is ABSENT:
            delattr(self.owner, self.name)
        else:
            setattr(self.owner, self.name, value)
