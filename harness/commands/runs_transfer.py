"""`harness runs import` and `harness runs export`: the history of elsewhere, and for elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import UsageError
from . import results
from .history_option import history_option

if TYPE_CHECKING:
    from ..runs.location import HistoryPlace


@click.command("import", short_help="Take in runs from elsewhere.")
@click.argument("path", required=False, type=click.Path(path_type=Path))
@click.option("--branch", metavar="NAME", help="From the history in this branch, by git.")
@history_option
def import_(where: HistoryPlace, path: Path | None, branch: str | None) -> int:
    """Take in the runs below the folder PATH (a CI artefact, or reports/), of a report.json, or of another
    history; or those in a git branch. What is known already stays as it is. If anything is wrong, nothing is
    written.

    \b
    harness runs import ci-artefact/
    harness runs import --branch perf-history
    """
    from ..runs import git_branch, intake

    if path is not None and branch is None:
        rows, source = intake.rows_in(path), str(path)
    elif branch is not None and path is None:
        rows, source = git_branch.rows_on(branch, repository=Path.cwd()), f"branch {branch}"
    else:
        raise UsageError("name a PATH or a --branch")
    taken = intake.take_in(rows, where)
    results.write(f"{source}: {_rows(taken.new)} taken in, {taken.known:,} known already\n", err=True)
    return 0


@click.command(short_help="Write the history for elsewhere.")
@click.argument("path", required=False, type=click.Path(path_type=Path))
@click.option("--branch", metavar="NAME", help="Commit it to this branch, which only you push.")
@history_option
def export(where: HistoryPlace, path: Path | None, branch: str | None) -> int:
    """Write all rows to the file PATH, one JSON object a line, or add them to the history in a git branch.

    \b
    harness runs export --branch perf-history && git push origin perf-history
    """
    from ..read.formats import save
    from ..runs import git_branch, intake

    if (path is None) == (branch is None):
        raise UsageError("name a PATH or a --branch")
    try:
        rows = [each for each in intake.known(where).values() if each.is_whole]
    except OSError as exc:
        raise UsageError(f"{where.journal}: cannot be read: {exc.strerror}") from exc
    if not rows:
        raise UsageError(f"{where.journal}: there is nothing to export")
    if path is not None:
        save("".join(f"{each.line()}\n" for each in rows), path)
        results.write(f"{path}: {_rows(len(rows))}\n", err=True)
    elif branch is not None:
        done = git_branch.export(rows, branch, repository=Path.cwd())
        state = f"{done.new:,} of them new, commit {done.commit[:12]}" if done.commit else "none of them new"
        results.write(f"branch {branch}: {_rows(done.rows)}, {state}\n", err=True)
    return 0


def _rows(number: int) -> str:
    return f"{number:,} row{'s' * (number != 1)}"
