"""`record`: makes the record more detailed for some seconds, at a cost too high for a whole run.

It adds every synchronous call on a loop's thread, and where each coroutine is created, as the options
``--calls`` and ``--origins`` do for a whole run. The report shows them under the same findings.
"""

from __future__ import annotations

import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from types import ModuleType
from weakref import WeakKeyDictionary

from ...probe.calls.callsite import CallSite
from ...probe.calls.counts import CallCounts
from ...probe.calls.interception import Interception
from ...probe.hooks.builtin_shim import BuiltinShim
from ...probe.hooks.import_hook import PostImportHook
from ...record.clock import monotonic_ns
from ...record.observation import ProbeFailed
from ..protocol import duration
from ..protocol.command import READS, SLOWS, Command, CommandClient
from ..protocol.errors import CommandError
from ..protocol.result import CommandResult
from ..view.loop_view import LoopView
from ..view.process import ProcessView

DEFAULT_S, LONGEST_S = 30.0, 300.0
# Frames kept of the stack on which a coroutine is created.
DEPTH = 4

_NAME = "record"
# Kept from window to window, because the record expects counts that only grow.
_calls: WeakKeyDictionary[ProcessView, CallCounts] = WeakKeyDictionary()


class RecordCommand(Command):
    name = _NAME
    summary = "record more detail for some seconds"
    help_order = 150

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("what", nargs="?", choices=("for", "stop"), help="without: show the state")
        parser.add_argument(
            "time", nargs="?", type=duration.up_to(LONGEST_S), default=DEFAULT_S, help=f"[{DEFAULT_S:g}s]"
        )

    def needs(self, options: Namespace) -> str:
        return READS if options.what is None else SLOWS

    def run(self, options: Namespace, process: ProcessView, client: CommandClient) -> CommandResult:
        if options.what == "for":
            return _open(options.time, process, client)
        if options.what == "stop" and not process.changes.end(_NAME):
            raise CommandError("no window is open")
        current = process.changes.get(_NAME)
        state = f"a window is open for another {current.left_s:.0f} s" if current else "no window is open"
        return CommandResult(lines=(state,), data={"left_s": current.left_s if current else None})


def _open(for_s: float, process: ProcessView, client: CommandClient) -> CommandResult:
    if process.folder is None:
        raise CommandError("this process writes no record: start it with `harness run` or `harness watch`")
    client.send_line("each synchronous call on a loop's thread now takes some microseconds longer")
    window = _Window(process)
    with process.changes.changing(_NAME, "calls and origins", for_s=for_s, undo=window.close):
        window.open()
    return CommandResult(
        lines=(f"recording every synchronous call, and where coroutines are made, for {for_s:g} s",),
        data={"for_s": for_s, "loops": sorted(window.before)},
        hint="record stop: now; harness report shows the result",
    )


class _Window:
    """The additional recording, switched on and off."""

    def __init__(self, process: ProcessView) -> None:
        self.before: dict[int, int] = {}  # by loop: the depth of origin tracking in its thread
        self._process = process
        self._views = process.loops()
        self._interception = Interception()
        self._calls: CallCounts | None = None

    def open(self) -> None:
        # A run that counts calls all the time has intercepted them already.
        if not isinstance(time.sleep, BuiltinShim):
            self._calls = _counts(self._interception, self._process)
            self._interception.install(_ImportedModules())
        for view in self._views:
            self._process.on_loop(view, partial(self._begin, view))

    def close(self) -> None:
        if self._calls is not None:
            self._calls.close()
        for view in self._views:
            if view.number in self.before:
                with suppress(RuntimeError):  # the loop is closed
                    view.loop.call_soon_threadsafe(
                        sys.set_coroutine_origin_tracking_depth, self.before[view.number]
                    )

    def _begin(self, view: LoopView) -> None:
        self.before[view.number] = sys.get_coroutine_origin_tracking_depth()
        sys.set_coroutine_origin_tracking_depth(max(DEPTH, self.before[view.number]))
        if self._calls is not None:
            self._interception.enter_thread()


def _counts(interception: Interception, process: ProcessView) -> CallCounts:
    if (calls := _calls.get(process)) is None:

        def failed(where: str, error: BaseException) -> None:
            process.write(ProbeFailed(monotonic_ns(), where, f"{type(error).__name__}: {error}"))

        calls = _calls[process] = CallCounts(interception, process.write, failed, CallSite())
    else:
        calls.resume(interception)
    return calls


class _ImportedModules(PostImportHook):
    """Covers imported modules only: for later imports, a hook would have to stay."""

    def watch(self, name: str, part: str, step: Callable[[ModuleType], None]) -> None:
        if name in sys.modules:
            super().watch(name, part, step)
