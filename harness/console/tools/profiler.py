"""The profilers that a console can switch on.

`begin` and `end` are short, and called on the loop's own thread. `text` takes longer than many blocks, and is
called in another thread.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from ...probe.loop.turns import Turns
from ...probe.sampling.sampler import Sampler
from ...record.observation import Frame, FrameTable, Observation, Sampled
from ...stacks import formats
from ...stacks.frame_table import FrameTables
from ..protocol.errors import CommandError

HZ = 200.0
# pyinstrument's. With it, a loop that calls many functions takes 1.5 to 3 times as long.
INTERVAL_S = 0.001
# Lines of each table of a text.
SHOWN = 25
# At most this many failures of the sampler are reported.
ERRORS = 5


class ConsoleProfiler(Protocol):
    """Profiles one loop once, from `begin` to `end`."""

    formats: tuple[str, ...]  # the first is the default

    def begin(self) -> None: ...

    def end(self) -> None: ...

    def text(self, form: str) -> str: ...


class SpanSampler:
    """The probe's own sampler: the running line, task and span, at a fixed rate. Always available."""

    formats: tuple[str, ...] = ("text", "collapsed", "speedscope")

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._events: list[Observation] = []
        self._errors: list[str] = []
        self._sampler: Sampler | None = None

    def begin(self) -> None:
        if self._turns.sampler is not None:
            raise CommandError("this run samples the loop already; see harness report")
        # Not in the record: calls have numbers there, which must not be assigned twice.
        self._sampler = Sampler(HZ, self._events.append, self._failed)
        self._sampler.begin(self._turns)

    def end(self) -> None:
        if self._sampler is not None:
            self._sampler.end(self._turns)
            # On this thread: a timer's signal is released where it was taken.
            self._sampler.stop()

    def text(self, form: str) -> str:
        if self._sampler is not None:
            self._sampler.close()
        text = _FORMS[form](_Samples(self._events))
        return "\n".join((text, *self._errors)) if form == "text" else text

    def _failed(self, where: str, error: BaseException) -> None:
        if len(self._errors) < ERRORS:
            self._errors.append(f"{where}: {type(error).__name__}: {error}")


class Pyinstrument:
    """pyinstrument, if the program's environment has it."""

    formats: tuple[str, ...] = ("html", "speedscope", "text")

    def __init__(self) -> None:
        try:
            from pyinstrument import Profiler
        except ImportError:
            raise CommandError(
                "the program's environment has no pyinstrument; --kind sampler needs nothing"
            ) from None
        # Not per context, which would leave out the other tasks of the loop.
        self._profiler: Any = Profiler(interval=INTERVAL_S, async_mode="disabled")

    def begin(self) -> None:
        if sys.getprofile() is not None:
            raise CommandError("another profiler runs in the loop's thread")
        try:
            self._profiler.start(target_description="the event loop's thread")
        except RuntimeError as exc:
            raise CommandError(f"pyinstrument: {exc}") from exc

    def end(self) -> None:
        self._profiler.stop()

    def text(self, form: str) -> str:
        from pyinstrument import renderers

        renderer: Any = {
            "html": renderers.HTMLRenderer,
            "speedscope": renderers.SpeedscopeRenderer,
            "text": partial(renderers.ConsoleRenderer, unicode=True),
        }[form]
        return str(self._profiler.output(renderer()))


class _Samples:
    """The samples of one profile, counted by stack, by task and by line."""

    def __init__(self, events: list[Observation]) -> None:
        tables = FrameTables()
        self.by_stack: Counter[tuple[Frame, ...]] = Counter()
        self.by_task: Counter[tuple[str, str]] = Counter()
        self.by_line: Counter[Frame] = Counter()
        for event in events:
            if isinstance(event, FrameTable):
                tables.add(event)
            elif isinstance(event, Sampled):
                stack = tables.stack(event.pid, event.stack)
                self.by_stack[stack] += event.count
                self.by_task[event.coroutine or event.thread, event.span] += event.count
                self.by_line[stack[-1]] += event.count
        self.total = self.by_stack.total()


def _as_text(samples: _Samples) -> str:
    lines = [f"{samples.total} samples of the busy loop and of its executors, {HZ:g} per second"]

    def table(title: str, counted: Counter[Any], describe: Callable[[Any], str]) -> None:
        lines.extend(("", title))
        lines.extend(f"{n / samples.total:7.1%}  {describe(key)}" for key, n in counted.most_common(SHOWN))

    if samples.total:
        table("by line:", samples.by_line, lambda at: f"{at.function}  {at.file}:{at.line}")
        table("by coroutine and span:", samples.by_task, lambda key: f"{key[0]}  {key[1] or '-'}")
    return "\n".join(lines) + "\n"


def _as_speedscope(samples: _Samples) -> str:
    stacks = [(stack, n / HZ) for stack, n in samples.by_stack.items()]
    return formats.speedscope([formats.SpeedscopeProfile("event loop", "seconds", stacks)])


_FORMS: dict[str, Callable[[_Samples], str]] = {
    "text": _as_text,
    "collapsed": lambda samples: formats.collapsed(samples.by_stack.items()),
    "speedscope": _as_speedscope,
}
