"""Runs a client's Python code in a task on the program's loop."""

from __future__ import annotations

import ast
import asyncio
import builtins
import codeop
import inspect
import reprlib
import sys
import threading
import traceback
from asyncio import Task
from dataclasses import dataclass
from types import CodeType, FunctionType

from ...record.clock import monotonic
from ..protocol.command import CommandClient
from ..view import task_table
from ..view.loop_view import LoopView
from ..view.process import ProcessView
from . import stdout_capture

FILE = "<console>"
# Characters kept of a traceback: its end, which names the error.
ERROR_CHARS = 10_000
# How long cancelled code may take to end.
PATIENCE_S = 2.0
# Most code ends within this time. The client is watched only during longer code.
AT_ONCE_S = 0.05
# Holds the value of the last expression until it becomes `_`.
_VALUE = "__harness_value__"
_FLAGS = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT


@dataclass(slots=True)
class EvaluationResult:
    """The result of a piece of code."""

    value: str | None = None  # the `repr` of the last expression, shortened; `None` if that is None
    printed: str = ""
    error: str | None = None  # a traceback, or why there is no result
    is_exit: bool = False  # it raised SystemExit, as `exit()` does


class Interpreter:
    """One client's variables, and the loop that its code runs on."""

    def __init__(self, process: ProcessView, view: LoopView) -> None:
        self._process = process
        self._view = view
        self._is_complete = codeop.CommandCompiler()
        self._is_complete.compiler.flags |= _FLAGS
        # A copy: assignments do not change the program's variables, but changes in place do.
        main = {k: v for k, v in vars(sys.modules["__main__"]).items() if not k.startswith("__")}
        helpers = {"asyncio": asyncio, "loop": view.loop, "task": task_table.find, "_": None}
        self._names = {**helpers, **main, **_REPLACED, "__name__": FILE, "__builtins__": builtins}

    def is_complete(self, source: str) -> bool:
        """Whether *source* needs no more lines; invalid code counts as complete."""
        try:
            return self._is_complete(source, FILE, "single") is not None
        except (SyntaxError, ValueError, OverflowError):
            return True

    def run(self, source: str, client: CommandClient, *, within_s: float) -> EvaluationResult:
        """Run *source* and wait. It is cancelled when the client leaves or interrupts, or after *within_s*.

        Raises:
            CommandError: The loop did not run it in time; the message names the frame that blocks the loop.
        """
        try:
            code = _compiled(source)
        except (SyntaxError, ValueError, OverflowError) as exc:
            return EvaluationResult(error="".join(traceback.format_exception_only(exc)).rstrip())
        result, done = EvaluationResult(), threading.Event()
        with stdout_capture.replaced_stdout():
            task = self._process.on_loop(self._view, lambda: self._begin(code, result, done))
            until = monotonic() + within_s
            if done.wait(AT_ONCE_S):
                return result
            while not done.is_set():
                if client.wait_gone(within_s=0.02) or monotonic() > until:
                    self._stop(task, result, done)
                    break
        return result

    def _begin(self, code: CodeType, result: EvaluationResult, done: threading.Event) -> Task[None]:
        return self._view.loop.create_task(self._work(code, result, done), name="harness-repl")

    async def _work(self, code: CodeType, result: EvaluationResult, done: threading.Event) -> None:
        captured = stdout_capture.capture_here()
        try:
            # An eager task would begin at once, in the middle of the code that makes it.
            await asyncio.sleep(0)
            running = FunctionType(code, self._names)()
            if code.co_flags & inspect.CO_COROUTINE:
                await running
            if (value := self._names.pop(_VALUE, None)) is not None:
                self._names["_"] = value
                # In this thread, because `repr` runs the program's own code.
                result.value = _bounded.repr(value)
        except BaseException as exc:
            # Also SystemExit and a cancellation, which are meant for the client: they would end the service's
            # loop, or be lost with this task.
            result.is_exit = isinstance(exc, SystemExit)
            result.error = "cancelled" if isinstance(exc, asyncio.CancelledError) else _traceback(exc)
            if isinstance(exc, KeyboardInterrupt):
                raise
        finally:
            result.printed = captured.text
            done.set()

    def _stop(self, task: Task[None], result: EvaluationResult, done: threading.Event) -> None:
        self._view.loop.call_soon_threadsafe(task.cancel)
        if not done.wait(PATIENCE_S):
            frame = self._process.blocking_frame(self._view)
            doing = f"it holds the loop, in {frame}" if frame else "it swallowed its cancellation"
            result.error = f"still runs, and cannot be stopped: {doing}"


def _compiled(source: str) -> CodeType:
    """The code of *source*, which assigns the value of a last expression to `_VALUE`."""
    tree = compile(source, FILE, "exec", _FLAGS | ast.PyCF_ONLY_AST)
    last = tree.body[-1] if tree.body else None
    if isinstance(last, ast.Expr):
        kept = ast.Assign([ast.Name(_VALUE, ast.Store())], last.value)
        tree.body[-1] = ast.fix_missing_locations(ast.copy_location(kept, last))
    return compile(tree, FILE, "exec", _FLAGS)  # type: ignore[no-any-return]


def _traceback(error: BaseException) -> str:
    """The traceback, without the frames of this module."""
    shown = traceback.TracebackException.from_exception(error)
    shown.stack[:] = [frame for frame in shown.stack if frame.filename != __file__]
    return "".join(shown.format())[-ERROR_CHARS:].rstrip()


def _leave(status: object = None) -> None:
    """Leave the prompt. Python's own `exit` would first close the service's stdin."""
    raise SystemExit(status)


def _no_input(*_: object, **__: object) -> None:
    """Refuse to block the loop on the service's stdin."""
    raise RuntimeError("a console cannot read the service's stdin")


def _help(thing: object) -> None:
    """Describe *thing*; without an argument, Python's own `help` would read the service's stdin."""
    builtins.help(thing)


_REPLACED = {"exit": _leave, "quit": _leave, "input": _no_input, "breakpoint": _no_input, "help": _help}


_bounded = reprlib.Repr()
_bounded.maxlevel = 6
_bounded.maxdict = _bounded.maxlist = _bounded.maxtuple = _bounded.maxset = _bounded.maxfrozenset = 100
_bounded.maxdeque = _bounded.maxarray = 100
_bounded.maxstring = _bounded.maxother = _bounded.maxlong = 2_000
