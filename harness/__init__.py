"""An observability and profiling harness for asyncio services.

`watch_loop` and `console` are what programs and tests call; the rest is the command's. Each name loads what
it needs when it is first used: `import harness` costs a program nothing.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .serving import console
    from .watching import watch_loop

    __version__: str

__all__ = ["__version__", "console", "watch_loop"]


def __getattr__(name: str) -> object:
    if name == "watch_loop":
        from .watching import watch_loop

        return watch_loop
    if name == "console":
        from .serving import console

        return console
    if name == "__version__":
        from importlib.metadata import version

        return version("asyncio-harness")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
