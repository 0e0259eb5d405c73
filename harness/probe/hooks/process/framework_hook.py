"""Notices that the loop of another framework begins to run, whose turns cannot be timed.

A report can then name the framework, where it would otherwise find no loop. For each framework one function
that runs once per loop, and returns before the loop runs, is replaced until its first call.
"""

from __future__ import annotations

from types import FunctionType

from ..hook import Hook
from ..replacement import Replacement

TYPE_CHECKING = False
if TYPE_CHECKING:
    # Every Python process of the target loads this file.
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

    from ..import_hook import PostImportHook

# The module, and in it the function, as a dotted path.
_BEGINNINGS = {
    "trio": ("trio._core._run", "setup_runner"),
    "curio": ("curio.kernel", "Kernel.__init__"),
    "gevent": ("gevent.hub", "Hub.__init__"),
    "eventlet": ("eventlet.hubs.hub", "BaseHub.__init__"),
    "Twisted": ("twisted.internet.base", "ReactorBase.startRunning"),
}


def watch_frameworks(hooks: PostImportHook, notice: Callable[[str], object]) -> None:
    """Call *notice* with the name of each framework whose loop begins."""
    for name, (module, path) in _BEGINNINGS.items():
        step = lambda loaded, name=name, path=path: _await_call(loaded, path, name, notice)  # noqa: E731
        hooks.watch(module, "other frameworks", step)


def _await_call(module: ModuleType, path: str, framework: str, notice: Callable[[str], object]) -> None:
    owner: Any = module
    *holders, name = path.split(".")
    for holder in holders:
        owner = getattr(owner, holder, None)
    own = vars(owner).get(name) if owner is not None else None
    if not isinstance(own, FunctionType):
        return

    hook = Hook("other frameworks")

    @hook.guarded
    def noticed() -> None:
        hook.undo()
        notice(framework)

    def begins(*args: Any, **kwargs: Any) -> Any:
        noticed()
        return own(*args, **kwargs)

    begins.__name__, begins.__qualname__, begins.__doc__ = own.__name__, own.__qualname__, own.__doc__
    begins.__module__ = own.__module__
    begins.__wrapped__ = own  # type: ignore[attr-defined]  # `inspect` reads the signature from it
    Replacement(hook, owner, name, begins)
