"""`--block-ms`, which `watch` and `attach` share."""

from __future__ import annotations

import click

from . import amount

block_option = click.option(
    "--block-ms",
    type=amount.milliseconds(1),
    default=100.0,
    metavar="N",
    help="A loop turn longer than N ms is a block.  [default: 100]",
)
