"""An observability and profiling harness for asyncio services.

`watch_loop` and `open_console` are for programs and tests; everything else is for the command line. Each name
is imported on first use, so that `import harness` costs a program nothing.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .serving import open_console
    from .watching import watch_loop

    __version__: str

__all__ = ["__version__", "open_console", "watch_loop"]


def __getattr__(name: str) -> object:
    if name == "watch_loop":
        from .watching import watch_loop

        return watch_loop
    if name == "open_console":
        from .serving import open_console

        return open_console
    if name == "__version__":
        from importlib.metadata import version

        return version("asyncio-harness")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
