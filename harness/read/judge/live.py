"""A process that judges itself while it runs, by the rules and with the first sentence of a report."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from ...record.event import Event
from ...record.page import Page
from ...record.run import Run
from ..calls.allowlist import Allowlist
from ..evidence import Evidence
from ..finding import Finding
from ..history import in_memory
from . import rulebook, verdict
from .outcome import judgement


@dataclass(frozen=True, slots=True)
class LiveJudgement:
    """What is known so far."""

    sentence: str  # the verdict: the gravest trouble, or that there is none
    findings: tuple[Finding, ...]  # worst first


def judge(
    run: Run,
    events: Iterable[Event],
    pages: Mapping[int, Page],
    *,
    now_ns: int,
    is_live: bool,
    pause: Callable[[], object] = int,
) -> LiveJudgement:
    """Judge the *events* of this process, whose loops' counters were read at *now_ns*.

    *is_live*: the process is still watched. *pause* is as in `Evidence`.
    """
    history = in_memory(run, events, pages, now_ns=now_ns, is_live=is_live)
    evidence = Evidence(history, Allowlist.of_run(run), pause)
    found = rulebook.findings(evidence)
    if not history.loops:
        return LiveJudgement("No loop has been watched yet.", found)
    return LiveJudgement(verdict.sentence(evidence, judgement(found, ()), found), found)
