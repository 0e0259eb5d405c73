"""Stands for a function written in C that was replaced by one in Python: a program must not notice."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    # Every Python process of the target loads this file.
    from collections.abc import Callable
    from typing import Any


class BuiltinShim(staticmethod):  # type: ignore[type-arg]  # it is generic for type checkers alone
    """Stands for a function written in C.

    A static method, because such a function that is put into a class (``pause = time.sleep``) does not become
    a method, as one in Python would. It equals what it stands for: `shutil` asks whether ``os.stat`` is in
    ``os.supports_dir_fd``, and removes trees in a less safe way when it is not.
    """

    def __init__(self, function: Callable[..., Any], own: Callable[..., Any], module: str) -> None:
        super().__init__(function)
        self._own = own
        # Pickled by this and its name, as functions are; `os.stat` says that it is of `posix`.
        self.__module__ = module

    def __eq__(self, other: object) -> bool:
        return other is self or other is self._own

    def __hash__(self) -> int:
        return hash(self._own)

    def __repr__(self) -> str:
        return repr(self._own)

    def __reduce__(self) -> str:
        return self._own.__name__
