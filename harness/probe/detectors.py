"""What looks for trouble in every process that is watched, besides the timing of its loops."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..record.observation import Observation
from .alarm_clock import AlarmClock
from .feature import Feature
from .gauges.gauges import Gauges
from .hooks import hook
from .hooks.process import late_import
from .loop.turns import Turns
from .spinning.spins import SpinWatch
from .tasks.census import Census
from .tasks.losses import TaskLosses
from .threads.pool_watch import PoolWatch

# A look takes some milliseconds; longer where the machine is busy, or code holds the GIL.
JOIN_WITHIN_S = 2.0

# The parts of the probe, as they are named when they fail, without which blocks are found all the same.
PARTS = frozenset(
    {
        *("census", "tasks", "groups", "lost exceptions", "coroutines never awaited"),
        *("gauges", "wakeups", "children", "call taps", "pools", "spins", "late parts"),
    }
)


class Detectors:
    """The detectors of one process, each a feature of the probe."""

    def __init__(
        self,
        *,
        write: Callable[[Observation], object],
        running: Callable[[], Sequence[tuple[int, Turns]]],
        on_error: Callable[[str, BaseException], None],
        clock: AlarmClock,
        only_new: bool = False,
        more_ns: int = 0,
    ) -> None:
        """Begin to look, in threads of their own, which *clock* wakes.

        *running* are the loops that run now; *only_new* leaves out the tasks that have ended by now. The
        looks at tasks and gauges may each cost *more_ns* of CPU time beyond their share.
        """
        if not late_import.are_compiled():
            try:
                late_import.import_all()
            except BaseException as exc:
                if hook.is_the_programs(exc):
                    raise
                on_error("late parts", exc)
        self.losses = TaskLosses(write)
        self._census = Census(
            write=write,
            on_swallowed=self.losses.swallowed,
            on_error=on_error,
            clock=clock,
            only_new=only_new,
            more_ns=more_ns,
        )
        self._gauges = Gauges(write=write, running=running, on_error=on_error, clock=clock, more_ns=more_ns)
        self._pools = PoolWatch(write=write, on_error=on_error, clock=clock)
        self._spins = SpinWatch(write=write, on_error=on_error)
        self.features: tuple[Feature, ...] = (
            *(self.losses, self._census, self._gauges, self._pools, self._spins),
        )

    def count(self) -> None:
        """Count the tasks once more; what else is looked at is so when the features are closed."""
        self._census.count()

    def join(self) -> None:
        """Wait for the ends of the threads, after the features were closed: one may be in a look."""
        for detector in (self._census, self._gauges, self._pools, self._spins):
            if detector.thread is not None:
                detector.thread.join(timeout_s=JOIN_WITHIN_S)

    def look(self) -> None:
        """Look now at what is otherwise looked at from time to time; on any thread."""
        self._census.count()
        self._gauges.look()
