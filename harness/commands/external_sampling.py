"""`harness attach --sample`: records a process from outside, and prints where its time goes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import click

from ..drive.sampling import sample as sample_process
from ..read.formats import export, save
from ..read.history import History, load
from ..read.samples.sample import stack_samples
from ..read.units import printable
from ..record.event import Frame
from ..stacks.turn_stack import TurnStack

# Lines of the table, and the files that a recording is saved as.
SHOWN = 15
FILES = {"collapsed": "profile.collapsed.txt", "speedscope": "profile.speedscope.json"}


def record(pid: int, seconds: float, out: Path | None, *, native: bool) -> None:
    """Record process *pid*, save the files, and print the lines of code with the most samples."""

    def said() -> None:
        click.echo(f"recording process {pid} for {seconds:g} s", err=True)

    folder = sample_process(pid, seconds, out, native=native, on_start=said)
    history = load(folder)
    lines = blamed_lines(history)
    total = lines.total()
    click.echo(f"{total} samples of threads that run or wait in a call; idle threads are left out")
    for (frame, leaf), count in lines.most_common(SHOWN):
        where = f"  {frame.file}:{frame.line}" if frame.file else ""
        call = f"  in {leaf}" if leaf else ""
        click.echo(printable(f"{count / total:7.1%}  {frame.function}{where}{call}"))
    for name, file in FILES.items():
        path = folder.artefacts / file
        save(export(history, name), path)
        click.echo(f"{name}: {path}", err=True)


def blamed_lines(history: History) -> Counter[tuple[Frame, str]]:
    """The number of samples by line to blame, and the library call it was in ("" for none)."""
    lines: Counter[tuple[Frame, str]] = Counter()
    for sample in stack_samples(history):
        stack = TurnStack(sample.stack, history.ownership(sample.pid))
        if stack.blamed is not None:
            lines[stack.blamed, stack.leaf(stack.blamed)] += sample.count
    return lines
