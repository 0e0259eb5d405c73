"""Hides from a program that one of its functions was replaced."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    # Every Python process of the target loads this file.
    from collections.abc import Callable
    from typing import Any, Self


class BuiltinShim(staticmethod):  # type: ignore[type-arg]  # generic only for type checkers
    """Replaces a function written in C.

    A static method, because such a function does not become a method when it is stored in a class
    (``pause = time.sleep``), as a function written in Python would. It equals the original:
    `shutil` checks whether ``os.stat`` is in ``os.supports_dir_fd``, and removes trees in a less safe way
    when it is not.
    """

    def __new__(cls, function: Callable[..., Any], own: Callable[..., Any], _module: str) -> Self:
        # As `functools.wraps` does; a process without asyncio need not import it.
        for attribute in ("__name__", "__qualname__", "__doc__"):
            setattr(function, attribute, getattr(own, attribute))
        function.__wrapped__ = own  # type: ignore[attr-defined]  # `inspect` reads the signature from it
        # It copies these from the function. Since Python 3.15, it accepts nothing else.
        return super().__new__(cls, function)  # type: ignore[call-arg]  # typed as it was until then

    def __init__(self, function: Callable[..., Any], own: Callable[..., Any], module: str) -> None:
        if "__init__" in vars(staticmethod):  # until Python 3.14, this stores the function
            super().__init__(function)
        self._own = own
        # A function is pickled by its module and name; the module of `os.stat` is `posix`.
        self.__module__ = module

    def __eq__(self, other: object) -> bool:
        return other is self or other is self._own

    def __hash__(self) -> int:
        return hash(self._own)

    def __repr__(self) -> str:
        return repr(self._own)

    def __reduce__(self) -> str:
        return self._own.__name__
