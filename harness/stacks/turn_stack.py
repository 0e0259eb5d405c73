"""A stack cut to the turn that was running, and which of its frames to blame.

The program's own code comes first, because the fix is written there; then code that is neither the program's
nor a library's; then any other. Frames outside the turn (the code that started the loop) and the harness's
own are never blamed.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, cached_property
from pathlib import PurePath

from ..record.observation import Frame
from .ownership import CodeOwnership, Owner

# The functions of asyncio that drive a turn; a callback's code runs inside the innermost of them. Bare names,
# because stacks read from outside have no others. Under uvloop only the runner appears.
_DRIVERS = {
    "base_events.py": ("run_forever", "run_until_complete", "_run_once"),
    "events.py": ("_run",),
    "runners.py": ("run",),
}
# The one of these that calls a callback or a step of a task.
_CALLS_STEP = "events.py", "_run"
# The functions of `concurrent.futures` around a call in a pool's thread; the second since Python 3.14.
_RUNS_WORK = ("_WorkItem.run", "WorkerContext.run")
# The one that waits for files and timers, by the selector.
_WAITS = "_run_once"
# A callback in C, or a compiled coroutine, whose name was not recorded.
UNNAMED = Frame("", 0, "<compiled code>")
_COMPREHENSIONS = ("<listcomp>", "<dictcomp>", "<setcomp>", "<genexpr>")


class TurnStack:
    """One stack of one thread, read once. Frames are outermost first."""

    def __init__(self, stack: Sequence[Frame], ownership: CodeOwnership) -> None:
        """*stack* is that of a thread, task or traceback; without a running loop, all of it is the turn."""
        self.whole = folded(stack)
        self._ownership = ownership
        start = max((i for i, f in enumerate(self.whole, 1) if is_driver(f.file, f.function)), default=0)
        # The frames that belong to the turn; none where the loop ran no code.
        self.frames = tuple(frame for frame in self.whole[start:] if not ownership.is_harness(frame))
        # Whether a callback of the harness itself runs. In `_run_once`, its code waits for the loop instead.
        waits = start and self.whole[start - 1].function.rpartition(".")[2] == _WAITS
        self.is_harness = bool(start and self.whole[start:] and not self.frames and not waits)

    @cached_property
    def candidates(self) -> tuple[Frame, ...]:
        """The frames that may be blamed; the last one is to blame. Empty for an empty stack only."""
        if self.frames:
            # Compiled code of a package has no line, so its caller is blamed, if there is one.
            frames = tuple(f for f in self.frames if f.line or not f.file) or self.frames
            return tuple(frames[i] for i in blamable([self._owner(f) for f in frames]))
        outside = tuple(frame for frame in self.whole if not self._ownership.is_harness(frame))
        return outside[-1:] or self.whole[-1:]

    @property
    def blamed(self) -> Frame | None:
        """The frame to blame; `None` for an empty stack."""
        return self.candidates[-1] if self.candidates else None

    def without_innermost(self) -> TurnStack:
        """The stack of the caller of the innermost function."""
        return TurnStack(self.whole[:-1], self._ownership)

    @property
    def imports(self) -> bool:
        """Whether the turn was inside an import statement."""
        return self._import < len(self.frames)

    @property
    def imported(self) -> str:
        """The module being imported, as ``anyio.abc``; "" when its code had not begun."""
        bodies = (frame for frame in self.frames[self._import :] if frame.function == "<module>")
        return next((self._module(frame) for frame in bodies), "")

    @property
    def library_calls(self) -> tuple[str, ...]:
        """The calls below the innermost code that is no library, outermost first, as ``queue.Queue.get``.

        Calls of `logging` are listed wherever they are, because it calls the program's own handlers.
        """
        start = len(self.frames)
        while start and self._is_call(self.frames[start - 1]):
            start -= 1
        outer = (self._call(frame) for frame in self.frames[:start] if self._ownership.is_library(frame))
        inner = (self._call(frame) for frame in self.frames[start:])
        return (*(call for call in outer if call.startswith("logging.")), *inner)

    def leaf(self, blamed: Frame) -> str:
        """The library call at the inner end, as ``socket.create_connection``; "" for none."""
        if not self.frames or self.frames[-1] == blamed or not self._ownership.is_library(self.frames[-1]):
            return ""
        if not self.frames[-1].line:
            return self._call(self.frames[-1])
        return f"{_stem(self.frames[-1])}.{self.frames[-1].function}"

    def library(self, blamed: Frame) -> str:
        """The innermost frame of an installed package, as ``Request.host (aiohttp/web_request.py:438)``.

        If the program's own code is in the stack, only frames below it count: above it is the framework that
        called the program. "" for none, and for the blamed frame itself.
        """
        whose = self._ownership
        start = next((i for i, frame in enumerate(self.frames) if whose.is_application(frame)), 0)
        found = next(filter(whose.is_installed, reversed(self.frames[start:])), blamed)
        line = f":{found.line}" if found.line else ""
        return "" if found == blamed else f"{found.function} ({whose.short(found.file)}{line})"

    @cached_property
    def _import(self) -> int:
        return _first_import([self._owner(frame) for frame in self.frames])

    def _owner(self, frame: Frame) -> Owner:
        return self._ownership.owner(frame.file)

    def _module(self, frame: Frame) -> str:
        path = PurePath(self._ownership.short(frame.file)).with_suffix("")
        if path.is_absolute():
            return _stem(frame)  # in no known import folder
        return ".".join(path.parts[:-1] if path.name == "__init__" else path.parts)

    def _is_call(self, frame: Frame) -> bool:
        return self._ownership.is_library(frame) or is_compiled(frame)

    def _call(self, frame: Frame) -> str:
        if not frame.file:
            return frame.function  # in C, with its module
        # A module frozen into the interpreter, such as <frozen os>, has a name but no path.
        file = frame.file.removeprefix("<frozen ").removesuffix(">")
        path = PurePath(self._ownership.short(file))
        path = path.with_name(path.name.partition(".")[0])  # also of main.cpython-311-x86_64-linux-gnu.so
        module = path.parent if path.name == "__init__" else path
        return ".".join((*module.parts, frame.function))


def blamable(owners: Sequence[Owner]) -> list[int]:
    """Which frames of a turn may be blamed, by their owners, outermost first; the last one is to blame.

    An import is blamed on the importing code, not on the module that is slow to load or the import system.
    """
    asked = _first_import(owners)
    for end in (asked, len(owners)):
        if own := [i for i in range(end) if owners[i] is Owner.APPLICATION]:
            return own
    other = [i for i in range(asked) if owners[i] is Owner.OTHER]
    return other or list(range(asked or len(owners)))


def work_in(stack: Sequence[Frame]) -> tuple[Frame, ...] | None:
    """The frames of the call that a thread of a pool runs; `None` where it runs none."""
    start = max((i for i, frame in enumerate(stack, 1) if frame.function in _RUNS_WORK), default=0)
    return tuple(stack[start:]) if start else None


def is_compiled(frame: Frame) -> bool:
    """Whether *frame* stands for compiled code, of which no line is known."""
    return not frame.line and not frame.function.startswith("<")


def calls_step(frame: Frame) -> bool:
    """Whether *frame* is asyncio's call of a callback; as the innermost one, what it calls has no frame."""
    path = PurePath(frame.file)
    return (path.name, frame.function.rpartition(".")[2]) == _CALLS_STEP and path.parent.name == "asyncio"


def is_driver(file: str, function: str) -> bool:
    """Whether this function of asyncio runs a loop's callbacks. *function* may be qualified."""
    drivers = drivers_in(file)
    return bool(drivers) and function.rpartition(".")[2] in drivers


@cache
def drivers_in(file: str) -> tuple[str, ...]:
    """The bare names of the functions in *file* that run a loop's callbacks."""
    path = PurePath(file)
    return _DRIVERS.get(path.name, ()) if path.parent.name == "asyncio" else ()


def folded(stack: Sequence[Frame]) -> tuple[Frame, ...]:
    """The stack with comprehensions merged into the enclosing function, as in Python 3.12 and later.

    The function keeps its name and gets the line inside the comprehension.
    """
    frames: list[Frame] = []
    for frame in stack:
        function = enclosing(frame.function)
        # A stack read from outside has bare names; the caller is then the enclosing function.
        if frame.function in _COMPREHENSIONS:
            function = frames[-1].function if frames and frames[-1].file == frame.file else frame.function
        inside = frame._replace(function=function)
        if frames and inside != frame and frames[-1]._replace(line=frame.line) == inside:
            frames[-1] = inside
        else:
            frames.append(frame)
    return tuple(frames)


def enclosing(function: str) -> str:
    """The qualified name of the function around a comprehension; any other name is returned unchanged."""
    while function.endswith(_COMPREHENSIONS):
        # The name of a comprehension at module level has no prefix.
        function = function.rpartition(".<locals>.")[0] or "<module>"
    return function


def _first_import(owners: Sequence[Owner]) -> int:
    return next((i for i, owner in enumerate(owners) if owner is Owner.IMPORT), len(owners))


def _stem(frame: Frame) -> str:
    path = PurePath(frame.file)
    return path.parent.name if path.stem == "__init__" else path.stem
