"""One fault in force in this process: what it does to a call, and how often it did."""

from __future__ import annotations

import functools
import itertools
import random
import threading
from collections.abc import Callable

from ...record import hidden_thread
from ...record.clock import monotonic_ns
from ...record.fault import tally
from ...record.fault.fault import Fault
from ...record.observation import FaultFired, Observation
from ..hooks import hook
from ..hooks.hook import Hook
from . import active_fault, fault_site
from .fault_site import FaultSite
from .faulty_code import FaultyCodes


class InjectedFault:
    """A fault in this process; it can be planted once.

    Raises:
        ModuleNotLoadedError, LookupError, TypeError: As `FaultKind.prepare` and `fault_site.find`.
    """

    def __init__(self, fault: Fault, seed: str, write: Callable[[Observation], object]) -> None:
        self.fault = fault
        self._effect = fault.effect.prepare(fault_site.find_object)
        effect = self._effect
        act = functools.partial(effect.act, self._planted_call) if effect.acts_later else effect.act
        self._act = self._planted_call(act)
        self._sites: list[FaultSite] = fault_site.find(fault.place)
        self._dice = random.Random(seed)
        self._write = write
        self._planted = False
        self._put_back: list[Callable[[], None]] = []
        # Not numbers: several threads may call at once.
        self._calls, self._hits = itertools.count(1), itertools.count(1)
        self._tally = tally.create(None, fault.id)
        self._hook = Hook(f"fault {fault.id}")
        self._hook.when_undone(self.undo)

    @property
    def calls(self) -> int:
        """How often the function was called while the fault was in force."""
        return self._tally[tally.CALLS]

    @property
    def fired(self) -> int:
        """How many of these calls were hit."""
        return self._tally[tally.FIRED]

    @property
    def is_used_up(self) -> bool:
        """Whether it has hit as many calls as it may."""
        return self.fault.limit is not None and self.fired >= self.fault.limit

    def plant(self, codes: FaultyCodes, counts: memoryview) -> None:
        """Change the functions; *counts* are of `tally.create`.

        Raises:
            LookupError, TypeError: As `fault_site.find`, or the code cannot be changed.
        """
        if any(len(site.codes) > 1 for site in self._sites):
            self._sites = fault_site.find(self.fault.place)  # more functions may have been made since
        self._tally = counts
        self._planted = True
        try:
            for site in self._sites:
                wait = self._awaited if self._effect.waits is not None else None
                self._put_back.append(codes.plant(site, self._called, wait))
        except BaseException:
            self.undo()
            raise

    def undo(self) -> None:
        """Restore the functions; calls of changed code that is still running only go on."""
        self._planted = False
        try:
            while self._put_back:
                self._put_back.pop()()
        finally:
            try:
                self._effect.release()
            except Exception as exc:
                hook.failed(f"fault {self.fault.id}", exc)

    def _called(self) -> None:
        if self._is_surely_hit(threading.get_ident()):
            self._act()

    async def _awaited(self) -> None:
        waits = self._effect.waits
        # While it waits, other calls of the thread are the program's own: no fault acts there.
        if waits is not None and self._is_surely_hit(threading.get_ident()):
            await waits()

    def _is_surely_hit(self, ident: int) -> bool:
        """As `_is_hit`; an error in it undoes the fault."""
        try:
            return self._is_hit(ident)
        except BaseException as exc:
            if not self._hook.caught(exc):
                raise
            return False

    def _planted_call(self, function: Callable[..., object]) -> Callable[..., object]:
        """A call of *function*, in which this fault acts in its thread."""

        def planted_call(*args: object) -> None:
            ident = threading.get_ident()
            active_fault.begin(ident, self.fault.id)
            try:
                function(*args)
            finally:
                active_fault.end(ident)

        return planted_call

    def _is_hit(self, ident: int) -> bool:
        """Count a call in this thread, and decide whether it is hit."""
        fault = self.fault
        # What the fault or the probe itself calls is not the program's.
        if not self._planted or active_fault.fault_in(ident) or hidden_thread.is_here():
            return False
        self._tally[tally.CALLS] = next(self._calls)
        if self.is_used_up or self._dice.random() >= fault.probability or not self._effect.fits():
            return False
        number = next(self._hits)
        if fault.limit is not None and number > fault.limit:
            return False
        self._tally[tally.FIRED] = number
        self._write(FaultFired(at_ns=monotonic_ns(), id=fault.id))
        return True
