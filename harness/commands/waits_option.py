"""`--waits`, by which `run` and `watch` are asked to decompose the time of spans."""

from __future__ import annotations

import click

waits_option = click.option(
    "--waits",
    type=click.FloatRange(0, 1, min_open=True),
    is_flag=False,
    flag_value=1.0,
    metavar="[SHARE]",
    help="Log who waited for whom, for all traces or a share of them: where the time of spans went.",
)
