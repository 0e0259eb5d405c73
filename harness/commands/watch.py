"""`harness watch`: runs any Python program with the probe inside, and reports when it ends."""

from __future__ import annotations

import os
import re
import traceback
from pathlib import Path

import click

from ..drive import manifest, preflight
from ..drive import watch as driving
from ..drive.profilers import external
from ..errors import HarnessError, UsageError
from ..record.metric import FIGURES, find
from ..record.probe_config import ConsoleConfig, ProbeConfig
from ..record.run import Expectation, create, new_id
from ..record.toml.validation import nearest
from .calls_option import CallsAsked, calls_options
from .conclusion import conclude
from .console_option import console_options
from .profile_option import ProfileAsked, profile_options
from .waits_option import waits_option

# `--fail-on "blocks.count > 0"` is the expectation that it is not so.
OPPOSITES = {">": "<=", ">=": "<", "<": ">=", "<=": ">"}


@click.command(
    short_help="Run any Python program with the probe inside.",
    context_settings={"allow_interspersed_args": False},
)
@click.option("--out", type=click.Path(path_type=Path), help="The run's folder.  [default: reports/<run id>]")
@click.option(
    "--block-ms",
    type=click.FloatRange(min=1),
    default=100.0,
    metavar="N",
    help="A turn of the loop that lasts longer is a block.  [default: 100]",
)
@profile_options
@waits_option
@console_options
@click.option(
    "--application",
    multiple=True,
    metavar="PATH",
    help="A folder, file or package of the program's own code, where blocks are blamed.  "
    "[default: the main module's folder, and the working directory]",
)
@click.option("--origins", is_flag=True, help="Keep where coroutines are made, for blocks and leaks.")
@click.option("--calls", is_flag=True, help="Count the synchronous calls on the loop, however short.")
@calls_options
@click.option(
    "--fail-on", multiple=True, metavar="CONDITION", help='End with 1 when it holds: "blocks.count > 0"'
)
@click.argument("program", nargs=-1, required=True, type=click.UNPROCESSED, metavar="PROGRAM [ARG]...")
def watch(
    out: Path | None,
    block_ms: float,
    console: ConsoleConfig | None,
    profile_asked: ProfileAsked,
    waits: float | None,
    application: tuple[str, ...],
    origins: bool,
    calls: bool,
    calls_asked: CallsAsked,
    fail_on: tuple[str, ...],
    program: tuple[str, ...],
) -> int:
    """Run PROGRAM with the probe inside, its Python child processes too, and report when it ends.

    \b
    harness watch -- python -m shop --port 8080

    Its stdin, stdout, exit by signal and exit status are its own, unless --fail-on asks otherwise. The
    summary goes to stderr.
    """
    expectations = tuple(map(_expectation, fail_on))
    accepted = calls_asked.settings(counted=calls, by="--calls")
    external.check(profile_asked.outside)
    preflight.check_program(program[0], cwd=Path.cwd(), env=os.environ)
    preflight.check_port(console.port or 0 if console else 0, of="--console-port")
    made = manifest.new_run(
        new_id("watch"),
        scenario="watch",
        command=program,
        block_limit_ms=block_ms,
        expectations=expectations,
        settings=accepted,
    )
    folder = create((out or Path("reports") / made.id).resolve(), made)
    order = ProbeConfig(
        folder=folder.path,
        limit_ns=made.block_limit_ns,
        console=console,
        calls=calls,
        origins=origins,
        waits=waits or 0.0,
        application=application,
    )
    status = driving.watch(
        program,
        made,
        folder,
        profile_asked.added_to(order),
        profilers=profile_asked.outside,
        on_console=_say_console,
    )
    try:
        judged = conclude(folder, calls_asked, to_stderr=True)
    except HarnessError as exc:
        # Such as a full disk; the program is not to blame.
        click.echo(f"harness: {exc}", err=True)
        judged = exc.exit_code
    except Exception:
        # Nor for a mistake of ours, which must not change how it ends; the record is there to try again.
        click.echo(f"harness: the report failed; the record is in {folder.path}", err=True)
        click.echo(traceback.format_exc(), err=True)
        judged = 1
    if fail_on and judged:
        return judged
    return driving.end_as(status)


def _say_console(address: str) -> None:
    click.echo(f"console: {address}", err=True)


def _expectation(condition: str) -> Expectation:
    found = re.fullmatch(r"\s*(.+?)\s*(>=|<=|>|<)\s*(\S+)\s*", condition)
    if found is None:
        exc = UsageError(
            f'--fail-on "{condition}": expected FIGURE, one of {" ".join(OPPOSITES)}, and a number'
        )
        exc.add_note('For example: --fail-on "blocks.count > 0"')
        raise exc
    key, comparison, number = found.groups()
    if find(key) is None:
        hint = nearest(key, [figure.key for figure in FIGURES])
        raise UsageError(f'--fail-on "{condition}": unknown figure {key}{hint}')
    try:
        return Expectation(key, OPPOSITES[comparison], float(number))
    except ValueError:
        raise UsageError(f'--fail-on "{condition}": expected a number, got {number}') from None
