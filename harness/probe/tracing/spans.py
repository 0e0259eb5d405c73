"""Writes every finished OpenTelemetry span of the target to the record.

Each `TracerProvider` of the SDK that the target sets up gets one more processor. If the target does not
import OpenTelemetry, there are no spans, and no part of it is imported.
"""

from __future__ import annotations

import functools
import os
import time
from asyncio import current_task
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ...record import redact
from ...record.clock import monotonic_ns
from ...record.observation import SpanEnded
from ..hooks.hook import Hook, leave_out
from ..hooks.replacement import Replacement
from ..hooks.runtime import why_no_span_processor
from ..hooks.state import thread_state
from ..hooks.state.loop_state import running_loop

if TYPE_CHECKING:
    from ..session import ProbeSession

# Most attributes recorded per span, and most characters of a text.
ATTRIBUTES = 16
TEXT = 200
# Names of attributes repeat; this many are looked at only once.
ATTRIBUTE_NAMES = 512


def install_span_processor(sdk: ModuleType, session: Callable[[], ProbeSession | None]) -> None:
    """Add a processor to each `TracerProvider` of the module `opentelemetry.sdk.trace`."""
    hook = Hook("spans")
    leave_out(hook.name, reason := why_no_span_processor(sdk))
    if reason or not hook.is_on:
        return
    own = sdk.TracerProvider.__init__
    processor = _processor(sdk.SpanProcessor, session, hook)

    @hook.guarded
    def add(provider: Any) -> None:
        provider.add_span_processor(processor)
        if (open_now := session()) is not None:
            open_now.follow_hand_overs()

    @functools.wraps(own)
    def __init__(provider: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807
        own(provider, *args, **kwargs)
        add(provider)

    Replacement(hook, sdk.TracerProvider, "__init__", __init__)


def _processor(parent: type, session: Callable[[], ProbeSession | None], hook: Hook) -> Any:
    @hook.guarded
    def began(span: Any) -> None:
        if (open_now := session()) is not None:
            open_now.span_began(span)

    @hook.guarded
    def began_as_root(span: Any) -> None:
        if (open_now := session()) is not None:
            open_now.root_span_began(span)

    @hook.guarded
    def ended(span: Any) -> None:
        if (open_now := session()) is not None:
            open_now.span_ended(span)
            _record(open_now, span)

    class Recorder(parent):  # type: ignore[misc]  # the target's own SDK, known only there
        def on_start(self, span: Any, parent_context: Any = None) -> None:
            began(span)
            # With a given context or a link it is a root on purpose.
            if span.parent is None and parent_context is None and not span.links:
                began_as_root(span)

        def on_end(self, span: Any) -> None:
            ended(span)

    return Recorder()


def _record(session: ProbeSession, span: Any) -> None:
    ids, parent = span.get_span_context(), span.parent
    # Spans have wall-clock times; the record uses the monotonic clock.
    offset_ns = time.time_ns() - monotonic_ns()
    event = SpanEnded(
        name=span.name,
        kind=span.kind.name.lower(),
        trace_id=f"{ids.trace_id:032x}",
        span_id=f"{ids.span_id:016x}",
        parent_id=f"{parent.span_id:016x}" if parent is not None else "",
        start_ns=span.start_time - offset_ns,
        end_ns=span.end_time - offset_ns,
        status=span.status.status_code.name.lower(),
        thread=thread_state.name_of_this_thread(),
        attributes=_plain(span.attributes or {}),
        pid=os.getpid(),
        task=_running_task(),
    )
    if not session.write(event):
        session.spans_dropped += 1


def _running_task() -> str:
    loop = running_loop()
    task = current_task(loop) if loop is not None else None
    return task.get_name() if task is not None else ""


@functools.lru_cache(ATTRIBUTE_NAMES)
def _is_secret(name: str) -> bool:
    return redact.is_secret_name(name)


def _shown(name: str, text: str) -> str:
    """An attribute without secrets: headers by their name, and what a URL holds."""
    if _is_secret(name):
        return redact.HIDDEN
    return redact.redacted(text, 2 * TEXT) if "://" in text else text


def _plain(attributes: Any) -> dict[str, str | int | float | bool]:
    plain: dict[str, str | int | float | bool] = {}
    for key, value in attributes.items():
        if len(plain) >= ATTRIBUTES:
            break
        if isinstance(value, str):
            plain[key] = _shown(key, value)[:TEXT]
        elif isinstance(value, (bool, int, float)):
            plain[key] = value
    return plain
