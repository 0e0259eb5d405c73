"""The kinds of faults, one per file of `kinds/`: what an affected call does.

The file `kinds/block_sleep.py` is the kind ``block.sleep``. Its `KIND` is a dataclass with the methods of
`FaultKind`; its docstring is the description, its fields are the parameters. The scenario's model, the
console's options, the text in the record and the effect in the target are all derived from that class.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, dataclass, field, fields
from importlib import import_module
from typing import Any, Protocol

from . import kinds

Resolve = Callable[[str], object]  # "module:qualified.name" to the object of that name in the target


class FaultKind(Protocol):
    """What a fault of one kind does, with its parameters."""

    def describe(self) -> str:
        """Describe the effect briefly: ``time.sleep(0.3)``."""
        ...

    def prepare(self, resolve: Resolve) -> Callable[[], None]:
        """The effect, to be called in the target before the body of each affected call.

        If the effect raises, the body does not run.

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


def parameters(kind: type[FaultKind]) -> dict[str, Parameter]:
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
