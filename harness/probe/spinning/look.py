"""A series of sights of a busy loop, and what they tell together.

A loop spins if the same task or callback is about to run at nearly each sight because it has scheduled
itself; if most of the time nothing else is; if its state stays the same; and if it hardly takes longer than a
turn that does nothing. A loop with work lacks at least one of these: its requests come and go, its workers
wake each other, what it iterates over advances, or it computes.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from time import thread_time_ns

from ...record.value import Row
from .number_series import NumberSeries
from .sight import Key, QueueSight, Runner
from .spinner import Spinner
from .work_state import WorkState

SIGHTS = 16
# A sight that finds a callback running knows nothing of its state: so many may be needed.
MOST_SIGHTS = 40
# The shares of the sights: in which it is about to run, in which nothing else is, and of the pairs of sights
# between which it may have got on. One that is woken must be alone: two that work for each other are not.
PRESENT, ALONE, ALONE_WOKEN, GOT_ON = 0.8, 0.3, 0.8, 0.15
COMPARED = 5
# Each sight is followed by another one that is this many turns later at most: what changes between them in
# this share of the pairs is changed by the work itself, and not now and then by others.
NEAR_TURNS, OWN = 200, 0.3
# A task that waits for more than this many others at once has given them work.
AT_ONCE = 2
# The work of a step, in such turns of a loop of nothing.
STEPS = 12
# A bare turn of a loop takes about this many passes of a loop of Python.
PASSES, MEASURED = 130, 500


class Found(Row):
    """What spins."""

    spinner: Spinner
    alone: float  # the share of the sights in which nothing else was about to run
    times: int  # of its steps or calls in a turn


class Changes:
    """What has changed between pairs of sights."""

    def __init__(self) -> None:
        self.pairs = 0
        self._numbers: Counter[int] = Counter()
        self._details = 0

    def add(self, state: object, before: object) -> None:
        """Add a pair of states, if both are known."""
        if isinstance(state, WorkState) and isinstance(before, WorkState):
            self.pairs += 1
            self._numbers.update(state.changed(before))
            self._details += state.details != before.details or state.is_beyond(before)

    def has(self, ways: set[int]) -> bool:
        """Whether the details, or one of these numbers, have changed nearly each time."""
        most = max([self._details, *(self._numbers[way] for way in ways)])
        return most > OWN * self.pairs


class Look:
    """One look at a loop, which takes `SIGHTS` sights."""

    def __init__(self) -> None:
        self._sights = 0
        self._present: dict[Key, int] = defaultdict(int)
        self._behind: dict[Key, int] = defaultdict(int)  # it, or a task for which it waits
        # Of each sight: what was about to run, but for timers, with what waits for it; and the strangers.
        self._lone: list[tuple[dict[Key, Key | None], int]] = []
        self._steps: dict[Key, int] = defaultdict(int)
        self._woken: set[Key] = set()
        self._states: dict[tuple[Key, object], object] = {}
        self._compared: dict[Key, int] = defaultdict(int)
        self._got_on: dict[Key, int] = defaultdict(int)
        self._series: dict[tuple[Key, object], NumberSeries] = defaultdict(NumberSeries)
        self._near: dict[tuple[Key, object], Changes] = defaultdict(Changes)
        self._far: dict[tuple[Key, object], Changes] = defaultdict(Changes)
        self._latest: QueueSight | None = None

    @property
    def describes(self) -> bool:
        """Whether the next sight may be the last, and must describe what runs."""
        return self._sights >= SIGHTS - 1

    def add(self, sight: QueueSight) -> bool:
        """Add a sight; false if no more are needed."""
        self._sights += 1
        self._latest = sight
        others = {key: one.root for key, one in sight.runners.items() if not one.is_timer}
        self._lone.append((others, sight.strangers))
        roots = (runner.root for runner in sight.runners.values() if runner.root is not None)
        for behind in {*sight.runners, *roots}:
            self._behind[behind] += 1
        for key, runner in sight.runners.items():
            self._present[key] += 1
            self._steps[key] += runner.times
            if runner.is_woken:
                self._woken.add(key)
            self._compare(key, runner, sight)
        if self._sights < SIGHTS:
            return True
        # The last one must describe what spins, so nothing may have been running.
        own = self._own()
        is_known = own and all(self._compared[key] >= COMPARED and self._is_followed(key) for key in own)
        is_described = any(sight.runners[key].spinner for key in own if key in sight.runners)
        return bool(own) and not (is_known and is_described) and self._sights < MOST_SIGHTS

    def add_near(self, sight: QueueSight) -> None:
        """Add what a sight soon after the latest one has seen."""
        latest = self._latest
        if latest is None or not latest.is_whole or not 0 < sight.turns - latest.turns <= NEAR_TURNS:
            return
        for key, runner in sight.runners.items():
            before = latest.runners.get(key)
            if before is not None and before.place == runner.place:
                self._near[key, runner.place].add(runner.state, before.state)

    def judge(self, sight: QueueSight, turns: int, cpu_ns: int) -> Found | None:
        """What spun, if anything did; *sight* is the last, and the rest are counts since the first."""
        if turns < SIGHTS:
            return None
        own = self._own()
        woken = [key for key in own if key in self._woken]
        if not own or (woken and len(own) > 1) or any(map(self._gets_on, own)):
            return None
        alone = (
            sum(not strangers and self._is_only(keys, own) for keys, strangers in self._lone) / self._sights
        )
        if alone < (ALONE_WOKEN if woken else ALONE):
            return None
        steps = sum(self._steps[key] for key in own) / self._sights
        if woken and steps > AT_ONCE:
            return None
        if cpu_ns > turns * max(1.0, steps) * STEPS * bare_turn_ns():
            return None
        said = next(
            (runner.spinner for key in own if (runner := sight.runners.get(key)) and runner.spinner), None
        )
        return Found(said, alone, max(1, round(steps))) if said is not None else None

    def _own(self) -> list[Key]:
        """What ran, or was about to, at nearly each sight; else what waits for short tasks all the time."""
        most = PRESENT * self._sights
        own = [key for key, times in self._present.items() if times >= most]
        return own or [key for key, times in self._behind.items() if times >= most]

    def _compare(self, key: Key, runner: Runner, sight: QueueSight) -> None:
        state, before = runner.state, self._states.get((key, runner.place))
        if state is None:
            return
        self._states[key, runner.place] = state
        if isinstance(state, WorkState) and sight.is_whole:
            self._series[key, runner.place].add(sight.at_ns, sight.turns, state.numbers)
        if before is None:
            return
        self._compared[key] += 1
        if isinstance(state, WorkState) and isinstance(before, WorkState):
            self._got_on[key] += state.is_beyond(before)
            self._far[key, runner.place].add(state, before)
        else:
            self._got_on[key] += state != before

    def _is_only(self, runners: dict[Key, Key | None], own: list[Key]) -> bool:
        """Whether nothing else was there that came again: a task that is made at each turn does not."""
        others = (key for key, root in runners.items() if key not in own and root not in own)
        return all(self._present[key] == 1 for key in others)

    def _gets_on(self, key: Key) -> bool:
        compared = self._compared[key]
        if compared < COMPARED or self._got_on[key] > GOT_ON * compared or not self._is_followed(key):
            return True
        return any(self._computes(*one) for one in tuple(self._series) if one[0] == key)

    def _is_followed(self, key: Key) -> bool:
        """Whether enough is known of its numbers; those of a file are the kernel's."""
        every = [series for one, series in self._series.items() if one[0] == key]
        return not every or max(series.points for series in every) >= COMPARED

    def _computes(self, key: Key, place: object) -> bool:
        """Whether the work there changes something at its turns that is no count of them."""
        changes = self._near[key, place]
        if changes.pairs < COMPARED:
            # On a busy machine, the loop makes many turns before this thread runs again.
            changes = self._far[key, place]
        return changes.pairs >= COMPARED and changes.has(self._series[key, place].computed())


def bare_turn_ns() -> float:
    """About how long a turn takes here in which nothing is done."""
    fastest = None
    for _ in range(3):
        began_ns = thread_time_ns()
        for _ in range(MEASURED):
            pass
        took_ns = thread_time_ns() - began_ns
        fastest = took_ns if fastest is None else min(fastest, took_ns)
    return (fastest or 1) * PASSES / MEASURED
