"""The kinds of faults, one per file of `kinds/`: what an affected call does.

The file `kinds/block_sleep.py` is the kind ``block.sleep``. Its `KIND` is a dataclass with the methods of
`FaultKind`; its docstring is the description, its fields are the parameters. The scenario's model, the
console's options, the text in the record and the effect in the target are all derived from that class.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import MISSING, dataclass, field, fields
from importlib import import_module
from typing import Any, ClassVar, Protocol

from . import kinds

Resolve = Callable[[str], object]  # "module:qualified.name" to the object of that name in the target
Planted = Callable[[Callable[..., object]], Callable[..., object]]


def _always() -> bool:
    return True


def _nothing() -> None:
    pass


@dataclass(frozen=True, slots=True)
class Effect:
    """What an affected call does in the target."""

    act: Callable[..., object]
    """Called before the body of the call; if it raises, the body does not run.

    One with *acts_later* is given a function of the type `Planted`: what it schedules to be called later is
    made the fault's own by it.
    """
    acts_later: bool = False
    waits: Callable[[], Awaitable[object]] | None = None
    """Awaited instead, before the body; then only coroutine functions can be hit."""
    fits: Callable[[], bool] = _always
    """Whether it can act on the call that is about to be made; others are not hit."""
    release: Callable[[], object] = _nothing
    """Gives back what `act` has taken, when the fault is undone: in any thread, also in a forked child."""


class FaultKind(Protocol):
    """What a fault of one kind does, with its parameters."""

    shows: ClassVar[str]
    """What of it can be seen, in the report or by the service's users."""

    def describe(self) -> str:
        """Describe the effect briefly: ``time.sleep(0.3)``."""
        ...

    def prepare(self, resolve: Resolve) -> Effect:
        """The effect, made in the target when the fault is found there.

        Raises:
            LookupError, TypeError: A parameter names nothing in the target, or an object of the wrong type.
        """
        ...


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a kind. Its name ends with its unit."""

    type: type[bool | float | int | str]
    help: str
    default: Any = ...  # the ellipsis: required in a scenario, while the console uses *typical*
    typical: Any = None
    above: float | None = None  # exclusive
    is_place: bool = False  # "module:qualified.name"


def parameter(type_: type[bool | float | int | str], help: str, **more: Any) -> Any:  # noqa: A002
    """Declare a `Parameter` as a field of a kind's dataclass."""
    about = Parameter(type_, help, **more)
    return field(default=MISSING if about.default is ... else about.default, metadata={"about": about})


def parameters(kind: type[object]) -> dict[str, Parameter]:
    """The parameters of a kind by name, in the order of its fields."""
    return {each.name: each.metadata["about"] for each in fields(kind)}  # type: ignore[arg-type]  # a dataclass


def names() -> list[str]:
    """Every kind, sorted."""
    import pkgutil  # imported here: a target looks up one kind by its name

    return sorted(member.name.replace("_", ".", 1) for member in pkgutil.iter_modules(kinds.__path__))


def find(name: str) -> type[FaultKind]:
    """The kind of that name.

    Raises:
        ValueError: There is none.
    """
    module = f"{kinds.__name__}.{name.replace('.', '_')}"
    try:
        kind: type[FaultKind] = import_module(module).KIND
    except ModuleNotFoundError as exc:
        if exc.name != module:
            raise
        raise ValueError(f"no fault of the kind {name!r}") from None
    return kind
