"""The figures of ``report.json`` that an expectation can name, each with its unit and meaning.

`scenario.py` accepts exactly these keys and `read/` computes exactly these. A key is the dotted path into
report.json, but the list of blocks is summed up, and a span goes by its name, for which ``<name>`` stands.
"""

from __future__ import annotations

from dataclasses import dataclass

NAME = "<name>"


@dataclass(frozen=True, slots=True)
class Figure:
    """One number of a report."""

    key: str
    unit: str  # "s", "ms", "Hz", "ratio" (of 1), "count"
    meaning: str

    def matches(self, key: str) -> bool:
        """Whether *key* is this figure, with any name where the pattern has one."""
        before, name, after = self.key.partition(NAME)
        if not name:
            return key == self.key
        return key.startswith(before) and key.endswith(after) and len(key) > len(before) + len(after)


FIGURES = (
    Figure("run.duration_s", "s", "from the start of the run to its end"),
    Figure("load.offered", "count", "requests that were due"),
    Figure("load.sent", "count", "requests that left the driver"),
    Figure("load.completed", "count", "requests that were answered, or whose message settled"),
    Figure("load.failed", "count", "requests that failed, or were never answered"),
    Figure("load.late_ms.p50", "ms", "how late the driver sent, median"),
    Figure("load.late_ms.p99", "ms", "how late the driver sent, 99th percentile"),
    Figure("load.late_ms.max", "ms", "how late the driver sent, worst"),
    Figure("load.latency_ms.p50", "ms", "from the intended send time to the answer, median"),
    Figure("load.latency_ms.p90", "ms", "from the intended send time to the answer, 90th percentile"),
    Figure("load.latency_ms.p95", "ms", "from the intended send time to the answer, 95th percentile"),
    Figure("load.latency_ms.p99", "ms", "from the intended send time to the answer, 99th percentile"),
    Figure("load.latency_ms.p999", "ms", "from the intended send time to the answer, 99.9th percentile"),
    Figure("load.latency_ms.max", "ms", "from the intended send time to the answer, worst"),
    Figure("loop.turns", "count", "turns of the event loop"),
    Figure("loop.busy_ratio", "ratio", "share of the time in which the loop was in a turn"),
    Figure("loop.lag_ms.p50", "ms", "how late something due at a random moment starts, median"),
    Figure("loop.lag_ms.p99", "ms", "how late something due at a random moment starts, 99th percentile"),
    Figure("loop.lag_ms.max", "ms", "the longest turn"),
    Figure("loop.tasks.started", "count", "tasks that were started"),
    Figure("loop.tasks.finished", "count", "tasks that ended"),
    Figure("loop.tasks.leaked", "count", "tasks that nobody ended"),
    Figure("loop.tasks.destroyed_pending", "count", "tasks that were collected before their end"),
    Figure("blocks.count", "count", "blocks of the loop"),
    Figure("blocks.max_held_ms", "ms", "the longest block, 0 without one"),
    Figure("blocks.total_ms", "ms", "all blocks together"),
    Figure("blocks.victims", "count", "those who were due and had to wait for a block to end"),
    Figure("calls.new", "count", "places of synchronous calls on the loop, neither allowed nor known"),
    Figure("spans.recorded", "count", "spans in the record"),
    Figure("spans.dropped", "count", "spans that were lost on the way to the record"),
    Figure("spans.orphans", "count", "spans whose parent is not in the record"),
    Figure(f"spans.by_name.{NAME}.count", "count", "spans of this name"),
    Figure(f"spans.by_name.{NAME}.p50_ms", "ms", "how long spans of this name took, median"),
    Figure(f"spans.by_name.{NAME}.p99_ms", "ms", "how long spans of this name took, 99th percentile"),
    Figure("ledger.published", "count", "messages that were published"),
    Figure("ledger.acked", "count", "messages that were acknowledged"),
    Figure("ledger.nacked", "count", "deliveries that were given back"),
    Figure("ledger.redelivered", "count", "deliveries after the first"),
    Figure("ledger.duplicated", "count", "messages that were handled more than once"),
    Figure("ledger.lost", "count", "messages that are nowhere any more"),
    Figure("ledger.dead_lettered", "count", "messages that were given up"),
    Figure("ledger.waiting", "count", "messages still in the queue when the target ended"),
    Figure("ledger.acked_unsaved", "count", "messages acknowledged although nothing was saved"),
    Figure("ledger.drain_s", "s", "from the stop signal to the end"),
    Figure("profile.sampler_hz", "Hz", "samples per second that were asked for"),
    Figure("profile.reached_hz", "Hz", "samples per second that were taken"),
    Figure("profile.samples", "count", "samples taken"),
    Figure("profile.lost", "count", "samples that could not be taken"),
    Figure("overhead.cpu_ratio", "ratio", "CPU time with the probe, as a multiple of that without"),
    Figure("overhead.probe_cpu_s", "s", "CPU time of the probe"),
    Figure("overhead.events_dropped", "count", "events that did not reach the record"),
)


def find(key: str) -> Figure | None:
    """The figure that *key* names, if there is one."""
    return next((figure for figure in FIGURES if figure.matches(key)), None)
