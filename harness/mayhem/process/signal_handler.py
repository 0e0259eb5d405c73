"""Signals, heard by a thread of their own, so that they are heard while the loop is held.

Python's C handler writes the number of every signal into a pipe the moment it comes, whatever the main thread
does just then; the thread reads the other end. Not `loop.add_signal_handler`, whose callback waits for the
very loop that somebody asks about. Not blocked signals and `sigwait` either: child processes would inherit
the blocking, and threads that were there before would not have it.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

log = logging.getLogger(__name__)


@contextmanager
def signal_handlers(handlers: Mapping[int, Callable[[], object]]) -> Iterator[None]:
    """Call the handlers, in a thread, when their signals come. To be entered in the main thread."""
    hears, told = os.pipe()
    os.set_blocking(told, False)
    listening = threading.Thread(target=_listen, args=(hears, handlers), name="mayhem-signals", daemon=True)
    listening.start()
    # A signal needs a handler in Python for its number to be written, even one that does nothing.
    before = {signum: signal.signal(signum, lambda *_: None) for signum in handlers}
    wakeup_before = signal.set_wakeup_fd(told, warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(wakeup_before)
        for signum, handler in before.items():
            signal.signal(signum, handler if handler is not None else signal.SIG_DFL)
        os.close(told)  # which the thread reads as the end
        listening.join()
        os.close(hears)


def _listen(hears: int, handlers: Mapping[int, Callable[[], object]]) -> None:
    while numbers := os.read(hears, 64):
        for number in numbers:
            try:
                # Others may come that are not for this thread: whoever handles them is called by Python.
                if (handler := handlers.get(number)) is not None:
                    handler()
            except Exception:
                log.exception("signal not handled", extra={"signal": signal.strsignal(number)})
