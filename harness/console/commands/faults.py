"""`faults`: inject faults into the target, list them, and heal them.

A fault injected here is healed after a time limit. The record shows it like a fault of a scenario.
"""

from __future__ import annotations

import itertools
import os
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable
from math import isfinite
from typing import Any

from ...record.clock import monotonic_ns
from ...record.fault import catalogue
from ...record.fault.catalogue import Parameter
from ...record.fault.fault import Fault
from ..protocol import duration
from ..protocol.command import READS, Command, CommandClient
from ..protocol.errors import CommandError
from ..protocol.result import CommandResult, Rows
from ..view.process import ProcessView

DEFAULT_S, LONGEST_S = 30.0, 600.0

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
        for name, (parameter, kinds) in _parameters().items():
            parser.add_argument(
                f"--{name.replace('_', '-')}",
                type=parameter.type,
                metavar=_metavar(name, parameter),
                help=f"{', '.join(kinds)}: {_clause(parameter.help)} [{_shown(_default(parameter))}]",
            )
        parser.add_argument("--probability", type=float, default=1.0, metavar="P", help="of each call [1]")
        parser.add_argument("--times", type=int, metavar="N", help="hit at most N calls")
        duration.add_for(parser, DEFAULT_S, LONGEST_S, "heal it after this time")

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
        (
            *(fault[name] for name in ("id", "kind", "place", "calls", "fired")),
            "used up" if fault["used_up"] else "in force",
            left_s.get(_limit(fault["id"])),
        )
        for fault in process.control({"do": "faults"})["faults"]
    ]
    acting = sum(row[5] == "in force" for row in rows)
    kinds = {name: _summary(name) for name in catalogue.names()}
    return CommandResult(
        lines=(
            f"{acting or 'no'} fault{'' if acting == 1 else 's'} in force; the kinds are:",
            *(f"  {name}: {summary}" for name, summary in kinds.items()),
        ),
        rows=Rows(("id", "kind", "place", "calls", "fired", "state", "left_s"), rows),
        data={"kinds": kinds},
        hint="faults inject block.sleep --in MODULE:NAME --block-ms 200 --for 30s",
    )


def _inject(options: Namespace, process: ProcessView) -> CommandResult:
    fault = _fault(options)
    detail = fault.describe()
    injected = False

    def undo() -> None:
        healed = process.control({"do": "heal", "id": fault.id})
        if injected:
            process.write(FaultUndone(monotonic_ns(), fault.id, healed["fired"], healed["calls"]))

    # Imported here: no other target needs these events.
    from ...record.event import FaultInjected, FaultUndone

    with process.changes.changing(_limit(fault.id), detail, for_s=options.for_s, undo=undo):
        process.control({"do": "inject", **fault.to_request()})
        injected = True
    process.write(
        FaultInjected(
            monotonic_ns(), fault.id, fault.kind, detail, fault.place, fault.probability, by_hand=True
        )
    )
    return CommandResult(
        lines=(f"{fault.id}: {detail}, for {options.for_s:g} s",),
        data={"id": fault.id, "kind": fault.kind, "place": fault.place, "for_s": options.for_s},
        hint=f"faults heal {fault.id}: at once",
    )


def _heal(fault_id: str | None, process: ProcessView) -> CommandResult:
    prefix = _limit("")
    names = [limit.name for limit in process.changes.in_force() if limit.name.startswith(prefix)]
    if fault_id is not None and _limit(fault_id) not in names:
        raise CommandError(f"this console has not injected {fault_id}; a scenario heals its faults itself")
    chosen = names if fault_id is None else [_limit(fault_id)]
    healed = [name.removeprefix(prefix) for name in chosen if process.changes.end(name)]
    return CommandResult(
        lines=(f"healed: {', '.join(healed) or 'nothing was in force'}",), data={"healed": healed}
    )


def _fault(options: Namespace) -> Fault:
    names = catalogue.names()
    if options.subject not in names or options.place is None:
        raise CommandError(f"expected faults inject KIND --in MODULE:NAME, with one of {', '.join(names)}")
    if not 0 < options.probability <= 1:
        raise CommandError("a probability is above 0 and at most 1")
    given = {}
    for name, parameter in catalogue.parameters(catalogue.find(options.subject)).items():
        value = getattr(options, name)
        given[name] = value = _default(parameter) if value is None else value
        if parameter.above is not None and not (isfinite(value) and value > parameter.above):
            raise CommandError(f"{name} is a finite number above {parameter.above:g}")
    # Several processes may write into one record.
    common = {"id": f"console-{os.getpid()}-{next(_numbers)}", "kind": options.subject, "in": options.place}
    common |= {"probability": options.probability, "limit": options.times}
    return Fault.from_request({**common, **given})


def _parameters() -> dict[str, tuple[Parameter, list[str]]]:
    """The parameters of all kinds by name, and the kinds that have each."""
    found: dict[str, tuple[Parameter, list[str]]] = {}
    for kind in catalogue.names():
        for name, parameter in catalogue.parameters(catalogue.find(kind)).items():
            found.setdefault(name, (parameter, []))[1].append(kind)
    return found


def _summary(kind: str) -> str:
    found = catalogue.find(kind)
    return f"{_clause(found.__doc__ or '')}: {', '.join(catalogue.parameters(found))}"


def _clause(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:].rstrip(".")


def _metavar(name: str, parameter: Parameter) -> str:
    if parameter.is_place:
        return "MODULE:NAME"
    return "TEXT" if parameter.type is str else name.rpartition("_")[2].upper()


def _default(parameter: Parameter) -> Any:
    return parameter.typical if parameter.default is ... else parameter.default


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _limit(fault_id: str) -> str:
    return f"fault {fault_id}"
