"""`harness watch`: runs any Python program with the probe inside, and reports when it ends."""

from __future__ import annotations

import math
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import UsageError
from ..record.probe_config import HANG_MS, ConsoleConfig, ProbeConfig
from . import completion, failure, results
from .block_option import block_option
from .calls_option import CallsAsked, calls_options
from .console_option import console_options
from .display_option import DisplayAsked, display_options
from .hang_option import hang_options
from .output_option import OutputAsked, output_options
from .profile_option import ProfileAsked, profile_options
from .summary import SUMMARIES
from .waits_option import waits_option

if TYPE_CHECKING:
    from ..record.run import Expectation

COMPARISONS = (">=", "<=", "==", "!=", ">", "<")


@click.command(
    short_help=SUMMARIES["watch"],
    context_settings={"allow_interspersed_args": False},
)
@click.option("--out", type=click.Path(path_type=Path), help="The run's folder.  [default: reports/<run id>]")
@block_option
@hang_options
@click.option(
    "--systemd-watchdog",
    is_flag=True,
    help="Feed systemd's watchdog (WatchdogSec=) from the program's loop: not while that is held.",
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
@display_options
@output_options
@click.option(
    "--fail-on",
    multiple=True,
    metavar="CONDITION",
    shell_complete=completion.figures,
    help='Exit with 1 if it holds, like "blocks.count > 0".',
)
@click.argument("program", nargs=-1, required=True, type=click.UNPROCESSED, metavar="PROGRAM [ARG]...")
def watch(
    out: Path | None,
    block_ms: float,
    hang_ms: float | None,
    hang_exit_s: float | None,
    systemd_watchdog: bool,
    console: ConsoleConfig | None,
    profile_asked: ProfileAsked,
    waits: float | None,
    application: tuple[str, ...],
    origins: bool,
    calls: bool,
    calls_asked: CallsAsked,
    display: DisplayAsked,
    output: OutputAsked,
    fail_on: tuple[str, ...],
    program: tuple[str, ...],
) -> int:
    """Run PROGRAM with the probe inside it and its Python child processes, and report when it ends.

    \b
    harness watch -- python -m shop --port 8080

    The program's stdin, stdout, exit status and exit by signal are unchanged, unless a --fail-on condition
    holds. The summary, or what --format shows instead, goes to stderr.
    """
    # Not at the top: `--help` needs none of these.
    from ..drive import manifest, preflight
    from ..drive import watch as driving
    from ..drive.profilers import external
    from ..record.run import create, new_id
    from ..runs import noting
    from .conclusion import conclude
    from .interim import InterimReport

    expectations = tuple(
        _expectation(condition, calls=calls, sampler=profile_asked.hz > 0) for condition in fail_on
    )
    accepted = calls_asked.settings(counted=calls, by="--calls")
    preflight.check_application(application, cwd=Path.cwd())
    external.check(profile_asked.outside)
    preflight.check_program(program[0], cwd=Path.cwd(), env=os.environ)
    external.check_python(profile_asked.outside, program[0], os.environ)
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
    noting.note_begun(folder)
    config = ProbeConfig(
        folder=str(folder.path),
        limit_ns=made.block_limit_ns,
        console=console,
        calls=calls,
        origins=origins,
        waits=waits or 0.0,
        application=application,
        hang_ms=HANG_MS if hang_ms is None else hang_ms,
        hang_exit_s=hang_exit_s or 0.0,
        systemd_watchdog=systemd_watchdog,
    )
    interim = InterimReport(folder)
    status = driving.watch(
        program,
        made,
        folder,
        profile_asked.added_to(config),
        profilers=profile_asked.outside,
        on_console=lambda address: results.write(f"console: {address}\n", err=True),
        on_hang=lambda line: results.write(f"{line}\n", err=True),
        on_lingering=interim.write,
    )
    interim.end()
    # Nothing that happens to the report changes the program's exit status, unless conditions depend on it.
    with failure.contained(folder.path) as failed:
        judged = conclude(folder, calls_asked, display, output, to_stderr=True).condition_status
    if fail_on and (failed.status or judged):
        return failed.status or judged
    return driving.end_as(status)


def _expectation(condition: str, *, calls: bool, sampler: bool) -> Expectation:
    from ..record.metric import FIGURES, find, neighbours, why_absent
    from ..record.run import Expectation
    from ..record.toml.validation import nearest

    def refused(message: str, note: str = "") -> UsageError:
        exc = UsageError(f'--fail-on "{condition}": {message}')
        if note:
            exc.add_note(note)
        return exc

    found = re.fullmatch(rf"\s*(.+?)\s*({'|'.join(COMPARISONS)})\s*(\S+)\s*", condition)
    if found is None:
        expected = f"expected FIGURE, one of {' '.join(COMPARISONS)}, and a number"
        raise refused(expected, 'For example: --fail-on "blocks.count > 0"')
    key, comparison, number = found.groups()
    if find(key) is None:
        hint = nearest(key, [figure.key for figure in FIGURES])
        raise refused(f"unknown figure {key}{hint}", neighbours(key))
    if why := why_absent(key, load=False, ledger=False, calls=calls, sampler=sampler):
        option = {"calls": "--calls", "profile": "--sample"}.get(key.partition(".")[0])
        raise refused(f"watch cannot have that figure: {why}", f"It needs {option}." if option else "")
    try:
        limit = float(number)
    except ValueError:
        limit = math.nan
    if not math.isfinite(limit):
        raise refused(f"expected a number, got {number}")
    return Expectation(key, comparison, limit, fail_on=True)
