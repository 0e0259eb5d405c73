"""`harness attach`: the console of a running process."""

from __future__ import annotations

import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import UsageError
from ..record.probe_config import ConsoleConfig
from . import amount, completion
from .block_option import block_option
from .calls_option import CallsAsked
from .console_option import allow_option, permissions
from .display_option import DisplayAsked, display_options
from .summary import SUMMARIES

if TYPE_CHECKING:
    from ..record.process.console_endpoint import ConsoleEndpoint


class _Duration(click.ParamType):  # type: ignore[type-arg]  # generic in later versions only
    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        import argparse

        from ..console.protocol import duration

        try:
            return duration.up_to(amount.LONGEST_S)(str(value))
        except argparse.ArgumentTypeError as exc:
            self.fail(str(exc), param, ctx)


@click.command(short_help=SUMMARIES["attach"])
@click.argument("which", required=False, metavar="[RUN|PID]", shell_complete=completion.consoles)
@click.option("-c", "--command", metavar="LINE", help='Run one command, such as "top --json", and exit.')
@click.option("--list", "show_list", is_flag=True, help="List the open consoles of this user.")
@click.option("--json", "as_json", is_flag=True, help="With --list: print JSON.")
@click.option(
    "--wait",
    "wait_s",
    type=amount.seconds(),
    default=30.0,
    metavar="S",
    help="Seconds to wait for a process that does not answer.  [default: 30]",
)
@click.option(
    "--for",
    "for_s",
    type=_Duration(),
    metavar="TIME",
    help="Record the process for that time, such as 30s, and report.",
)
@block_option
@click.option("--workers", is_flag=True, help="Enter its Python child processes, too.")
@click.option(
    "--application",
    multiple=True,
    metavar="PATH",
    help="A folder, file or package of the program's own code, where blocks are blamed; repeatable.",
)
@click.option(
    "--console-port",
    type=click.IntRange(0, 65535),
    metavar="PORT",
    help="Also serve telnet on this loopback port, with a token.  [0: any free]",
)
@allow_option
@click.option(
    "--sample",
    "sample_s",
    type=amount.seconds(1),
    metavar="S",
    help="Instead, record process PID from outside for S seconds.",
)
@click.option("--native", is_flag=True, help="With --sample: include the frames of C libraries.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="With --for and --sample: run folder.  [default: reports/<run id>]",
)
@display_options
def attach(
    which: str | None,
    command: str | None,
    show_list: bool,
    as_json: bool,
    wait_s: float,
    for_s: float | None,
    block_ms: float,
    workers: bool,
    application: tuple[str, ...],
    console_port: int | None,
    allow: str | None,
    sample_s: float | None,
    native: bool,
    out: Path | None,
    display: DisplayAsked,
) -> int:
    """Open the console of a running process, given its PID or its run.

    \b
    harness attach 4711
    harness attach 4711 --for 30s
    harness attach -c "top --json"
    harness attach 4711 --sample 10

    A process that was not started with --console is entered while it runs, and left as it was at the end;
    that needs Python 3.14 in it. Without RUN or PID, attach to the only open console. In the console, `help`
    lists the commands.

    \b
    Exit status:
      0  all commands succeeded
      1  a command failed, or was refused
      2  usage error: no such console, or no such command
      4  the process ended, or did not answer
    """
    # Not at the top: `--help` needs none of these.
    from ..drive import preflight
    from ..drive.console import client as driving

    if sample_s is None and native:
        raise UsageError("--native needs --sample")
    if sample_s is None and for_s is None and out is not None:
        raise UsageError("--out needs --for or --sample")
    if sample_s is not None and for_s is not None:
        raise UsageError("--for records from inside and --sample from outside: expected one of them")
    if as_json and not show_list:
        raise UsageError('--json needs --list; for one command, -c "COMMAND --json"')
    if show_list:
        found = driving.consoles()
        _show([{**asdict(each), "loops": driving.loops(each)} for each in found], as_json=as_json)
        return 0
    if sample_s is not None:
        if which is None or not which.isdigit():
            raise UsageError("--sample needs the PID of a process")
        from . import external_sampling

        external_sampling.record(int(which), sample_s, out, native=native)
        return 0
    is_pid = which is not None and which.isdecimal()
    known = driving.console_of(int(which)) if which is not None and is_pid else driving.find(which)
    if known is None or for_s is not None:
        if which is None or not is_pid:
            raise UsageError("--for needs the PID of a process")
        if known is not None:
            raise _watched_already(known)
        from . import attach_entered
        from .attach_entered import EntryAsked

        may = permissions(allow)
        preflight.check_port(console_port or 0, of="--console-port")
        preflight.check_application(application, cwd=Path.cwd())
        is_asked = for_s is None or console_port is not None or bool(may)
        asked = EntryAsked(
            limit_ms=block_ms,
            console=ConsoleConfig(console_port, may) if is_asked else None,
            # The process may have another working directory.
            application=tuple(
                os.path.realpath(path) if Path(path).exists() else path for path in application
            ),
            with_workers=workers,
            wait_s=wait_s,
        )
        if for_s is not None:
            return attach_entered.record(
                int(which), for_s, asked, out, CallsAsked(None, None, update=False), display
            )
        return attach_entered.converse(int(which), asked, command)
    from .prompt import Prompt

    prompt = Prompt(known, wait_s=wait_s)
    return prompt.run(command) if command is not None else prompt.converse()


def _watched_already(known: ConsoleEndpoint) -> UsageError:
    by = f"by the run {known.folder}, whose record goes on" if known.folder else "without a record"
    exc = UsageError(f"{known.pid}: this process is watched already, {by}")
    exc.add_note(f"harness attach {known.pid}: opens its console")
    return exc


def _show(consoles: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        import json

        click.echo(json.dumps(consoles))
        return
    if not consoles:
        click.echo("no console is open", err=True)
        return
    from rich.console import Console
    from rich.table import Table

    from .prompt import WIDE

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
