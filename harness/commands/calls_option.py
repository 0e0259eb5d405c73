"""`--calls-config`, `--baseline` and `--update-baseline`: which synchronous calls cause no warning."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import UsageError

if TYPE_CHECKING:
    from ..read.calls.allowlist import AllowedCall, Allowlist
    from ..read.report import Report

PROJECT = Path("harness.toml")


@dataclass(frozen=True, slots=True)
class CallsAsked:
    """The values of the three options."""

    config: Path | None
    baseline: Path | None
    update: bool

    def settings(self, *, counted: bool, by: str) -> dict[str, object]:
        """The accepted calls, for the manifest of a run; empty if the run does not count calls.

        Raises:
            UsageError: An option is given without *by*, the option that counts calls; or a file is wrong.
        """
        if not counted:
            if self.config or self.baseline:
                raise UsageError(f"{'--baseline' if self.baseline else '--calls-config'} needs {by}")
            return {}
        from ..read.calls.allowlist import SETTING, Allowlist

        allow = _allowances(PROJECT) if not self.config and PROJECT.exists() else ()
        return {SETTING: self.allowlist(Allowlist(allow)).settings()}

    def allowlist(self, before: Allowlist) -> Allowlist:
        """The accepted calls: those of *before*, except where an option replaces them.

        Raises:
            UsageError: A file cannot be read or is wrong.
        """
        if self.config is not None:
            before = replace(before, allow=_allowances(self.config))
        if self.baseline is not None:
            from ..read.calls import baseline

            new = self.update and not self.baseline.exists()
            before = replace(before, known=frozenset() if new else baseline.load(self.baseline))
        return before

    def keep(self, document: Report) -> None:
        """Write the baseline, if `--update-baseline` is given.

        Raises:
            UsageError: It cannot be written.
        """
        if self.update and self.baseline is not None and document.calls is not None:
            from ..read.calls import baseline

            known = baseline.save(document.calls, self.baseline)
            click.echo(f"{self.baseline}: {known} known calls", err=True)


def _allowances(path: Path) -> tuple[AllowedCall, ...]:
    from ..read.calls import project  # its model takes longer to load than most commands need

    return project.load_allowances(path)


def calls_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options; the command gets them as one argument, `calls_asked`."""

    path = click.Path(path_type=Path)

    @click.option(
        "--calls-config", type=path, metavar="FILE", help="Configuration file.  [default: ./harness.toml]"
    )
    @click.option(
        "--baseline", type=path, metavar="FILE", help="Warn only about calls missing from the baseline."
    )
    @click.option("--update-baseline", is_flag=True, help="Rewrite the baseline from this run.")
    @functools.wraps(command)
    def collected(
        *args: object,
        calls_config: Path | None,
        baseline: Path | None,
        update_baseline: bool,
        **kwargs: object,
    ) -> Any:
        if update_baseline and baseline is None:
            raise UsageError("--update-baseline needs --baseline FILE")
        return command(*args, calls_asked=CallsAsked(calls_config, baseline, update_baseline), **kwargs)

    return collected
