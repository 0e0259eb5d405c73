"""The two export formats of weighted stacks: collapsed stacks and speedscope's."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..record.observation import Frame

SPEEDSCOPE_SCHEMA = "https://www.speedscope.app/file-format-schema.json"


def collapsed(stacks: Iterable[tuple[Sequence[str | Frame], int]]) -> str:
    """Stacks with their counts as lines of `flamegraph.pl`, the most frequent first.

    A stack has its outermost frame first; a string stands for a frame that is not a line of code.
    """
    counts: Counter[str] = Counter()
    for stack, count in stacks:
        counts[";".join(map(_name, stack))] += count
    return "".join(f"{line} {count}\n" for line, count in counts.most_common())


@dataclass(frozen=True, slots=True)
class SpeedscopeProfile:
    """The samples of one thread."""

    name: str
    unit: str  # of the weights: "nanoseconds" or "seconds"
    samples: Sequence[tuple[Sequence[Frame], float]]  # each stack, outermost first, with its weight


def speedscope(profiles: Iterable[SpeedscopeProfile], **head: object) -> str:
    """Profiles as a file of https://www.speedscope.app; *head* is added at its top level."""
    frames: dict[Frame, int] = {}
    drawn = [_profile(profile, frames) for profile in profiles]
    shared = {"frames": [_frame(frame) for frame in frames]}
    return json.dumps({"$schema": SPEEDSCOPE_SCHEMA, **head, "shared": shared, "profiles": drawn}) + "\n"


def _profile(profile: SpeedscopeProfile, frames: dict[Frame, int]) -> Mapping[str, object]:
    weights = [weight for _, weight in profile.samples]
    return {
        "type": "sampled",
        "name": profile.name,
        "unit": profile.unit,
        "startValue": 0,
        "endValue": sum(weights),
        "samples": [[frames.setdefault(frame, len(frames)) for frame in s] for s, _ in profile.samples],
        "weights": weights,
    }


def _frame(frame: Frame) -> Mapping[str, object]:
    if not frame.file:
        return {"name": frame.function}
    return {"name": frame.function, "file": frame.file, "line": frame.line}


def _name(part: str | Frame) -> str:
    text = part if isinstance(part, str) else f"{part.function} ({part.file}:{part.line})"
    # Separators of frames and lines cannot be part of a name.
    return text.replace(";", ",").replace("\n", " ").replace("\r", " ")
