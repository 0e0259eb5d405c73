"""`blocks`: the latest blocks of the loops, or the stack and the victims of one of them."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from ...record.clock import monotonic_ns
from ..protocol.command import Command, CommandClient
from ..protocol.errors import CommandError
from ..protocol.result import CommandResult, Rows
from ..view import block_summary
from ..view.block_summary import BlockSummary
from ..view.process import ProcessView

COLUMNS = (
    *("block", "ago_s", "held_ms", "ended", "loop", "cause", "where", "function", "task", "coroutine"),
    *("span", "trace_id", "victims", "samples", "fault"),
)
VICTIMS = ("victim", "delayed_ms", "span", "trace_id")

_numbers = block_summary.BlockNumbers()


class BlocksCommand(Command):
    name = "blocks"
    summary = "what has blocked a loop recently"
    help_order = 70

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--stack", type=int, metavar="N", help="the stack of block N, and its victims")

    def run(self, options: Namespace, process: ProcessView, client: CommandClient) -> CommandResult:
        kept = block_summary.kept(process)
        numbered = dict(zip(_numbers.of(kept), kept, strict=True))
        if options.stack is not None:
            if options.stack not in numbered:
                raise CommandError(f"no block has the number {options.stack}, or it is no longer kept")
            return _one(options.stack, numbered[options.stack], process)
        blocks = list(reversed(numbered.items()))
        return CommandResult(
            lines=() if blocks else ("no turn of a loop has been longer than the limit",),
            rows=Rows(COLUMNS, [_row(number, one, process) for number, one in blocks]),
            hint="blocks --stack N: the whole stack of one, and the tasks that had to wait" if blocks else "",
        )


def _row(number: int, one: BlockSummary, process: ProcessView) -> tuple[object, ...]:
    turn, found, sample = one.turn, one.found, one.found.sample
    return (
        number,
        (monotonic_ns() - found.at_ns) / 1e9,
        one.held_ms,
        turn.ended,
        turn.loop,
        found.cause,
        f"{process.ownership.short(found.frame.file)}:{found.frame.line}" if found.frame.file else None,
        found.frame.function,
        sample.task or None,
        sample.coroutine or None,
        sample.span or None,
        sample.trace_id or None,
        turn.victims_total,
        found.samples,
        found.fault,
    )


def _one(number: int, one: BlockSummary, process: ProcessView) -> CommandResult:
    turn, sample = one.turn, one.found.sample
    stack = [frame for frame in one.found.stack if not process.ownership.is_harness(frame)]
    victims = [(v.label, v.delayed_ns / 1e6, v.span or None, v.trace_id or None) for v in turn.victims]
    data = dict(zip(COLUMNS, _row(number, one, process), strict=True))
    return CommandResult(
        lines=(
            f"block {number} held loop {turn.loop} for {one.held_ms:.1f} ms"
            + ("" if turn.ended else ", and goes on")
            + (f", in task {sample.task}" if sample.task else "")
            + (f", span {sample.span} of trace {sample.trace_id}" if sample.span else ""),
            *(f"  {process.ownership.short(f.file)}:{f.line} {f.function}" for f in stack),
            f"{turn.victims_total} had to wait",
        ),
        rows=Rows(VICTIMS, victims),
        data={**data, "stack": [{"file": f.file, "line": f.line, "function": f.function} for f in stack]},
        hint=f"trace {sample.trace_id}: the request it happened in" if sample.trace_id else "",
    )
