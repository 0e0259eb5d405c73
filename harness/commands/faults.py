"""`harness faults`: the kinds of faults that a scenario or a console can inject."""

from __future__ import annotations

import json
import textwrap
from typing import TYPE_CHECKING

import click

from . import results
from .summary import SUMMARIES

if TYPE_CHECKING:
    from ..record.fault.catalogue import FaultKind
    from ..record.fault.toxic import Toxic

_WIDTH, _INDENT = 80, 4


@click.command(short_help=SUMMARIES["faults"])
@click.argument("kind", required=False)
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def faults(kind: str | None, *, as_json: bool) -> None:
    """List the kinds of faults, or explain one KIND.

    \b
    harness faults
    harness faults block.sleep

    A scenario injects them under [[faults]], the console by `faults inject`; those
    of the network (net.*) need one of the scenario's [[proxies]].
    """
    # Not at the top: `--help` needs none of it.
    from ..record.fault import catalogue, toxic
    from ..record.toml.validation import nearest

    in_functions = catalogue.names()
    names = [*in_functions, *toxic.names()]
    if kind is not None and kind not in names:
        raise click.UsageError(f"no fault of the kind {kind}{nearest(kind, names)}")
    found: dict[str, type[FaultKind | Toxic]] = {
        name: catalogue.find(name) if name in in_functions else toxic.find(name)
        for name in names
        if kind in (None, name)
    }
    if as_json:
        results.write(json.dumps({name: _as_dict(each) for name, each in found.items()}, indent=1) + "\n")
        return
    for name, each in found.items():
        results.write(f"{name}\n")
        for text in (_about(each), f"Shows: {each.shows}."):
            results.write(textwrap.indent(textwrap.fill(text, _WIDTH - _INDENT), " " * _INDENT) + "\n")
        for key, parameter in catalogue.parameters(each).items():
            default = "required" if parameter.default is ... else f"default {parameter.default}"
            text = f"{key} ({default}): {parameter.help}"
            results.write(textwrap.indent(textwrap.fill(text, _WIDTH - _INDENT), " " * _INDENT) + "\n")


def _about(kind: type[object]) -> str:
    return " ".join((kind.__doc__ or "").split())


def _as_dict(kind: type[FaultKind | Toxic]) -> dict[str, object]:
    from ..record.fault import catalogue

    return {
        "about": _about(kind),
        "shows": kind.shows,
        "parameters": {
            key: {
                "type": parameter.type.__name__,
                "about": parameter.help,
                "required": parameter.default is ...,
                "default": None if parameter.default is ... else parameter.default,
            }
            for key, parameter in catalogue.parameters(kind).items()
        },
    }
