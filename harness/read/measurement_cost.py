"""What the measurement cost and lost, in one line of text for the terminal and Markdown."""

from __future__ import annotations

from .report import Report
from .units import percent, plural


def line(document: Report) -> str:
    """``CPU ×1.016, the probe used 0.041 s; 0 events dropped``, or why that is not known."""
    cost, waits = document.overhead, document.waits
    if cost.cpu_ratio is not None:
        text = f"CPU ×{cost.cpu_ratio:.3f}, the probe used {cost.probe_cpu_s or 0:.3f} s"
    elif cost.unknown:
        text = f"not measured: {cost.unknown}"
    else:
        text = "not measured: the target used too little CPU time"
    if waits is not None and waits.spans:
        text += f"; {percent(waits.share)} of traces decomposed, {plural(waits.dropped, 'step')} dropped"
    elif waits is not None:
        text += "; no span to decompose"
    if cost.events_dropped is not None:
        text += f"; {plural(cost.events_dropped, 'event')} dropped"
    elif cost.cpu_ratio is not None:
        text += f"; events dropped: unknown, {cost.unknown}"
    return text
