"""What is decided about two sides, as one value for the terminal, the formats and the exit status."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, replace

from ...units import percent, plural
from ..paired.answer import Answer, Judged, whole
from ..paired.false_alarms import FalseAlarms
from ..paired.measure import MeasureGate
from ..paired.trial import Trial
from ..why.reason import ReasonFound
from . import figure

SCHEMA = 1
INTERRUPTED = 130
# Of a comparison of a program with itself, the share of false alarms that a gate can live with.
FALSE_ALARMS = 0.02
# So many names are told in a sentence.
NAMES = 3
UNSOUND = "a run that cannot be judged is among those compared"


@dataclass(frozen=True, slots=True)
class ComparedSide:
    """One of the two sides."""

    name: str  # "base" or "head"
    what: str  # its command, revision or folder
    commit: str = ""
    file: str = ""  # of its scenario, program or benchmarks, where hosts of CI show what has no line


@dataclass(frozen=True, slots=True)
class Decision:
    """The judgement of one comparison, with the same names in its JSON."""

    schema: int
    id: str
    verdict: Answer
    sentence: str
    base: ComparedSide
    head: ComparedSide
    pairs: int
    took_s: float
    seed: int | None  # of the order of the runs; null where nothing was run
    ended: str  # why no more pairs were taken although they were wanted; "" otherwise
    interrupted: bool
    measures: tuple[Judged, ...]
    false_alarms: tuple[FalseAlarms, ...] | None  # of a program compared with itself; null otherwise
    reasons: tuple[ReasonFound, ...]  # why the head is slower, what costs most first
    notes: tuple[str, ...]

    @property
    def exit_status(self) -> int:
        """0: not slower. 1: slower. 3: it cannot be told. 130: interrupted."""
        if self.interrupted:
            return INTERRUPTED
        return {Answer.SLOWER: 1, Answer.UNKNOWN: 3}.get(self.verdict, 0)


def decision(
    trial: Trial,
    *,
    comparison_id: str,
    base: ComparedSide,
    head: ComparedSide,
    took_s: float = 0.0,
    seed: int | None = None,
    ended: str = "",
    interrupted: bool = False,
    false_alarms: tuple[FalseAlarms, ...] | None = None,
    reasons: tuple[ReasonFound, ...] = (),
    notes: tuple[str, ...] = (),
    unsound: str = "",
) -> Decision:
    """The document of a judgement; with *false_alarms*, of a program that was compared with itself.

    If a run is *unsound*, for that reason, its figures are shown, and nothing is said of them.
    """
    if unsound:
        trial, reasons = _untold(trial), ()
    verdict = whole(trial.judged)
    sentence = _sentence(verdict, trial) + _accepted(trial)
    if false_alarms is not None:
        verdict, sentence = _of_noise(trial, false_alarms)
    if unsound:
        verdict, sentence = Answer.UNKNOWN, f"{Answer.UNKNOWN}: {unsound}"
    return Decision(
        schema=SCHEMA,
        id=comparison_id,
        verdict=verdict,
        sentence=sentence,
        base=base,
        head=head,
        pairs=trial.pairs,
        took_s=round(took_s, 3),
        seed=seed,
        ended=ended,
        interrupted=interrupted,
        measures=tuple(sorted(trial.judged, key=_rank)),
        false_alarms=false_alarms,
        reasons=reasons,
        notes=notes,
    )


def _untold(trial: Trial) -> Trial:
    untold = (replace(one, answer=Answer.UNKNOWN, why=UNSOUND) for one in trial.judged)
    return replace(trial, judged=tuple(untold))


def _rank(judged: Judged) -> tuple[int, int]:
    """What decides first, and of that what is slower."""
    order = [Answer.SLOWER, Answer.UNKNOWN, Answer.FASTER, Answer.SAME]
    return list(MeasureGate).index(judged.gate), order.index(judged.answer)


def _sentence(verdict: Answer, trial: Trial) -> str:
    gated = [one for one in trial.judged if one.gate.counts]
    of_that = [one for one in gated if one.answer == verdict]
    match verdict:
        case Answer.SLOWER | Answer.FASTER:
            strongest = max(of_that, key=lambda one: abs(one.change or 0))
            others = len(of_that) - 1
            more = f"; and {plural(others, 'more measure')}" if others else ""
            return f"{verdict}: {figure.difference(strongest)}{more}"
        case Answer.SAME:
            return f"{verdict} that matters: {_seen_from(of_that)}"
    unknown = [one for one in of_that if one.gate == MeasureGate.DECIDES]
    if not unknown:
        return f"{verdict}: nothing that decides was measured"
    return f"{verdict}: " + "; ".join(f"{one.name}: {one.why}" for one in unknown[:NAMES])


def _seen_from(judged: list[Judged]) -> str:
    parts = [
        f"{one.name} {figure.change(one)} (a change of {percent(one.limit)} matters, "
        f"{figure.visible(one)} could be seen)"
        for one in judged
        if one.gate == MeasureGate.DECIDES
    ]
    return "; ".join(parts[:NAMES])


def _accepted(trial: Trial) -> str:
    """What was allowed to be on one side only."""
    names = [f"{one.name} ({one.lacking})" for one in trial.judged if one.gate == MeasureGate.ACCEPTED]
    more = f" and {len(names) - NAMES} more" if len(names) > NAMES else ""
    return f"; accepted without a comparison: {', '.join(names[:NAMES])}{more}" if names else ""


def _of_noise(trial: Trial, false_alarms: tuple[FalseAlarms, ...]) -> tuple[Answer, str]:
    """Whether this machine can be trusted with what decides."""
    deciding = [one for one in trial.judged if one.gate == MeasureGate.DECIDES]
    alarms = {one.name: one for one in false_alarms}
    for one in deciding:
        found = alarms.get(one.name)
        if found is None or one.visible is None:
            return Answer.UNKNOWN, f"{Answer.UNKNOWN}: {one.name}: {one.why or 'too few pairs'}"
        if found.slower > FALSE_ALARMS * found.comparisons:
            said = f"{found.slower} of {found.comparisons} comparisons with itself said slower"
            return Answer.UNKNOWN, f"{Answer.UNKNOWN}: {one.name}: {said}"
        if found.unknown * 2 > found.comparisons:
            hidden = f"this machine's noise hides changes below {figure.visible(one)}"
            return Answer.UNKNOWN, f"{Answer.UNKNOWN}: {one.name}: {hidden}"
    seen = "; ".join(f"{one.name} from {figure.visible(one)} on" for one in deciding)
    total = sum(alarms[one.name].comparisons for one in deciding)
    false = sum(alarms[one.name].slower for one in deciding)
    return Answer.SAME, (
        f"changes can be seen here: {seen}; {false} false alarms in {total} comparisons with itself"
    )


def as_json(decided: Decision) -> dict[str, object]:
    """The decision as objects, lists, strings, numbers and nulls."""
    return dataclasses.asdict(decided) | {"exit_status": decided.exit_status}
