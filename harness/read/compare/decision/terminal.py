"""A decision on the terminal: the verdict, one row per measure, and what should be known beside them.

A measure's noise is the smallest change that could be told from it.
"""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ...units import plural, printable
from ..paired.answer import Answer, Judged
from ..paired.measure import MeasureGate
from . import figure
from .decision import Decision

_STYLES = {
    Answer.SLOWER: "bold red",
    Answer.FASTER: "bold green",
    Answer.SAME: "green",
    Answer.UNKNOWN: "yellow",
}
WIDEST = 200
HEADER = ("measure", "base", "head", "change", "95 % interval", "noise", "verdict")


def show(decided: Decision, console: Console, *, brief: bool = False) -> None:
    """Print the decision; with *brief*, only its sentence."""
    verdict, _, rest = decided.sentence.partition(":")
    line = Text.assemble((verdict, _STYLES[decided.verdict]), f":{rest}" if rest else "")
    console.print(line, soft_wrap=True)
    if brief:
        return
    console.print()
    table = Table(box=None, pad_edge=False, show_edge=False, header_style="dim")
    for name in HEADER:
        table.add_column(name, justify="left" if name in (HEADER[0], HEADER[-1]) else "right", no_wrap=True)
    for one in decided.measures:
        table.add_row(*_row(one))
    # Where there is no room the terminal wraps a row: no figure is cut, and no name is folded.
    room = console.width
    console.width = max(
        room, console.measure(table, options=console.options.update(max_width=WIDEST)).maximum
    )
    console.print(table)
    console.width = room
    console.print()
    for text in why(decided):
        console.print(Text(text), soft_wrap=True)
    if decided.reasons:
        console.print()
    for text in lines(decided):
        console.print(Text(text, style="dim"), soft_wrap=True)


def _row(one: Judged) -> Iterator[Text]:
    style = "" if one.gate.counts else "dim"
    figures = figure.value(one, one.base), figure.value(one, one.head), figure.change(one)
    for text in (one.name, *figures, figure.interval(one), figure.visible(one) if one.pairs > 1 else "–"):
        yield Text(printable(text), style=style)
    yield Text(figure.verdict(one), style=_STYLES[one.answer] if one.gate.counts else "dim")


def why(decided: Decision) -> Iterator[str]:
    """The reasons, one per line."""
    for reason in decided.reasons:
        yield printable(f"why: {reason.text}{', changed by the commit' if reason.changed else ''}")


def lines(decided: Decision) -> Iterator[str]:
    """What stands below the table."""
    for side in (decided.base, decided.head):
        yield printable(f"{side.name}: {side.what}" + (f" ({side.commit})" if side.commit else ""))
    took = f" in {decided.took_s:.0f} s" if decided.took_s else ""
    seed = f", order by seed {decided.seed}" if decided.seed is not None else ""
    yield f"{plural(decided.pairs, 'pair')} of base and head in both orders{took}{seed}"
    for one in decided.measures:
        if one.why and one.gate != MeasureGate.SHOWN:
            yield f"{one.name}: {one.why}"
    if any(one.lacking and one.gate == MeasureGate.DECIDES for one in decided.measures):
        yield "figures of one side only decide, too (--allow-new NAME and --allow-missing NAME accept them)"
    for alarm in decided.false_alarms or ():
        yield (
            f"{alarm.name} compared with itself {alarm.comparisons} times: {alarm.slower} × slower, "
            f"{alarm.faster} × faster, {alarm.unknown} × cannot tell; {alarm.pairs} pairs at the median"
        )
    if shown := [one.name for one in decided.measures if one.gate == MeasureGate.SHOWN]:
        yield f"in brackets, shown and not gated: {', '.join(shown)} (--metric NAME gates one)"
    yield from map(printable, decided.notes)
