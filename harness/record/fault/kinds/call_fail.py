"""`call.fail`: a call that raises."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import ClassVar

from ..catalogue import Effect, Resolve, parameter


@dataclass(frozen=True, slots=True)
class CallFail:
    """The call raises instead of doing its work."""

    shows: ClassVar[str] = (
        "whether the caller handles the error: failed requests, lost messages, tasks that died"
    )

    raises: str = parameter(
        str, "The class of the exception.", default="builtins:ConnectionError", is_place=True
    )
    message: str = parameter(str, "The text of the exception.", default="injected fault")

    def describe(self) -> str:
        return f"raises {self.raises.removeprefix('builtins:')}"

    def prepare(self, resolve: Resolve) -> Effect:
        found = resolve(self.raises)
        if not (isinstance(found, type) and issubclass(found, BaseException)):
            raise TypeError(f"{self.raises} is not an exception")
        try:
            found(self.message)
        except Exception as exc:
            raise TypeError(f"{self.raises} cannot be made from a message alone: {exc}") from exc
        return Effect(functools.partial(_fail, found, self.message))


def _fail(kind: type[BaseException], message: str) -> None:
    raise kind(message)


KIND = CallFail
