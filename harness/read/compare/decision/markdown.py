"""A decision as Markdown for a pull request: the verdict first, one table, the rest folded."""

from __future__ import annotations

from ...units import printable
from ..paired.answer import Answer
from . import figure
from .decision import Decision
from .terminal import HEADER, lines, why

_SIGNS = {Answer.SLOWER: "🔴", Answer.FASTER: "🟢", Answer.SAME: "✅", Answer.UNKNOWN: "⚠️"}
# GitHub refuses comments of more than 65,536 characters.
MOST = 60_000


def render(decided: Decision) -> str:
    """The decision in at most `MOST` characters; rows that do not fit are counted."""
    top = f"### {_SIGNS[decided.verdict]} {_cell(decided.sentence)}\n\n"
    table = [f"| {' | '.join(HEADER)} |", "|---|" + "--:|" * (len(HEADER) - 2) + "---|"]
    below = "\n".join(f"- {_cell(line)}" for line in lines(decided))
    room = MOST - len(top) - len(below[:20_000]) - 500
    for number, one in enumerate(decided.measures):
        said = figure.verdict(one)
        if not one.gate.counts:
            said = f"*{said}*"
        elif one.answer == Answer.SLOWER:
            said = f"**{said}**"
        cells = (
            f"`{_cell(one.name)}`",
            figure.value(one, one.base),
            figure.value(one, one.head),
            figure.change(one),
            figure.interval(one),
            figure.visible(one) if one.pairs > 1 else "–",
            said,
        )
        row = f"| {' | '.join(cells)} |"
        if sum(map(len, table)) + len(row) > room:
            table.append(f"| and {len(decided.measures) - number} more | | | | | | |")
            break
        table.append(row)
    told = "".join(f"- {_cell(line)}\n" for line in why(decided))
    folded = f"<details><summary>How it was measured</summary>\n\n{below[:20_000]}\n\n</details>\n"
    return top + "\n".join(table) + f"\n\n{told}\n{folded}"


def _cell(text: str) -> str:
    return printable(text).replace("|", "\\|").replace("<", "&lt;").replace("`", "'")
