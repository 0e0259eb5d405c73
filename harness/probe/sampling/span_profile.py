"""pyinstrument profiles of single spans, for a close look at one message or request of the target.

Profiles follow one task only (``async_mode="strict"``): the looser mode attributes a third of other tasks'
blocking to it. pyinstrument comes from the target's own environment. It slows down a loop that calls many
functions by half or more, so only one span is profiled at a time, and few in all.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ...record.clock import monotonic_ns
from ...record.hidden_thread import roomy_stacks
from ...record.observation import ArtefactWritten, Observation
from ...record.probe_config import ProbeConfig
from ...record.run_folder import RunFolder
from ..feature import Feature

if TYPE_CHECKING:
    from ..session import ProbeSession

# The first spans of a process, which include lazy imports, are not profiled.
WARM_UP = 5
# Seconds between two samples; a message takes about ten milliseconds.
INTERVAL_S = 0.0005
# The most profiles to keep, if spans are chosen by their duration or by `profile_every`.
KEPT = 10
# A process that ends waits this long for a profile that is being written.
WRITE_WITHIN_S = 2.0


class SpanProfile(Feature):
    """Profiles spans of one name after the warm-up: the first, or those that the configuration chooses.

    Raises:
        ImportError: The target's environment has no pyinstrument.
    """

    def __init__(
        self,
        config: ProbeConfig,
        folder: RunFolder,
        write: Callable[[Observation], object],
        on_error: Callable[[str, BaseException], None],
    ) -> None:
        from pyinstrument import Profiler

        self._new_profiler = Profiler
        self._config = config
        self._folder = folder
        self._write = write
        self._on_error = on_error
        self._seen = 0
        self._left = KEPT if config.profile_every > 1 or config.profile_slower_ms > 0 else 1
        self._profiler: Any = None
        self._span_id = 0
        self._writing: threading.Thread | None = None

    def span_began(self, span: Any) -> None:
        if span.name != self._config.profile_span or not self._left:
            return
        self._seen += 1
        is_chosen = self._seen > WARM_UP and (self._seen - WARM_UP - 1) % self._config.profile_every == 0
        # Two at once would include each other's work; pyinstrument refuses that in one thread.
        if is_chosen and self._profiler is None:
            self._span_id = span.get_span_context().span_id
            self._profiler = self._new_profiler(interval=INTERVAL_S, async_mode="strict")
            self._profiler.start()

    def span_ended(self, span: Any) -> None:
        ids = span.get_span_context()
        if self._profiler is None or ids.span_id != self._span_id:
            return
        profiler, self._profiler = self._profiler, None
        profiler.stop()
        took_ms = (span.end_time - span.start_time) / 1e6
        if took_ms < self._config.profile_slower_ms:
            return
        self._left -= 1
        # In a thread: rendering the page would block the loop.
        writing = threading.Thread(
            target=self._write_profile,
            args=(profiler, f"{ids.trace_id:032x}", f"{ids.span_id:016x}", took_ms),
            name="harness-profile",
            daemon=True,
        )
        self._writing = writing
        with roomy_stacks():
            writing.start()

    def leave(self) -> None:
        """Wait for the profile that is being written."""
        if self._writing is not None:
            self._writing.join(WRITE_WITHIN_S)

    close = leave

    def abandon(self) -> None:
        profiler, self._profiler = self._profiler, None
        if profiler is not None:
            profiler.stop()

    def _write_profile(self, profiler: Any, trace_id: str, span_id: str, took_ms: float) -> None:
        try:
            path = self._folder.artefacts / f"pyinstrument-{trace_id}-{span_id}.html"
            path.write_text(profiler.output_html(), encoding="utf-8")
            # Also in pyinstrument's own format, for ``pyinstrument --load``.
            profiler.last_session.save(str(path.with_suffix(".pyisession")))
            note = f"span {self._config.profile_span} of trace {trace_id}, {took_ms:.1f} ms"
            written = str(path.relative_to(self._folder.path))
            self._write(ArtefactWritten(monotonic_ns(), "pyinstrument", written, note))
        except BaseException as exc:
            self._on_error("profile", exc)


def create(session: ProbeSession) -> Feature:
    return SpanProfile(session.config, session.folder, session.write, session.failed)
