"""`--calls-config`, `--baseline` and `--update-baseline`: of which synchronous calls nobody is warned."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from ..errors import UsageError
from ..read.calls import baseline, project
from ..read.calls.allowlist import SETTING, Allowlist
from ..read.report import Report


@dataclass(frozen=True, slots=True)
class CallsAsked:
    """What the three options say."""

    config: Path | None
    baseline: Path | None
    update: bool

    def settings(self, *, counted: bool, by: str) -> dict[str, object]:
        """For the manifest of a run: what is accepted, nothing for a run that does not count calls.

        Raises:
            UsageError: There are options, but nothing is counted without *by*; or a file is wrong.
        """
        if not counted:
            if self.config or self.baseline:
                raise UsageError(f"{'--baseline' if self.baseline else '--calls-config'} needs {by}")
            return {}
        allow = project.load_allowances(project.FILE) if not self.config and project.FILE.exists() else ()
        return {SETTING: self.allowlist(Allowlist(allow)).settings()}

    def allowlist(self, before: Allowlist) -> Allowlist:
        """*before*, with the parts that the options name replaced.

        Raises:
            UsageError: A file cannot be read or is wrong.
        """
        if self.config is not None:
            before = replace(before, allow=project.load_allowances(self.config))
        if self.baseline is not None:
            new = self.update and not self.baseline.exists()
            before = replace(before, known=frozenset() if new else baseline.load(self.baseline))
        return before

    def keep(self, document: Report) -> None:
        """Write the baseline, if that is asked for.

        Raises:
            UsageError: It cannot be written.
        """
        if self.update and self.baseline is not None and document.calls is not None:
            known = baseline.save(document.calls, self.baseline)
            click.echo(f"{self.baseline}: {known} known calls", err=True)


def calls_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options; they come as one argument, `calls_asked`."""

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

    path = click.Path(path_type=Path)
    for option in (
        click.option("--update-baseline", is_flag=True, help="Rewrite the baseline from this run."),
        click.option(
            "--baseline", type=path, metavar="FILE", help="Warn only about calls missing from the baseline."
        ),
        click.option(
            "--calls-config", type=path, metavar="FILE", help="Configuration file.  [default: ./harness.toml]"
        ),
    ):
        collected = option(collected)
    return collected
