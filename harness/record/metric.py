"""The figures of ``report.json`` that an expectation can name, with their units and meanings.

`scenario.py` accepts and `read/` computes exactly these keys. A key is a dotted path into report.json, except
that ``blocks`` stands for the whole list, and ``<name>`` for the name of a span.
"""

from __future__ import annotations

from dataclasses import dataclass

NAME = "<name>"


@dataclass(frozen=True, slots=True)
class Metric:
    """One number of a report."""

    key: str
    unit: str  # "s", "ms", "Hz", "ratio" (of 1), "count"
    meaning: str

    def matches(self, key: str) -> bool:
        """Whether *key* is this figure; ``<name>`` matches any non-empty name."""
        before, name, after = self.key.partition(NAME)
        if not name:
            return key == self.key
        return key.startswith(before) and key.endswith(after) and len(key) > len(before) + len(after)


FIGURES = (
    Metric("run.duration_s", "s", "from the start of the run to its end"),
    Metric("run.cpu_s", "s", "CPU time of the processes that ran a loop, from their start to their end"),
    Metric("load.offered", "count", "requests that were due"),
    Metric("load.sent", "count", "requests that left the driver"),
    Metric("load.completed", "count", "requests that were answered, or whose message was settled"),
    Metric("load.failed", "count", "requests that failed, or were never answered"),
    Metric("load.late_ms.p50", "ms", "how late the driver sent, median"),
    Metric("load.late_ms.p99", "ms", "how late the driver sent, 99th percentile"),
    Metric("load.late_ms.max", "ms", "how late the driver sent, worst"),
    Metric("load.latency_ms.p50", "ms", "from the intended send time to the answer, median"),
    Metric("load.latency_ms.p90", "ms", "from the intended send time to the answer, 90th percentile"),
    Metric("load.latency_ms.p95", "ms", "from the intended send time to the answer, 95th percentile"),
    Metric("load.latency_ms.p99", "ms", "from the intended send time to the answer, 99th percentile"),
    Metric("load.latency_ms.p999", "ms", "from the intended send time to the answer, 99.9th percentile"),
    Metric("load.latency_ms.max", "ms", "from the intended send time to the answer, worst"),
    Metric("load.warm_up", "count", "requests that were due in the warm-up, which no other figure has"),
    Metric(f"load.tag.{NAME}.sent", "count", "requests with this tag that left the driver"),
    Metric(f"load.tag.{NAME}.completed", "count", "requests with this tag that were answered"),
    Metric(f"load.tag.{NAME}.failed", "count", "requests with this tag that failed"),
    *(
        Metric(f"load.tag.{NAME}.latency_ms.{key}", "ms", f"latency of requests with this tag, {which}")
        for key, which in (
            *(("p50", "median"), ("p90", "90th percentile"), ("p95", "95th percentile")),
            *(("p99", "99th percentile"), ("p999", "99.9th percentile"), ("max", "worst")),
        )
    ),
    Metric("loop.turns", "count", "turns of the event loop"),
    Metric("loop.busy_ratio", "ratio", "share of time that the loop spent in turns"),
    Metric("loop.lag_ms.p50", "ms", "delay of work due at a random moment, median"),
    Metric("loop.lag_ms.p99", "ms", "delay of work due at a random moment, 99th percentile"),
    Metric("loop.lag_ms.max", "ms", "the longest turn"),
    Metric("loop.tasks.started", "count", "tasks that were started"),
    Metric("loop.tasks.finished", "count", "tasks that ended"),
    Metric("loop.tasks.leaked", "count", "tasks in groups that grew until the end"),
    Metric("loop.tasks.destroyed_pending", "count", "pending tasks that were garbage-collected"),
    Metric("blocks.count", "count", "blocks of the loop"),
    Metric("blocks.max_held_ms", "ms", "the longest block, 0 if there is none"),
    Metric("blocks.total_ms", "ms", "total duration of all blocks"),
    Metric("blocks.victims", "count", "tasks and callbacks that were due during a block"),
    Metric("calls.new", "count", "sites of synchronous calls that are neither allowed nor known"),
    Metric("spans.recorded", "count", "spans in the record"),
    Metric("spans.dropped", "count", "spans that did not reach the record"),
    Metric("spans.orphans", "count", "spans whose parent is not in the record"),
    Metric(f"spans.by_name.{NAME}.count", "count", "spans of this name"),
    Metric(f"spans.by_name.{NAME}.p50_ms", "ms", "duration of spans of this name, median"),
    Metric(f"spans.by_name.{NAME}.p99_ms", "ms", "duration of spans of this name, 99th percentile"),
    Metric("ledger.published", "count", "messages that were published"),
    Metric("ledger.acked", "count", "messages that were acknowledged"),
    Metric("ledger.nacked", "count", "deliveries that were returned to the queue"),
    Metric("ledger.redelivered", "count", "deliveries after the first"),
    Metric("ledger.duplicated", "count", "messages that were handled more than once"),
    Metric("ledger.lost", "count", "messages that are in no queue and in no ledger"),
    Metric("ledger.dead_lettered", "count", "messages that were moved to the dead letters"),
    Metric("ledger.waiting", "count", "messages still in the queue when the target ended"),
    Metric("ledger.acked_unsaved", "count", "messages acknowledged although nothing was saved"),
    Metric("ledger.drain_s", "s", "from the stop signal to the end"),
    Metric("profile.sampler_hz", "Hz", "requested samples per second"),
    Metric("profile.reached_hz", "Hz", "achieved samples per second"),
    Metric("profile.samples", "count", "samples taken"),
    Metric("profile.lost", "count", "samples that could not be taken"),
    Metric("overhead.cpu_ratio", "ratio", "CPU time, as a multiple of that without the probe"),
    Metric("overhead.probe_cpu_s", "s", "CPU time of the probe"),
    Metric("overhead.events_dropped", "count", "events that did not reach the record"),
)


def neighbours(key: str) -> str:
    """The known figures of the group that *key* begins with, or the groups if it is none of them."""
    groups: dict[str, list[str]] = {}
    for figure in FIGURES:
        group, _, rest = figure.key.partition(".")
        groups.setdefault(group, []).append(rest)
    group = key.partition(".")[0]
    if group in groups:
        return f"Figures of {group}: {', '.join(f'{group}.{rest}' for rest in groups[group])}."
    return f"Figures begin with one of: {', '.join(groups)}."


def why_absent(key: str, *, load: bool, ledger: bool, calls: bool, sampler: bool) -> str:
    """Why a run made so cannot have the figure *key*; "" if it can.

    Args:
        load: It has load.
        ledger: Its target keeps a ledger of messages, as the chaos service does.
        calls: Synchronous calls are counted.
        sampler: A sampler runs.
    """
    group, _, name = key.partition(".")
    if group == "load" and not load:
        return "there is no load"
    if group == "ledger" and not ledger:
        return "only the chaos service has a ledger"
    if group == "calls" and not calls:
        return "synchronous calls are not counted"
    if group == "profile" and name != "samples" and not sampler:
        return "nothing is sampled"
    if key in ("loop.tasks.started", "loop.tasks.finished"):
        return "tasks are not counted one by one"
    return ""


def find(key: str) -> Metric | None:
    """The figure that *key* names, or None."""
    return next((figure for figure in FIGURES if figure.matches(key)), None)
