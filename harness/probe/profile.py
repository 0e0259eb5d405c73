"""A pyinstrument profile of one span: a deep dive into a single message or request of the target.

Strict about its task (``async_mode="strict"``): the looser mode puts a third of other tasks' blocking into
this one's profile. pyinstrument comes from the target's own environment.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from ..record.observation import ArtefactWritten, Observation
from ..record.run import RunFolder

# Spans that pass before one is profiled: the first ones of a process pay for lazy imports.
WARM_UP = 5
# Seconds between two looks; a message lasts some ten milliseconds.
INTERVAL_S = 0.0005


class SpanProfile:
    """Profiles the first span of one name after the warm-up, once.

    Raises:
        ImportError: The target's environment has no pyinstrument.
    """

    def __init__(
        self,
        span_name: str,
        folder: RunFolder,
        write: Callable[[Observation], object],
        on_error: Callable[[str, BaseException], None],
    ) -> None:
        from pyinstrument import Profiler

        self._new_profiler = Profiler
        self._span_name = span_name
        self._folder = folder
        self._write = write
        self._on_error = on_error
        self._seen = 0
        self._profiler: Any = None
        self._span_id = 0

    def on_start(self, span: Any) -> None:
        """A span begins, in its own task."""
        if span.name != self._span_name or self._span_id:
            return
        self._seen += 1
        if self._seen > WARM_UP:
            self._span_id = span.get_span_context().span_id
            self._profiler = self._new_profiler(interval=INTERVAL_S, async_mode="strict")
            self._profiler.start()

    def on_end(self, span: Any) -> None:
        """A span ends; if it was the profiled one, leave the profile behind."""
        if self._profiler is None or span.get_span_context().span_id != self._span_id:
            return
        profiler, self._profiler = self._profiler, None
        profiler.stop()
        trace_id = f"{span.get_span_context().trace_id:032x}"
        # A thread, not here: laying out the page takes longer than many a block.
        writing = threading.Thread(
            target=self._leave, args=(profiler, trace_id), name="harness-profile", daemon=True
        )
        writing.start()

    def _leave(self, profiler: Any, trace_id: str) -> None:
        try:
            path = self._folder.artefacts / f"pyinstrument-{trace_id}.html"
            path.write_text(profiler.output_html(), encoding="utf-8")
            note = f"span {self._span_name} of trace {trace_id}"
            self._write(
                ArtefactWritten(
                    time.monotonic_ns(), "pyinstrument", str(path.relative_to(self._folder.path)), note
                )
            )
        except Exception as exc:
            self._on_error("profile", exc)
