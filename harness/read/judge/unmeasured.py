"""Why a figure of this run is null, in a few words, for conditions that are about it."""

from __future__ import annotations

from ...record.metric import find
from ..evidence import Evidence
from ..figures.block_totals import unrecorded
from ..figures.target import unwatched
from ..figures.task import CENSUS
from ..units import plural


def why(evidence: Evidence, key: str) -> str:
    """The reason why the figure *key* was not measured; general where the record does not tell."""
    if find(key) is None:
        return "this version knows no such figure"
    history = evidence.history
    # The verdict and a finding have the rest: which process, and what to do.
    unseen = unwatched(history).partition(":")[0]
    match key.split("."):
        case ["load", *_]:
            if evidence.load is None:
                return "the run had no load"
            if key.startswith("load.tag."):
                return "no request with this tag was answered"
            return "no request was answered" if evidence.load.sent else "no request was sent"
        case ["loop", "tasks", "started" | "finished"]:
            return "tasks are not counted one by one"
        case ["loop" | "blocks", *_] if unseen:
            return unseen
        case ["loop", "turns" | "busy_ratio" | "lag_ms", *_] if kind := evidence.loop.untimed:
            return f"it cannot be measured under {kind}"
        case ["loop", "tasks", _]:
            if early := history.left_out(CENSUS):
                return f"the tasks were not counted to the end: {early}"
            return "no census of the tasks was taken"
        case ["blocks", *_]:
            turns = plural(unrecorded(history, evidence.loop), "late turn")
            return f"{turns} counted by the loop, but not recorded"
        case ["spans", *_] if evidence.spans.recorded is None:
            return unseen or "the program does not use the OpenTelemetry SDK"
        case ["spans", "by_name", *_]:
            return "no span of this name was recorded"
        case ["ledger", *_]:
            return "the run has no ledger of messages"
        case ["calls", _]:
            return unseen or "synchronous calls were not counted"
        case ["profile", *_]:
            return unseen or "no sampler ran"
        case ["run", "cpu_s"]:
            return unseen or "a process did not exit cleanly"
        case ["overhead", _]:
            return evidence.overhead.unknown or "it is not known"
    return unseen or "it is not in the record"
