"""`--format`, `--json`, `--output`, `--write`, `--quiet` and `--no-color`: how a decision is shown."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from ..errors import UsageError
from ..read.compare.decision import github, gitlab, junit, markdown, sarif, terminal
from ..read.compare.decision.decision import Decision, as_json
from ..read.formats import save
from ..runs import noting
from . import results
from .written_file import write_option, written_file

FORMATS: dict[str, Callable[[Decision], str]] = {
    "json": lambda decided: json.dumps(as_json(decided), indent=1) + "\n",
    "md": markdown.render,
    "github": github.render,
    "junit": junit.render,
    "sarif": sarif.render,
    "gitlab": gitlab.render,
}
# Endings of files that name a format by another name than its own.
ENDINGS = {"junit.xml": "junit", "xml": "junit", "github.txt": "github", "codequality.json": "gitlab"}


@dataclass(frozen=True, slots=True)
class DecisionOutput:
    """The values of the options."""

    name: str | None
    output: Path | None
    files: tuple[tuple[str, Path], ...]  # that are written beside it, each with its format
    quiet: bool
    colours: bool

    def show(self, decided: Decision) -> None:
        """Write the decision as it is asked for; into a file, and then still the summary to stderr.

        It is in the history before, as the comparison was made even if nobody can be shown it.

        Raises:
            OutputError: stdout or a file cannot be written.
        """
        if missing := noting.note_decided(as_json(decided)):
            results.write(f"harness: {missing}\n", err=True)
        self._show(decided)
        for name, path in self.files:
            save(FORMATS[name](decided), path)

    def _show(self, decided: Decision) -> None:
        if self.name is None:
            results.draw(
                lambda console: terminal.show(decided, console, brief=self.quiet), colours=self.colours
            )
            return
        rendered = FORMATS[self.name](decided)
        if self.output is None:
            results.write(rendered)
            return
        save(rendered, self.output)
        results.draw(lambda console: terminal.show(decided, console, brief=True), err=True)


def decision_output(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options; the command gets them as one argument, `output`."""

    @click.option("--format", "name", type=click.Choice(list(FORMATS)), help="A format instead of the table.")
    @click.option("--json", "is_json", is_flag=True, help="Same as --format json.")
    @click.option("--output", "file", type=click.Path(path_type=Path), help="Write the format to this file.")
    @write_option
    @click.option("-q", "--quiet", is_flag=True, help="Show the verdict only, and no progress.")
    @click.option("--no-color", is_flag=True, help="Show plain text, as the variable NO_COLOR does.")
    @functools.wraps(command)
    def collected(
        *args: object,
        name: str | None,
        is_json: bool,
        file: Path | None,
        files: tuple[str, ...],
        quiet: bool,
        no_color: bool,
        **kwargs: object,
    ) -> Any:
        if is_json and name not in (None, "json"):
            raise UsageError(f"--format {name} and --json: name one format")
        name = "json" if is_json else name
        if file is not None and name is None:
            name = _of_file(file)
            if name not in FORMATS:
                raise UsageError(f"--output {file}: its ending does not name a format; add --format")
        written = tuple(written_file(text, tuple(FORMATS), _of_file) for text in files)
        return command(*args, output=DecisionOutput(name, file, written, quiet, not no_color), **kwargs)

    return collected


def _of_file(path: Path) -> str:
    """The name of the format that a file's name ends in; else its suffix."""
    endings = [ending for ending in ENDINGS if path.name.endswith(f".{ending}")]
    return ENDINGS[max(endings, key=len)] if endings else path.suffix.removeprefix(".")
