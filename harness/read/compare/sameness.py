"""Whether two runs measured the same thing: their parameters, apart from the code that was to be compared."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from ...record.run import Run
from ..units import duration, ms

# Maximum length of a value that is told, and number of settings.
LETTERS, SETTINGS = 60, 6
# They have figures of their own in the comparison, or say only what was expected.
NOT_COMPARED = ("name", "description", "expect", "seed")
# A run's own files, which are never the same.
_OWN_FILES = re.compile(r"\S*/artefacts/")


def not_same(base: Run, head: Run) -> Iterator[str]:
    """What differs, each with both values: ``scenario (shop, first)``; a commit is what one compares."""
    pairs = (
        ("scenario", base.scenario, head.scenario),
        ("command", _command(base), _command(head)),
        ("Python", base.python, head.python),
        ("seed", base.seed, head.seed),
        ("block limit", duration(ms(base.block_limit_ns)), duration(ms(head.block_limit_ns))),
    )
    yield from (_both(name, before, after) for name, before, after in pairs if before != after)
    if base.scenario != head.scenario:
        return
    changed = [
        # A text may be a secret, so only its name is told.
        key if isinstance(before or after, str) else _both(key, before, after)
        for key, before, after in _settings(base.settings, head.settings)
        if key.partition(".")[0] not in NOT_COMPARED
    ]
    yield from changed[:SETTINGS]
    if len(changed) > SETTINGS:
        yield f"{len(changed) - SETTINGS} more settings"


def _command(run: Run) -> str:
    return _OWN_FILES.sub("", " ".join(run.command))


def _settings(
    base: Mapping[str, object], head: Mapping[str, object], prefix: str = ""
) -> Iterator[tuple[str, object, object]]:
    for key in dict.fromkeys((*base, *head)):
        before, after = base.get(key), head.get(key)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            yield from _settings(before, after, f"{prefix}{key}.")
        elif before != after:
            yield prefix + key, before, after


def _both(name: str, before: object, after: object) -> str:
    return f"{name} ({_brief(before)}, {_brief(after)})"


def _brief(value: object) -> str:
    if isinstance(value, list | Mapping):
        return f"{len(value)} of them" if value else "none"
    text = "none" if value in (None, "") else str(value)
    return text if len(text) <= LETTERS else f"{text[:LETTERS]}…"
