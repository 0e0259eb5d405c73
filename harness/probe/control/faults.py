"""The faults in force in this process. Each acts in one function, named ``module:qualified.name``.

Listing faults needs this module only; the code that carries them out is imported with the first fault.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ..hooks.import_hook import PostImportHook

if TYPE_CHECKING:
    from ...record.observation import Observation
    from .faulty_code import FaultyCodes
    from .injected_fault import InjectedFault


class FaultInjector:
    """Answers the requests of the runner and the console to inject and heal faults."""

    def __init__(
        self,
        write: Callable[[Observation], object],
        *,
        on_error: Callable[[str, BaseException], None],
        control: Path | None = None,
        number: int = 0,
    ) -> None:
        """*control* is the folder for the counts of calls; *number* tells the processes of a run apart."""
        self._write = write
        self._on_error = on_error
        self._control = control
        self._number = number
        self._codes: FaultyCodes | None = None
        self._active: dict[str, InjectedFault] = {}
        self._found: dict[str, InjectedFault] = {}  # by `find`, until they are injected
        self._waiting: dict[str, dict[str, Any]] = {}  # requests, until their modules are imported
        self._imports = PostImportHook()
        self._lock = threading.RLock()

    def find(self, request: dict[str, Any]) -> dict[str, Any]:
        """Find the function of a fault, without changing it, for an injection later.

        Returns:
            ``found``; if false, the module is not loaded, and ``importable`` says whether the program could.

        Raises:
            As `inject`.
        """
        from .module_lookup import ModuleNotLoadedError

        try:
            made = self._made(request)
        except ModuleNotLoadedError as exc:
            return {"found": False, "importable": exc.importable, "why": str(exc)}
        with self._lock:
            self._found[request["id"]] = made
        return {"found": True}

    def inject(self, request: dict[str, Any]) -> dict[str, Any]:
        """Put a fault in force; *request* has the fields of `Fault.to_request`, and a ``seed``.

        With ``wait``, a module that is not loaded yet gets the fault when it is imported, and ``planted`` in
        the answer is false.

        Raises:
            ValueError: The kind is unknown, or the id is in force already.
            LookupError: The program has nothing with that name.
            TypeError: The object with that name is not a Python function, or a parameter is wrong.
        """
        from ...record.fault import tally
        from .faulty_code import FaultyCodes
        from .module_lookup import ModuleNotLoadedError

        fault_id = request["id"]
        with self._lock:
            if fault_id in self._active or fault_id in self._waiting:
                if "wait" in request:  # the runner's: this process has read it from the board already
                    return {"planted": fault_id in self._active}
                raise ValueError(f"fault {fault_id} is in force already")
            try:
                injected = self._found.pop(fault_id, None) or self._made(request)
            except ModuleNotLoadedError:
                module = request["in"].partition(":")[0]
                if not request.get("wait") or module in sys.modules:
                    raise
                self._waiting[fault_id] = request
                self._imports.watch(module, "faults", self._imported)
                return {"planted": False}
            self._codes = self._codes or FaultyCodes()
            injected.plant(self._codes, tally.create(self._control, fault_id))
            self._active[fault_id] = injected
        return {"planted": True}

    def inject_when_loaded(self, request: dict[str, Any]) -> dict[str, Any]:
        """As `inject`, but wait while another thread of the program is importing the module."""
        from .module_lookup import ModuleNotLoadedError, wait_loaded

        module = request["in"].partition(":")[0]
        try:
            return self.inject(request)
        except ModuleNotLoadedError:
            if module not in sys.modules:
                raise
        # It is being imported, perhaps since a moment after it was looked for.
        wait_loaded(module)
        return self.inject(request)

    def take_over(self, request: dict[str, Any]) -> None:
        """Inject a fault that is in force in other processes; a refusal is left for the runner to read."""
        try:
            self.inject(request)
        except Exception as exc:
            from ...record.fault import tally

            if self._control is not None:
                tally.refuse(self._control, request["id"], str(exc.__cause__ or exc))
            self._on_error(f"fault {request['id']}", exc.__cause__ or exc)

    def heal(self, request: dict[str, Any]) -> dict[str, Any]:
        """Undo the fault ``id``; the answer has how often its function was called and hit here."""
        with self._lock:
            self._waiting.pop(request["id"], None)
            self._watch_waiting()
            if (injected := self._active.pop(request["id"], None)) is None:
                return {"fired": 0, "calls": 0}
            injected.undo()
            return {"fired": injected.fired, "calls": injected.calls}

    def in_force(self, _request: dict[str, Any]) -> dict[str, Any]:
        """The ``faults`` in force: ``id``, ``kind``, ``place``, ``calls``, ``fired``, ``used_up``."""
        return {
            "faults": [
                {
                    "id": each.fault.id,
                    "kind": each.fault.kind,
                    "place": each.fault.place,
                    "calls": each.calls,
                    "fired": each.fired,
                    "used_up": each.is_used_up,
                }
                for each in tuple(self._active.values())
            ]
        }

    def heal_all(self) -> None:
        """Undo every fault, at the end of the process and in a child after `fork`."""
        # Without the lock: in a child, the thread that held it may not exist.
        self._waiting.clear()
        self._watch_waiting()
        while self._active:
            self._active.popitem()[1].undo()

    def _made(self, request: dict[str, Any]) -> InjectedFault:
        from ...record.fault.fault import Fault
        from .injected_fault import InjectedFault

        # Each process has its own sequence of hits, the same in every run.
        seed = f"{request.get('seed', 0)}.{self._number}"
        return InjectedFault(Fault.from_request(request), seed, self._write)

    def _imported(self, module: ModuleType) -> None:
        with self._lock:
            ready = [r for r in self._waiting.values() if r["in"].partition(":")[0] == module.__name__]
            for request in ready:
                del self._waiting[request["id"]]
                self.take_over({**request, "wait": False})

    def _watch_waiting(self) -> None:
        self._imports.keep({request["in"].partition(":")[0] for request in self._waiting.values()})
