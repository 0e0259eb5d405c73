"""Which benchmarks of two runs can be compared, and what is said of those that cannot.

None of them is left out in silence: a benchmark without a verdict is one that cannot be told.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches

from ...record.comparison.benchmarks import BenchmarkResults
from .paired import once
from .paired.answer import Answer, Judged, Lacking
from .paired.measure import LIMIT, Measure
from .paired.trial import Trial

UNIT = "ms"
# Names that have this share of their letters in common may be those of one benchmark.
ALIKE = 0.6


@dataclass(frozen=True, slots=True)
class BenchmarkPairing:
    """The benchmarks that both sides have measured, and the others with the reason."""

    measures: tuple[Measure, ...]
    apart: Mapping[str, str]


def paired(base: BenchmarkResults, head: BenchmarkResults, *, limit: float = LIMIT) -> BenchmarkPairing:
    """What of two runs can be compared; *limit* is the smallest slowdown that matters."""
    names = dict.fromkeys((*base.names, *head.names))
    both = [name for name in names if name in base.figures and name in head.figures]
    return BenchmarkPairing(
        tuple(Measure(name, UNIT, limit) for name in both),
        {name: _why(name, base, head) for name in names if name not in both},
    )


def judged_once(base: BenchmarkResults, head: BenchmarkResults, pairing: BenchmarkPairing) -> Trial:
    """The judgement of one run of each: it names what cannot be compared, and tells nothing of the rest."""
    trial = once.judge_groups([base.figures], [head.figures], pairing.measures)
    return with_apart(trial, pairing.apart, base, head)


def with_apart(
    trial: Trial, apart: Mapping[str, str], base: BenchmarkResults, head: BenchmarkResults
) -> Trial:
    """The judgement with the benchmarks that stand *apart*; one that was judged keeps its verdict."""
    known = {one.name for one in trial.judged}
    judged = [
        replace(one, why=apart[one.name], lacking=None)
        if one.name in apart and one.answer == Answer.UNKNOWN
        else one
        for one in trial.judged
    ]
    others = [_unjudged(name, why, base, head) for name, why in apart.items() if name not in known]
    return replace(trial, judged=(*judged, *others))


def broken_later(base: Mapping[str, str], head: Mapping[str, str]) -> dict[str, str]:
    """What is said of benchmarks that were measured, and then failed on a side."""
    return {name: "; ".join(_sides(base.get(name, ""), head.get(name, ""))) for name in (*base, *head)}


def _unjudged(name: str, why: str, base: BenchmarkResults, head: BenchmarkResults) -> Judged:
    measure = Measure(name, UNIT)
    return Judged(
        name=name,
        unit=UNIT,
        gate=measure.gate,
        limit=measure.limit,
        answer=Answer.UNKNOWN,
        why=why,
        base=base.figures.get(name),
        head=head.figures.get(name),
        change=None,
        low=None,
        high=None,
        visible=None,
        pairs=0,
        fresh=0,
        lacking=_lacking(name, base, head),
    )


def _lacking(name: str, base: BenchmarkResults, head: BenchmarkResults) -> Lacking | None:
    """Whether it is new or gone; not where it has failed, is skipped, or its file cannot be collected."""
    if name not in base.names and name in head.figures and not _uncollected(name, base):
        return Lacking.NEW
    if name in base.names and name not in head.names and not _uncollected(name, head):
        return Lacking.MISSING
    return None


def _why(name: str, base: BenchmarkResults, head: BenchmarkResults) -> str:
    if name not in base.names or name not in head.names:
        return "; ".join(_missing(name, base, head))
    return "; ".join(_sides(base.unmeasured.get(name, ""), head.unmeasured.get(name, "")))


def _missing(name: str, base: BenchmarkResults, head: BenchmarkResults) -> Iterator[str]:
    """That one side does not know it, whether it may have another name there, and what the other one has."""
    side, lacking, having = ("base", base, head) if name in head.names else ("head", head, base)
    if broken := _uncollected(name, lacking):
        yield f"not in the {side}, where its file cannot be collected: {broken}"
    else:
        # The file says nothing: the same test may have moved, and all of a file begin alike.
        strangers = {_test(other): other for other in lacking.names if other not in having.names}
        close = get_close_matches(_test(name), strangers, n=1, cutoff=ALIKE)
        yield f"not in the {side}" + (f", which has {strangers[close[0]]}: renamed?" if close else "")
    if why := having.unmeasured.get(name):
        yield f"{'head' if side == 'base' else 'base'}: {why}"


def _uncollected(name: str, results: BenchmarkResults) -> str:
    """Why the file of a benchmark, or all of the suite, could not be collected; "" if it could."""
    files = (name.partition("::")[0], "")
    return next((results.uncollected[file] for file in files if file in results.uncollected), "")


def _sides(base: str, head: str) -> Iterator[str]:
    if base == head:
        yield f"on both sides: {base}"
        return
    yield from (f"{side}: {why}" for side, why in (("base", base), ("head", head)) if why)


def _test(name: str) -> str:
    return name.partition("::")[2].removeprefix("test_")
