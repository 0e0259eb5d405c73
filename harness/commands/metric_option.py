"""`--metric` and `--limit`: what decides whether something got slower, and from which change on."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import click

from ..read.compare.paired.measure import LIMIT


@dataclass(frozen=True, slots=True)
class MetricsAsked:
    """The values of the options."""

    limit: float = LIMIT
    metrics: Mapping[str, float | None] = field(default_factory=dict)  # with its own limit, if it has one


def metric_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options; the command gets them as one argument, `metrics_asked`."""

    @click.option(
        "--metric",
        "metrics",
        multiple=True,
        metavar="NAME[=LIMIT]",
        help="What decides, instead of the default; repeatable.",
    )
    @click.option("--limit", default="5%", show_default=True, help="The smallest slowdown that matters.")
    @functools.wraps(command)
    def collected(*args: object, metrics: tuple[str, ...], limit: str, **kwargs: object) -> Any:
        asked = {}
        for text in metrics:
            name, equals, own = text.partition("=")
            asked[name] = _share(own, f"--metric {text}") if equals else None
        return command(*args, metrics_asked=MetricsAsked(_share(limit, "--limit"), asked), **kwargs)

    return collected


def _share(text: str, option: str) -> float:
    """``5%``, ``5 %`` or ``0.05``."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(%?)\s*", text)
    share = float(found[1]) / (100 if found[2] else 1) if found else 0.0
    if not 0 < share <= 1:
        raise click.UsageError(f"{option}: expected a share above 0 such as 5% or 0.05, got {text!r}")
    return share
