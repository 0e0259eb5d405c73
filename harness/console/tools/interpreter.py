"""Runs what a client types as Python, on the loop's own thread, in a task of its own."""

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
# A traceback keeps its end, which names the error.
ERROR_CHARS = 10_000
# What a cancelled expression may take to end.
PATIENCE_S = 2.0
AT_ONCE_S = 0.05
# The name that the value of the last expression goes by, until it is `_`.
_VALUE = "__harness_value__"

_FLAGS = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT


@dataclass(slots=True)
class EvaluationResult:
    """What became of a piece of code."""

    value: str | None = None  # the last expression's, as `repr` says it, cut; `None` when it is None
    printed: str = ""
    error: str | None = None  # a traceback, or why there is no outcome
    wants_out: bool = False  # it raised SystemExit, as `exit()` does


class Interpreter:
    """One client's names, and the loop that its code runs on."""

    def __init__(self, process: ProcessView, view: LoopView) -> None:
        self._process = process
        self._view = view
        self._is_complete = codeop.CommandCompiler()
        self._is_complete.compiler.flags |= _FLAGS
        # A copy: what is assigned here stays here. What is changed in place is changed.
        main = {k: v for k, v in vars(sys.modules["__main__"]).items() if not k.startswith("__")}
        helpers = {"asyncio": asyncio, "loop": view.loop, "task": task_table.find, "_": None}
        self._names = {**helpers, **main, **_INSTEAD, "__name__": FILE, "__builtins__": builtins}

    def is_complete(self, source: str) -> bool:
        """Whether *source* can be run as it stands, or rather needs more lines; wrong code is complete."""
        try:
            return self._is_complete(source, FILE, "single") is not None
        except (SyntaxError, ValueError, OverflowError):
            return True

    def run(self, source: str, client: CommandClient, *, within_s: float) -> EvaluationResult:
        """Run it, and wait. It is cancelled when the client has enough, or after that time.

        Raises:
            CommandError: The loop did not come to it; the message names what holds it.
        """
        try:
            code = _compiled(source)
        except (SyntaxError, ValueError, OverflowError) as exc:
            return EvaluationResult(error="".join(traceback.format_exception_only(exc)).rstrip())
        outcome, done = EvaluationResult(), threading.Event()
        with stdout_capture.replaced_stdout():
            task = self._process.on_loop(self._view, lambda: self._begin(code, outcome, done))
            until = monotonic() + within_s
            # Most are done at once. Who waits for a longer one listens to the client meanwhile.
            if done.wait(AT_ONCE_S):
                return outcome
            while not done.is_set():
                if client.has_left(within_s=0.02) or monotonic() > until:
                    self._stop(task, outcome, done)
                    break
        return outcome

    def _begin(self, code: CodeType, outcome: EvaluationResult, done: threading.Event) -> Task[None]:
        return self._view.loop.create_task(self._work(code, outcome, done), name="harness-repl")

    async def _work(self, code: CodeType, outcome: EvaluationResult, done: threading.Event) -> None:
        captured = stdout_capture.capture_here()
        try:
            # An eager task begins at once, in the middle of what has made it.
            await asyncio.sleep(0)
            running = FunctionType(code, self._names)()
            if code.co_flags & inspect.CO_COROUTINE:
                await running
            value = self._names.pop(_VALUE, None)
            if value is not None:
                self._names["_"] = value
                # Here, because `repr` runs the program's own code.
                outcome.value = _bounded.repr(value)
        except BaseException as exc:
            # Also SystemExit and a cancellation: they are the client's, and would end the service's loop, or
            # stay with a task that nobody asks.
            outcome.wants_out = isinstance(exc, SystemExit)
            outcome.error = "cancelled" if isinstance(exc, asyncio.CancelledError) else _told(exc)
            if isinstance(exc, KeyboardInterrupt):
                raise
        finally:
            outcome.printed = captured.text
            done.set()

    def _stop(self, task: Task[None], outcome: EvaluationResult, done: threading.Event) -> None:
        self._view.loop.call_soon_threadsafe(task.cancel)
        if not done.wait(PATIENCE_S):
            frame = self._process.blocking_frame(self._view)
            doing = f"it holds the loop, in {frame}" if frame else "it swallowed its cancellation"
            outcome.error = f"still runs, and cannot be stopped: {doing}"


def _compiled(source: str) -> CodeType:
    """The code of *source*, which leaves the value of a last expression under a name."""
    tree = compile(source, FILE, "exec", _FLAGS | ast.PyCF_ONLY_AST)
    last = tree.body[-1] if tree.body else None
    if isinstance(last, ast.Expr):
        kept = ast.Assign([ast.Name(_VALUE, ast.Store())], last.value)
        tree.body[-1] = ast.fix_missing_locations(ast.copy_location(kept, last))
    code: CodeType = compile(tree, FILE, "exec", _FLAGS)
    return code


def _told(error: BaseException) -> str:
    """The traceback, without what is ours."""
    told = traceback.TracebackException.from_exception(error)
    told.stack[:] = [frame for frame in told.stack if frame.filename != __file__]
    return "".join(told.format())[-ERROR_CHARS:].rstrip()


def _leave(status: object = None) -> None:
    """Leave the prompt. Python's own `exit` closes the stdin of the service first."""
    raise SystemExit(status)


def _nobody(*_: object, **__: object) -> None:
    """Refuse to wait, on the loop's thread, for what somebody types into the stdin of the service."""
    raise RuntimeError("there is nobody at the service's stdin")


def _help(thing: object) -> None:
    """Tell of one thing; without one, Python's own `help` asks at the stdin of the service."""
    builtins.help(thing)


_INSTEAD = {"exit": _leave, "quit": _leave, "input": _nobody, "breakpoint": _nobody, "help": _help}


def _limited() -> reprlib.Repr:
    bounded = reprlib.Repr()
    bounded.maxlevel = 6
    bounded.maxdict = bounded.maxlist = bounded.maxtuple = bounded.maxset = bounded.maxfrozenset = 100
    bounded.maxdeque = bounded.maxarray = 100
    bounded.maxstring = bounded.maxother = bounded.maxlong = 2_000
    return bounded


_bounded = _limited()
