"""`harness attach`: the console of a running process."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from ..drive.console import client as driving
from ..errors import UsageError
from . import completion, external_sampling
from .prompt import WIDE, Prompt


@click.command(short_help="Open the console of a running process.")
@click.argument("which", required=False, metavar="[RUN|PID]", shell_complete=completion.consoles)
@click.option("-c", "--command", metavar="LINE", help='Run one command, such as "top --json", and exit.')
@click.option("--list", "show_list", is_flag=True, help="List the open consoles of this user.")
@click.option("--json", "as_json", is_flag=True, help="With --list: print JSON.")
@click.option(
    "--wait",
    "wait_s",
    type=click.FloatRange(min=0),
    default=30.0,
    metavar="S",
    help="Seconds to wait for a process that does not answer.  [default: 30]",
)
@click.option(
    "--sample",
    "sample_s",
    type=click.FloatRange(min=1),
    metavar="S",
    help="Instead, record process PID from outside for S seconds.",
)
@click.option("--native", is_flag=True, help="With --sample: include the frames of C libraries.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="With --sample: run folder.  [default: reports/<run id>]"
)
def attach(
    which: str | None,
    command: str | None,
    show_list: bool,
    as_json: bool,
    wait_s: float,
    sample_s: float | None,
    native: bool,
    out: Path | None,
) -> int:
    """Open the console of a process that was started with --console, given its PID or its run.

    \b
    harness attach 4711
    harness attach -c "top --json"
    harness attach 4711 --sample 10

    Without RUN or PID, attach to the only open console. In the console, `help` lists the commands.

    \b
    Exit status:
      0  all commands succeeded
      1  a command failed, or was refused
      2  usage error: no such console, or no such command
      4  the process ended, or did not answer
    """
    if sample_s is None and (native or out is not None):
        raise UsageError(f"{'--native' if native else '--out'} needs --sample")
    if as_json and not show_list:
        raise UsageError('--json needs --list; for one command, -c "COMMAND --json"')
    if show_list:
        found = driving.consoles()
        _show([{**asdict(each), "loops": driving.loops(each)} for each in found], as_json=as_json)
        return 0
    if sample_s is not None:
        if which is None or not which.isdigit():
            raise UsageError("--sample needs the PID of a process")
        external_sampling.record(int(which), sample_s, out, native=native)
        return 0
    prompt = Prompt(driving.find(which), wait_s=wait_s)
    return prompt.run(command) if command is not None else prompt.converse()


def _show(consoles: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(consoles))
        return
    if not consoles:
        click.echo("no console is open", err=True)
        return
    table = Table("pid", "program", "run", "loops", "telnet", "may", box=None)
    for found in consoles:
        table.add_row(
            str(found["pid"]),
            " ".join(found["program"]),
            found["folder"] or "-",
            str(found["loops"]),
            f"127.0.0.1 {found['port']}" if found["port"] else "-",
            ", ".join(found["allow"]) or "read",
        )
    # Without a terminal there is no width to fit.
    console = Console() if sys.stdout.isatty() else Console(width=WIDE)
    console.print(table)
