"""`harness watch`: runs any Python program with the probe inside, and reports when it ends."""

from __future__ import annotations

from pathlib import Path

import click

from ..drive import manifest
from ..drive import watch as driving
from ..errors import UsageError
from ..record.figure import find
from ..record.run import Expectation, create, new_id
from .conclusion import conclude

# `--fail-on "blocks.count > 0"` is the expectation that it is not so.
OPPOSITES = {">": "<=", ">=": "<", "<": ">=", "<=": ">"}


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option("--out", type=click.Path(path_type=Path), help="The run's folder.  [default: reports/<run id>]")
@click.option(
    "--block-ms",
    type=click.FloatRange(min=1),
    default=100.0,
    show_default=True,
    help="A turn of the loop that lasts longer is a block.",
)
@click.option("--console", is_flag=True, help="Open an aiomonitor console in the program, for telnet.")
@click.option("--console-port", type=int, default=0, help="Its port on loopback.  [default: a free one]")
@click.option(
    "--fail-on", multiple=True, metavar="CONDITION", help='End with 1 when it holds: "blocks.count > 0"'
)
@click.argument("program", nargs=-1, required=True, type=click.UNPROCESSED)
def watch(
    out: Path | None,
    block_ms: float,
    console: bool,
    console_port: int,
    fail_on: tuple[str, ...],
    program: tuple[str, ...],
) -> int:
    """Run PROGRAM with the probe inside, its Python child processes too, and report when it ends.

    Its stdin, stdout and exit status are its own; the summary goes to stderr.
    """
    run_id = new_id("watch")
    made = manifest.new_run(
        run_id,
        scenario="watch",
        command=program,
        block_limit_ms=block_ms,
        expectations=tuple(map(_expectation, fail_on)),
    )
    folder = create((out or Path("reports") / made.id).resolve(), made)
    status = driving.watch(program, made, folder, console_port=console_port if console else None)
    judged = conclude(folder, to_stderr=True)
    if fail_on and judged == 1:
        return 1
    return driving.end_as(status)


def _expectation(condition: str) -> Expectation:
    key, _, rest = condition.strip().partition(" ")
    comparison, _, number = rest.strip().partition(" ")
    if comparison not in OPPOSITES or find(key) is None:
        raise UsageError(
            f'--fail-on {condition}: expected "FIGURE > NUMBER" with a figure such as blocks.count, '
            f"and one of {' '.join(OPPOSITES)}"
        )
    try:
        return Expectation(key, OPPOSITES[comparison], float(number))
    except ValueError:
        raise UsageError(f"--fail-on {condition}: expected a number, got {number!r}") from None
