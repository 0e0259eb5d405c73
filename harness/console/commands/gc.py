"""`gc`: the garbage collector's statistics, and a collection on request."""

from __future__ import annotations

import gc
from argparse import ArgumentParser, Namespace

from ...record.clock import monotonic
from ..protocol.command import READS, SLOWS, Command, CommandClient
from ..protocol.result import CommandResult, Rows
from ..protocol.table import counted
from ..view import loop_choice
from ..view.process import ProcessView

COLUMNS = ("generation", "threshold", "count", "collections", "collected", "uncollectable")
# Collecting a heap of a gigabyte takes about a second.
PATIENCE_S = 30.0
OLDEST = 2


class GcCommand(Command):
    name = "gc"
    summary = "the garbage collector; `gc collect` runs it"
    help_order = 210

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("what", nargs="?", choices=("stats", "collect"), default="stats")
        parser.add_argument("--generation", type=int, choices=range(OLDEST + 1), default=OLDEST)
        loop_choice.add_loop_argument(parser)

    def needs(self, options: Namespace) -> str:
        return SLOWS if options.what == "collect" else READS

    def run(self, options: Namespace, process: ProcessView, client: CommandClient) -> CommandResult:
        return _collect(options, process, client) if options.what == "collect" else _stats()


def _stats() -> CommandResult:
    rows = [
        (number, threshold, count, done["collections"], done["collected"], done["uncollectable"])
        for number, (threshold, count, done) in enumerate(
            zip(gc.get_threshold(), gc.get_count(), gc.get_stats(), strict=True)
        )
    ]
    frozen = gc.get_freeze_count()
    state = {"enabled": gc.isenabled(), "frozen": frozen, "callbacks": len(gc.callbacks)}
    is_on = "on" if state["enabled"] else "OFF"
    return CommandResult(
        lines=(f"automatic collection is {is_on}; {counted(frozen, 'frozen object')}",),
        rows=Rows(COLUMNS, rows),
        data=state,
        hint="gc collect: measure how long a full collection stops this process",
    )


def _collect(options: Namespace, process: ProcessView, client: CommandClient) -> CommandResult:
    client.send_line("collecting; until it ends, every thread of the process is stopped")

    def collect() -> tuple[int, float]:
        began = monotonic()
        return gc.collect(options.generation), (monotonic() - began) * 1e3

    # On the loop's thread, where the program expects its finalizers to run.
    found, held_ms = process.on_loop(loop_choice.chosen(process, options.loop), collect, within_s=PATIENCE_S)
    return CommandResult(
        lines=(f"stopped the process for {held_ms:.1f} ms; found {counted(found, 'unreachable object')}",),
        data={"generation": options.generation, "held_ms": round(held_ms, 3), "unreachable": found},
    )
