"""`--waits`, the option of `run` and `watch` that breaks down the time of spans."""

from __future__ import annotations

import click

from .amount import Amount

waits_option = click.option(
    "--waits",
    type=Amount(0, 1, min_open=True),
    is_flag=False,
    flag_value=1.0,
    metavar="[SHARE]",
    help="Log what tasks wait for, in all traces or a share of them, to break down the time of spans.",
)
