"""The faults in force in this process. Each acts in one function, named ``module:qualified.name``.

Listing faults needs this module only; the code that carries them out is imported with the first fault.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ...record.observation import Observation
    from .injected_fault import InjectedFault


class FaultInjector:
    """Answers the requests of the runner and the console to inject and heal faults."""

    def __init__(self, write: Callable[[Observation], object]) -> None:
        self._write = write
        self._active: dict[str, InjectedFault] = {}
        self._lock = threading.Lock()

    def inject(self, request: dict[str, Any]) -> None:
        """Put a fault in force; *request* has the fields of `Fault.to_request`, and a ``seed``.

        Raises:
            ValueError: The kind is unknown, or the id is in force already.
            LookupError: The program has nothing with that name.
            TypeError: The object with that name is not a Python function, or a parameter is wrong.
        """
        from ...record.fault.fault import Fault
        from .injected_fault import InjectedFault

        injected = InjectedFault(Fault.from_request(request), request.get("seed", 0), self._write)
        fault_id = injected.fault.id
        with self._lock:
            if fault_id in self._active:
                raise ValueError(f"fault {fault_id} is in force already")
            injected.plant()
            self._active[fault_id] = injected

    def heal(self, request: dict[str, Any]) -> dict[str, Any]:
        """Undo the fault ``id``; ``fired`` in the answer is how often it took effect."""
        with self._lock:
            if (injected := self._active.pop(request["id"], None)) is None:
                return {"fired": 0}
            injected.undo()
            return {"fired": injected.fired}

    def in_force(self, _request: dict[str, Any]) -> dict[str, Any]:
        """The ``faults`` in force: ``id``, ``kind``, ``place``, ``fired``."""
        return {
            "faults": [
                {"id": each.fault.id, "kind": each.fault.kind, "place": each.fault.place, "fired": each.fired}
                for each in tuple(self._active.values())
            ]
        }

    def heal_all(self) -> None:
        """Undo every fault, at the end of the process and in a child after `fork`."""
        # Without the lock: in a child, the thread that held it may not exist.
        while self._active:
            self._active.popitem()[1].undo()
