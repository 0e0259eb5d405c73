"""The service's health: its loop's heartbeat, the broker's last answer and the circuits."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ..errors import StorageError
from ..ports import Broker
from .metrics import record_lag

log = logging.getLogger(__name__)

# Heartbeat interval; shorter blocks of the loop are not worth a metric.
BEAT_S = 0.05
# Lateness of the heartbeat from which the loop counts as blocked.
HELD_S = 1.0
# Interval of asking the broker for its pending messages, and the time it has to answer.
ASK_S = 2.0
ANSWER_S = 2.0
# Two answers in a row may be missing.
SILENT_S = 3 * ASK_S


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is wrong, if anything, and the facts."""

    wrong: tuple[str, ...]
    facts: Mapping[str, object] = field(default_factory=dict)

    def to_json(self) -> dict[str, object]:
        return {"status": "failing" if self.wrong else "ok", "wrong": list(self.wrong), **self.facts}


class Health:
    """Written by the loop's thread; may be read from any thread.

    Attributes:
        phase: What the service is doing: ``starting``, ``consuming``, ``draining``, or what it waits for.
        facts: Returns further fields of `whole`.
        circuits: Returns the states of the circuits, by dependency.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.phase = "starting"
        self.facts: Callable[[], Mapping[str, object]] = dict
        self.circuits: Callable[[], Mapping[str, str]] = dict
        self.pending: int | None = None  # messages in the broker, by its last answer
        self.busy = 0.0  # share of the last interval in which the loop's thread was running on a CPU
        self._clock = clock
        self._beat_s = clock()
        self._answer_s = clock()

    @property
    def lag_s(self) -> float:
        """How late the loop's heartbeat is right now."""
        return max(0.0, self._clock() - self._beat_s - BEAT_S)

    def alive(self) -> Judgement:
        """Whether the loop runs; a blocked loop is the only fault that a restart cures."""
        return Judgement(tuple(self._held()))

    def ready(self) -> Judgement:
        """Whether messages are consumed."""
        return Judgement((*self._held(), *self._phase()))

    def whole(self) -> Judgement:
        """Whether everything is well, with all facts."""
        return Judgement(
            (*self._held(), *self._phase(), *self._silent(), *self._open()),
            {"phase": self.phase, "pending": self.pending, "circuits": self.circuits(), **self.facts()},
        )

    async def beat(self) -> None:
        """Beat forever."""
        self._beat_s = self._clock()
        used_s = time.thread_time()
        while True:
            await asyncio.sleep(BEAT_S)
            now_s, before_s = self._clock(), self._beat_s
            record_lag(max(0.0, now_s - before_s - BEAT_S))
            self._beat_s, used_before_s, used_s = now_s, used_s, time.thread_time()
            self.busy = min(1.0, (used_s - used_before_s) / (now_s - before_s))

    async def ask(self, broker: Broker) -> None:
        """Ask the broker forever for its pending messages."""
        self._answer_s = self._clock()
        while True:
            try:
                async with asyncio.timeout(ANSWER_S):
                    self.pending = await broker.pending()
                self._answer_s = self._clock()
            except (StorageError, TimeoutError) as exc:
                log.debug("broker does not answer", extra={"error": repr(exc)})
            await asyncio.sleep(ASK_S)

    def _held(self) -> list[str]:
        return [f"loop held for {self.lag_s:.1f} s"] if self.lag_s >= HELD_S else []

    def _phase(self) -> list[str]:
        return [] if self.phase == "consuming" else [self.phase]

    def _silent(self) -> list[str]:
        silent_s = self._clock() - self._answer_s
        known = self.phase in ("consuming", "draining") and silent_s >= SILENT_S
        return [f"broker silent for {silent_s:.0f} s"] if known else []

    def _open(self) -> list[str]:
        return [f"circuit of {name} {state}" for name, state in self.circuits().items() if state != "closed"]
