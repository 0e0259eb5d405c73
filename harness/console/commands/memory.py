"""`memory`: the process's memory and what grows; or, traced, the lines that allocate without freeing."""

from __future__ import annotations

import os
import tracemalloc
from argparse import ArgumentParser, Namespace
from pathlib import Path
from tracemalloc import Snapshot, StatisticDiff

from ...record.clock import monotonic
from ..protocol import duration
from ..protocol.command import READS, SLOWS, Command, CommandClient
from ..protocol.errors import CommandError
from ..protocol.result import CommandResult, Rows
from ..view import judgement
from ..view.process import ProcessView

DEFAULT_S, LONGEST_S = 10.0, 60.0
# Most memory for the traces, some 130,000 of them: copying them holds the GIL for 40 to 50 ms.
TRACES_BYTES = 8 * 2**20
# The unit in which the kernel counts memory.
_PAGE_BYTES = os.sysconf("SC_PAGESIZE")
_HARNESS = Path(__file__).parents[2]
_OURS = (
    *(f"{_HARNESS / room}{os.sep}" for room in ("probe", "console", "read", "record")),
    tracemalloc.__file__,
)


class MemoryCommand(Command):
    name = "memory"
    summary = "what grows, and where memory is allocated"
    help_order = 220

    def add_arguments(self, parser: ArgumentParser) -> None:
        duration.add_for(parser, None, LONGEST_S, "trace allocations for this time")

    def needs(self, options: Namespace) -> str:
        return READS if options.for_s is None else SLOWS

    def run(self, options: Namespace, process: ProcessView, client: CommandClient) -> CommandResult:
        if options.for_s is None:
            rss = _rss_bytes()
            found = judgement.about(process, "growth")
            return CommandResult(
                lines=(*judgement.lines(found, process), f"resident: {rss / 2**20:.1f} MiB"),
                data={"findings": judgement.data(found, process), "rss_bytes": rss},
                hint=f"memory --for {DEFAULT_S:g}s: which lines allocate memory that stays",
            )
        return _trace(options.for_s, process, client)


def _trace(for_s: float, process: ProcessView, client: CommandClient) -> CommandResult:
    if tracemalloc.is_tracing():
        raise CommandError("tracemalloc is on already: the program or another client uses it")
    # With a margin: normally the change is ended below.
    process.changes.begin("memory", "traces allocations", for_s=for_s + 5, undo=tracemalloc.stop)
    try:
        client.send_line(
            f"tracing allocations for {for_s:g} s: each is slower, and the end stops every thread"
        )
        rss_before, began = _rss_bytes(), monotonic()
        tracemalloc.start()
        first = tracemalloc.take_snapshot()
        while monotonic() - began < for_s and not client.wait_gone(within_s=0.1):
            if tracemalloc.get_tracemalloc_memory() > TRACES_BYTES:
                break
        lasted_s = monotonic() - began
        last = tracemalloc.take_snapshot()
    finally:
        process.changes.end("memory")
    return _result(_grown(first, last), process, lasted_s, rss_before=rss_before, was_cut=lasted_s < for_s)


def _result(
    grown: list[StatisticDiff], process: ProcessView, lasted_s: float, *, rss_before: int, was_cut: bool
) -> CommandResult:
    short = process.ownership.short
    rows = [
        (f"{short(stat.traceback[0].filename)}:{stat.traceback[0].lineno}", stat.size_diff, stat.count_diff)
        for stat in grown
    ]
    rss, held = _rss_bytes(), sum(stat.size_diff for stat in grown)
    cut = f"; stopped early: the traces took {TRACES_BYTES >> 20} MiB" if was_cut else ""
    return CommandResult(
        lines=(
            f"allocated within {lasted_s:.1f} s and not freed: {held / 2**20:.2f} MiB{cut}",
            f"resident: {rss / 2**20:.1f} MiB, {(rss - rss_before) / 2**20:+.2f} MiB",
        ),
        rows=Rows(("place", "held_bytes", "blocks"), rows),
        data={
            "lasted_s": round(lasted_s, 3),
            "held_bytes": held,
            "rss_bytes": rss,
            "rss_before_bytes": rss_before,
        },
    )


def _grown(first: Snapshot, last: Snapshot) -> list[StatisticDiff]:
    """The lines that hold more memory than before, the largest first."""
    stats = last.compare_to(first, "lineno")
    grown = [
        stat for stat in stats if stat.size_diff > 0 and not stat.traceback[0].filename.startswith(_OURS)
    ]
    return sorted(grown, key=lambda stat: stat.size_diff, reverse=True)


def _rss_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_BYTES
