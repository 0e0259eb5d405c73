"""Signal handlers that run in their own thread, so that they run while the loop is blocked.

Python's C handler writes the number of each signal into a pipe at once, whatever the main thread is doing;
the thread reads the other end. `loop.add_signal_handler` would wait for the blocked loop. Blocking signals
and calling `sigwait` would not work either: child processes inherit the mask, and earlier threads lack it.
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
    """Call the handlers in a thread when their signals arrive. Must be entered in the main thread."""
    reads, writes = os.pipe()
    os.set_blocking(writes, False)
    handling = threading.Thread(target=_handle, args=(reads, handlers), name="mayhem-signals", daemon=True)
    handling.start()
    # The number is written only for signals that have a handler in Python, even one that does nothing.
    before = {signum: signal.signal(signum, lambda *_: None) for signum in handlers}
    wakeup_before = signal.set_wakeup_fd(writes, warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(wakeup_before)
        for signum, handler in before.items():
            signal.signal(signum, handler if handler is not None else signal.SIG_DFL)
        os.close(writes)  # the thread reads the end of the file
        handling.join()
        os.close(reads)


def _handle(reads: int, handlers: Mapping[int, Callable[[], object]]) -> None:
    while numbers := os.read(reads, 64):
        for number in numbers:
            try:
                # Signals without a handler here have their own in Python.
                if (handler := handlers.get(number)) is not None:
                    handler()
            except Exception:
                log.exception("signal not handled", extra={"signal": signal.strsignal(number)})
