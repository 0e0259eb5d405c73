"""One attribute of a module, a class or an object, replaced so that it can be put back."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Stands for an attribute that the owner itself does not have.
ABSENT: Any = object()


class Replacement:
    """*ours* in the place of an attribute, until `undo`.

    Replacements of the same attribute may be undone in any order. What other code has put in the place of
    *ours* stays: it goes on to call *ours*, which must then only pass on.
    """

    def __init__(self, owner: Any, name: str, ours: Any) -> None:
        self.owner = owner
        self.name = name
        self._ours = ours
        self._ident = id(ours)
        self._before = self.stored()
        self.store(ours)
        try:  # noqa: SIM105  # no process imports `contextlib` because of this
            ours._harness_replacement = self
        except AttributeError:  # it takes no attributes; then those above it must be undone before it
            pass

    def undo(self) -> None:
        """Put back what was there before; a second call has no effect."""
        ours, self._ours = self._ours, None  # they refer to each other, and only a collection would free them
        if ours is None or self.stored() is not ours:
            return
        before = self._before
        # One that stood below this one may have been undone meanwhile. The mark alone does not tell: wrappers
        # copy the attributes of what they wrap.
        while (below := getattr(before, "_harness_replacement", None)) is not None:
            if below._ours is not None or below._ident != id(before):
                break
            before = below._before
        self.store(before)

    def stored(self) -> Any:
        """What the owner itself has under the name, as it is stored: a static method is not unwrapped."""
        return vars(self.owner).get(self.name, ABSENT)

    def store(self, value: Any) -> None:
        """Put *value* there; `ABSENT`: nothing, so that what the owner inherits is found again."""
        namespace = vars(self.owner)
        # An object's class may give `setattr` and `delattr` a meaning of its own, as a mock does.
        if type(namespace) is dict:
            if value is ABSENT:
                del namespace[self.name]
            else:
                namespace[self.name] = value
        elif value is ABSENT:
            delattr(self.owner, self.name)
        else:
            setattr(self.owner, self.name, value)
