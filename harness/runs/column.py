"""The columns of the history. A figure's column has its key with ``_`` for each dot: ``loop_lag_ms_p99``.

A new figure is a new column: a database without it gets it (`database.py`), and a journal without it says
nothing about it, so it is null. `SCHEMA` counts up only when a column changes its meaning.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ..record.metric import FIGURES, NAME, Metric

SCHEMA = 1


class ColumnKind(StrEnum):
    """What a column holds, by its name in SQL."""

    TEXT = "VARCHAR"
    NUMBER = "DOUBLE"
    WHOLE = "BIGINT"
    FLAG = "BOOLEAN"
    TIME = "TIMESTAMP"  # UTC; ISO 8601 with an offset in a journal


@dataclass(frozen=True, slots=True)
class HistoryColumn:
    """One value of a row; null where it is not known."""

    name: str
    kind: ColumnKind
    is_key: bool = False


class HistoryTable(StrEnum):
    """What a row is about."""

    RUNS = "runs"
    COMPARISONS = "comparisons"


PER_REQUEST = Metric("run.cpu_per_request_ms", "ms", "CPU time of the target per answered request")
# Those of spans have no fixed names, and those of the sampler tell nothing of the program.
PLOTTED = (
    *(figure for figure in FIGURES if NAME not in figure.key and not figure.key.startswith("profile.")),
    PER_REQUEST,
)


def column_of(key: str) -> str:
    """The name of the column that holds the figure *key*."""
    return key.replace(".", "_")


COLUMNS = {
    HistoryTable.RUNS: (
        HistoryColumn("id", ColumnKind.TEXT, is_key=True),
        HistoryColumn("started", ColumnKind.TIME),
        HistoryColumn("scenario", ColumnKind.TEXT),
        HistoryColumn("outcome", ColumnKind.TEXT),  # null: it has not ended, or was killed
        HistoryColumn("verdict", ColumnKind.TEXT),
        HistoryColumn("commit", ColumnKind.TEXT),
        HistoryColumn("dirty", ColumnKind.FLAG),  # with changes that are not in the commit
        HistoryColumn("branch", ColumnKind.TEXT),
        HistoryColumn("python", ColumnKind.TEXT),
        HistoryColumn("host", ColumnKind.TEXT),
        HistoryColumn("command", ColumnKind.TEXT),
        HistoryColumn("block_limit_ms", ColumnKind.NUMBER),
        HistoryColumn("seed", ColumnKind.WHOLE),
        HistoryColumn("folder", ColumnKind.TEXT),
        *(HistoryColumn(column_of(figure.key), ColumnKind.NUMBER) for figure in PLOTTED),
    ),
    HistoryTable.COMPARISONS: (
        HistoryColumn("id", ColumnKind.TEXT, is_key=True),
        HistoryColumn("metric", ColumnKind.TEXT, is_key=True),
        HistoryColumn("started", ColumnKind.TIME),
        HistoryColumn("verdict", ColumnKind.TEXT),  # of the whole comparison
        HistoryColumn("base", ColumnKind.TEXT),
        HistoryColumn("head", ColumnKind.TEXT),
        HistoryColumn("base_commit", ColumnKind.TEXT),
        HistoryColumn("head_commit", ColumnKind.TEXT),
        HistoryColumn("host", ColumnKind.TEXT),
        HistoryColumn("pairs", ColumnKind.WHOLE),
        HistoryColumn("unit", ColumnKind.TEXT),
        HistoryColumn("role", ColumnKind.TEXT),  # of `MeasureGate`, or a step of a search
        HistoryColumn("answer", ColumnKind.TEXT),
        HistoryColumn("base_value", ColumnKind.NUMBER),
        HistoryColumn("head_value", ColumnKind.NUMBER),
        HistoryColumn("change", ColumnKind.NUMBER),  # a share, positive where the head is worse
        HistoryColumn("low", ColumnKind.NUMBER),  # the interval of the change
        HistoryColumn("high", ColumnKind.NUMBER),
        HistoryColumn("smallest", ColumnKind.NUMBER),  # the smallest change that matters
    ),
}
