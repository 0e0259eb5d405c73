"""Calls the probe in a forked child, and keeps Python from warning of the probe's threads at a fork."""

from __future__ import annotations

import os
import sys
from _functools import partial  # type: ignore[import-not-found]  # the module behind `functools`
from _operator import call

from ..hook import Hook
from ..runtime import warns_about_fork

TYPE_CHECKING = False
if TYPE_CHECKING:
    # Every Python process of the target loads this file.
    from collections.abc import Callable

# What is called at forks; each list holds one function, and none after `forget_forks`.
_called: list[list[Callable[[], object]]] = []
# Python's warning about a fork with several threads begins so.
_WARNING = "This process (pid="
_ROOT = (__package__ or "").removesuffix(".probe.hooks.process")


def in_forked_child(step: Callable[[], object]) -> None:
    """Call *step* after each fork in the child, until `forget_forks`."""
    # Called again after an error, unlike other hooks: a child must release its parent's parts.
    caught = Hook("forked child").caught

    def in_child() -> None:
        try:
            step()
        except BaseException as exc:
            if not caught(exc):
                raise

    os.register_at_fork(after_in_child=_forgettable(in_child))


def around_forks(
    before: Callable[[], object], in_parent: Callable[[], object], in_child: Callable[[], object]
) -> None:
    """Call these before each fork, and after it in the parent and in the child, until `forget_forks`.

    After an error they are called again: each takes back what another has done.
    """
    caught = Hook("fork").caught

    def kept(step: Callable[[], object]) -> Callable[[], object]:
        def called() -> None:
            try:
                step()
            except BaseException as exc:
                if not caught(exc):
                    raise

        return _forgettable(called)

    os.register_at_fork(before=kept(before), after_in_parent=kept(in_parent), after_in_child=kept(in_child))


def keep_forks_quiet() -> None:
    """Before each fork, suppress Python's warning if the other threads are all the probe's.

    The warning, as an error or a line on stderr, would change what the program does. The probe's threads hold
    no lock that the child needs.
    """
    if not warns_about_fork():
        return
    caught = Hook("fork").caught
    entry = ("ignore", _ForkWarning(caught), DeprecationWarning, None, 0)
    # Bound here, and used without a call of another function of the probe: whatever of it has failed, its
    # threads may be alive. They are read from the module that starts them, once that has been loaded.
    modules, tasks_of, here = sys.modules, os.listdir, os.getpid
    hidden, prefix = f"{_ROOT}.record.hidden_thread", "harness-"

    def before() -> None:
        try:
            if (threads := modules.get(hidden)) is None:
                return
            filters, pid = modules["warnings"].filters, here()
            while entry in filters:
                filters.remove(entry)
            ours = [tid for of, tid in [*threads.running.values(), *threads.ended] if of == pid]
            known = list(modules["threading"]._active.values())
            ours += [thread.native_id for thread in known if str(thread.name).startswith(prefix)]
            # As Python counts them. A thread that is about to start has no id yet.
            others = {int(name) for name in tasks_of("/proc/self/task")}.difference(ours)
            if len(others) - ours.count(0) <= 1:
                filters.insert(0, entry)
        except BaseException as exc:
            # The program's own threads are nearly always those that `threading` knows.
            known = list(modules["threading"]._active.values())
            if sum(not str(thread.name).startswith(prefix) for thread in known) <= 1:
                modules["warnings"].filters.insert(0, entry)
            if not caught(exc):
                raise

    def in_child() -> None:
        try:
            if (warnings := modules.get("warnings")) is not None and entry in warnings.filters:
                warnings.filters.remove(entry)
        except BaseException as exc:
            if not caught(exc):
                raise

    os.register_at_fork(before=_forgettable(before), after_in_child=_forgettable(in_child))


def forget_forks() -> None:
    """Call nothing of the probe at forks any more: it is about to leave a process that goes on."""
    for kept in _called:
        kept.clear()
    _called.clear()


def _forgettable(step: Callable[[], object]) -> Callable[[], object]:
    """A function of Python's own that calls *step*, and keeps nothing of the probe once that is forgotten.

    Python never drops what was registered for forks. What stays is some 200 bytes.
    """
    kept = [step]
    _called.append(kept)
    # `sorted` calls its key for the one entry, or for none.
    called: Callable[[], object] = partial(sorted, kept, key=call)
    return called


class _ForkWarning:
    """Matches the warning in an entry of `warnings.filters`, and removes that entry.

    Python warns after the fork hooks have run (3.13), so a hook cannot remove it.
    """

    def __init__(self, caught: Callable[[BaseException], bool]) -> None:
        self._caught = caught

    def match(self, text: str) -> bool:
        """Duck-types `re.Pattern.match`."""
        try:
            if text.startswith(_WARNING):
                filters = sys.modules["warnings"].filters
                filters[:] = [entry for entry in filters if entry[1] is not self]
        except BaseException as exc:
            if not self._caught(exc):
                raise
        return text.startswith(_WARNING)
