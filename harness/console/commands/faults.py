"""`faults`: what can be made to go wrong inside the target, and what does now.

What is injected here stops by itself. The record has it as it has the faults of a scenario.
"""

from __future__ import annotations

import itertools
import os
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable
from typing import Any

from ...probe.control.faults import KINDS
from ...record.clock import monotonic_ns
from ..protocol import duration
from ..protocol.command import READS, Command, CommandClient
from ..protocol.errors import CommandError
from ..protocol.result import CommandResult, Rows
from ..view.process import ProcessView

DEFAULT_S, LONGEST_S = 30.0, 600.0
BLOCK_MS = 200.0

_numbers = itertools.count(1)


class FaultsCommand(Command):
    name = "faults"
    summary = "list, inject and heal faults"
    help_order = 160

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("what", nargs="?", choices=("list", "inject", "heal"), default="list")
        parser.add_argument(
            "subject", nargs="?", metavar="KIND|ID", help="what to inject, or to heal; all by default"
        )
        parser.add_argument("--in", dest="place", metavar="MODULE:NAME", help="the function that misbehaves")
        parser.add_argument("--block-ms", type=float, default=BLOCK_MS, metavar="MS", help=f"[{BLOCK_MS:g}]")
        parser.add_argument("--raises", default="builtins:ConnectionError", metavar="MODULE:NAME")
        parser.add_argument("--message", default="injected fault", metavar="TEXT")
        parser.add_argument("--probability", type=float, default=1.0, metavar="P", help="of each call [1]")
        parser.add_argument("--times", type=int, metavar="N", help="at most so many calls")
        parser.add_argument(
            "--for",
            dest="for_s",
            type=duration.up_to(LONGEST_S),
            default=DEFAULT_S,
            metavar="TIME",
            help="[30s]",
        )

    def needs(self, options: Namespace) -> str:
        return READS if options.what == "list" else "chaos"

    def candidates(self, process: ProcessView) -> Iterable[str]:
        return ("list", "inject", "heal")

    def run(self, options: Namespace, process: ProcessView, client: CommandClient) -> CommandResult:
        match options.what:
            case "inject":
                return _inject(options, process)
            case "heal":
                return _heal(options.subject, process)
        return _list(process)


def _list(process: ProcessView) -> CommandResult:
    left_s = {limit.name: limit.left_s for limit in process.changes.in_force()}
    rows = [
        (fault["id"], fault["kind"], fault["place"], fault["fired"], left_s.get(_limit(fault["id"])))
        for fault in process.control({"do": "faults"})["faults"]
    ]
    return CommandResult(
        lines=(
            f"{len(rows) or 'no'} fault{'' if len(rows) == 1 else 's'} in force; what there is:",
            *(f"  {kind}: {words}" for kind, words in KINDS.items()),
        ),
        rows=Rows(("id", "kind", "place", "fired", "left_s"), rows),
        data={"kinds": KINDS},
        hint="faults inject block.sleep --in MODULE:NAME --block-ms 200 --for 30s",
    )


def _inject(options: Namespace, process: ProcessView) -> CommandResult:
    if options.subject not in KINDS or options.place is None:
        raise CommandError(f"expected faults inject KIND --in MODULE:NAME, with one of {', '.join(KINDS)}")
    if not 0 < options.probability <= 1 or options.block_ms <= 0:
        raise CommandError("a probability is above 0 and at most 1, and a block longer than 0 ms")
    # Several processes may write into one record.
    fault_id = f"console-{os.getpid()}-{next(_numbers)}"
    detail = _in_words(options)
    injected = False

    def undo() -> None:
        fired = process.control({"do": "heal", "id": fault_id})["fired"]
        if injected:
            process.write(FaultUndone(monotonic_ns(), fault_id, fired))

    # Here: no other target needs these events.
    from ...record.event import FaultInjected, FaultUndone

    with process.changes.changing(_limit(fault_id), detail, for_s=options.for_s, undo=undo):
        process.control({"do": "inject", **_spec(fault_id, options)})
        injected = True
    process.write(FaultInjected(monotonic_ns(), fault_id, options.subject, detail))
    return CommandResult(
        lines=(f"{fault_id}: {detail}, for {options.for_s:g} s",),
        data={"id": fault_id, "kind": options.subject, "place": options.place, "for_s": options.for_s},
        hint=f"faults heal {fault_id}: at once",
    )


def _heal(fault_id: str | None, process: ProcessView) -> CommandResult:
    prefix = _limit("") if fault_id is None else _limit(fault_id)
    ours = [limit.name for limit in process.changes.in_force() if limit.name.startswith(prefix)]
    if fault_id is not None:
        ours = [name for name in ours if name == prefix]
        if not ours:
            raise CommandError(
                f"this console has not injected {fault_id}; a scenario heals its faults itself"
            )
    healed = [name.removeprefix(_limit("")) for name in ours if process.changes.end(name)]
    return CommandResult(
        lines=(f"healed: {', '.join(healed) or 'nothing was in force'}",), data={"healed": healed}
    )


def _spec(fault_id: str, options: Namespace) -> dict[str, Any]:
    spec = {
        "id": fault_id,
        "kind": options.subject,
        "in": options.place,
        "probability": options.probability,
        "limit": options.times,
    }
    if options.subject == "call.fail":
        return {**spec, "raises": options.raises, "message": options.message}
    return {**spec, "block_ms": options.block_ms}


def _in_words(options: Namespace) -> str:
    """As the scenario's faults are told in a report."""
    match options.subject:
        case "block.sleep":
            what = f"time.sleep({options.block_ms / 1e3:g})"
        case "block.cpu":
            what = f"{options.block_ms:g} ms of computing"
        case _:
            what = f"raises {options.raises.removeprefix('builtins:')}"
    often = "" if options.probability == 1 else f", {options.probability:.0%} of the calls"
    often += "" if options.times is None else f", at most {options.times} times"
    return f"{what} in {options.place}{often}"


def _limit(fault_id: str) -> str:
    return f"fault {fault_id}"
