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

# `--fail-on "blocks.count > 0"` is recorded as the opposite expectation.
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
    help="A loop turn longer than N ms is a block.  [default: 100]",
)
@profile_options
@waits_option
@console_options
@click.option(
    "--application",
    multiple=True,
    metavar="PATH",
    help="A folder, file or package of the program's own code, where blocks are blamed; repeatable.  "
    "[default: the main module's folder, and the working directory]",
)
@click.option("--origins", is_flag=True, help="Record where coroutines are created, for blocks and leaks.")
@click.option("--calls", is_flag=True, help="Count all synchronous calls on the loop, even short ones.")
@calls_options
@click.option(
    "--fail-on", multiple=True, metavar="CONDITION", help='Exit with 1 if it holds, like "blocks.count > 0".'
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
    """Run PROGRAM with the probe inside it and its Python child processes, and report when it ends.

    \b
    harness watch -- python -m shop --port 8080

    The program's stdin, stdout, exit status and exit by signal are unchanged, unless a --fail-on condition
    holds. The summary goes to stderr.
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
    config = ProbeConfig(
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
        profile_asked.added_to(config),
        profilers=profile_asked.outside,
        on_console=lambda address: click.echo(f"console: {address}", err=True),
    )
    try:
        judged = conclude(folder, calls_asked, to_stderr=True)
    except HarnessError as exc:
        # For example, the disk is full, which must not change the program's exit status.
        click.echo(f"harness: {exc}", err=True)
        judged = exc.exit_code
    except Exception:
        # Nor must a bug in the harness. The record remains, so the report can be repeated.
        click.echo(f"harness: the report failed; the record is in {folder.path}", err=True)
        click.echo(traceback.format_exc(), err=True)
        judged = 1
    if fail_on and judged:
        return judged
    return driving.end_as(status)


def _expectation(condition: str) -> Expectation:
    found = re.fullmatch(r"\s*(.+?)\s*(>=|<=|>|<)\s*(\S+)\s*", condition)
    if found is None:
        expected = f"expected FIGURE, one of {' '.join(OPPOSITES)}, and a number"
        exc = UsageError(f'--fail-on "{condition}": {expected}')
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
