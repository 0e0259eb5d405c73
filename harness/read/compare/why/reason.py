"""One thing that explains why the head is slower."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class ReasonKind(StrEnum):
    """What changed."""

    BLOCK = "block"
    FUNCTION = "function"
    SPAN = "span"
    COUNT = "count"
    IMPORT = "import"


@dataclass(frozen=True, slots=True)
class ReasonFound:
    """Why, in one sentence, with the place in the head."""

    kind: ReasonKind
    text: str
    cost_ms: float  # more of the loop's time, or of waiting, per request or run; it ranks the reasons
    file: str = ""  # below the revision's folder, where that is known
    line: int = 0
    changed: bool = False  # the commit changed that place
