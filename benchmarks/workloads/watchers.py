"""Other libraries that watch a loop from inside, each switched on as its own documentation says.

They are called in the loop to be watched, before the work. 100 ms is the probe's limit too.
"""

from __future__ import annotations

import threading


def idle_thread() -> object:
    """No watcher, but what most bring along: in a process with a second thread, libc takes its locks."""
    thread = threading.Thread(target=threading.Event().wait, daemon=True)
    thread.start()
    return thread


def slow_callbacks() -> object:
    """aiodebug: logs callbacks that take too long."""
    from aiodebug import log_slow_callbacks

    return log_slow_callbacks.enable(0.1)


def hang_inspection() -> object:
    """aiodebug: a thread that writes all stacks to a file, in the working directory, while the loop hangs."""
    from aiodebug import hang_inspection

    return hang_inspection.start(".", interval=0.1)


def aiocop() -> object:
    """aiocop: audit hooks, wrapped callbacks, and a thread that samples the loop's stack."""
    import aiocop

    aiocop.patch_audit_functions()
    aiocop.start_blocking_io_detection()
    aiocop.detect_slow_tasks(threshold_ms=100, on_slow_task=lambda event: None)
    return aiocop.activate()


WATCHERS = {watch.__name__: watch for watch in (idle_thread, slow_callbacks, hang_inspection, aiocop)}
