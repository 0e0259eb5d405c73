"""How `bench` and `bisect` run their sides: environments, a time limit, the order, and the folder."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from . import amount
from .bench_sides import words_of

# Seeds are short enough to be typed again.
SEEDS = 1_000_000


@dataclass(frozen=True, slots=True)
class RunsAsked:
    """The values of the options."""

    run_timeout_s: float
    pip: tuple[str, ...]  # what pip installs for a revision; none: what its files say
    same_environment: bool
    overrides: tuple[str, ...]  # of the scenario
    seed: int
    out: Path | None

    def folder(self, name: str) -> Path:
        """The folder of the result, called *name* unless it was asked for."""
        return (self.out or Path("reports") / name).resolve()


def side_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options; the command gets them as one argument, `runs_asked`."""

    @click.option(
        "--run-timeout",
        default=120.0,
        show_default=True,
        metavar="S",
        type=amount.seconds(least_open=True),
        help="A run of a program that takes longer than S seconds has failed.",
    )
    @click.option("--install", metavar="ARGS", help="What pip installs for a revision, such as '-e .[test]'.")
    @click.option("--same-environment", is_flag=True, help="Use the present environment for all revisions.")
    @click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change the scenario.")
    @click.option("--seed", type=int, metavar="N", help="The order of the runs; random by default.")
    @click.option("--out", type=click.Path(path_type=Path), help="Its folder.  [default: reports/<id>]")
    @functools.wraps(command)
    def collected(
        *args: object,
        run_timeout: float,
        install: str | None,
        same_environment: bool,
        overrides: tuple[str, ...],
        seed: int | None,
        out: Path | None,
        **kwargs: object,
    ) -> Any:
        asked = RunsAsked(
            run_timeout_s=run_timeout,
            pip=words_of(install or ""),
            same_environment=same_environment,
            overrides=overrides,
            seed=random.SystemRandom().randrange(SEEDS) if seed is None else seed,
            out=out,
        )
        return command(*args, runs_asked=asked, **kwargs)

    return collected
