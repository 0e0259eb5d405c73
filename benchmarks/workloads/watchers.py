"""Other libraries that watch a loop from inside, each switched on as its own documentation says.

They are called in the loop to be watched, before the work. 100 ms is the probe's limit too.
"""

from __future__ import annotations

import asyncio
import importlib
import socket
import threading

# What a service's libraries import of the standard library.
MODULES = """
    argparse configparser csv ctypes dataclasses decimal difflib email.message email.parser fractions ftplib
    glob hmac html.parser http.client http.server imaplib ipaddress json logging.handlers mmap multiprocessing
    pathlib pickle pprint queue secrets shutil smtplib sqlite3 statistics sysconfig tarfile tempfile
    unittest.mock urllib.request uuid xml.etree.ElementTree xmlrpc.client zipfile
"""


def idle_thread() -> object:
    """No watcher, but what most bring along: in a process with a second thread, libc takes its locks."""
    thread = threading.Thread(target=threading.Event().wait, daemon=True)
    thread.start()
    return thread


def service() -> object:
    """No watcher, but what every service has: a thread that waits, and modules that take up memory."""
    return idle_thread(), [importlib.import_module(name) for name in MODULES.split()]


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


def births() -> object:
    """The console's own: where and when each task is made."""
    from harness.probe.hooks.task_hook import TaskHook, origin_of

    loop, kept = asyncio.get_running_loop(), TaskHook()
    kept.begin(loop)
    task = loop.create_task(asyncio.sleep(0))
    if origin_of(task) is None:
        raise AssertionError("no births are kept here")
    return kept, task


def aiomonitor() -> object:
    """aiomonitor, on free ports, without its task factory."""
    return _aiomonitor(hook_task_factory=False)


def aiomonitor_hook() -> object:
    """aiomonitor with its task factory, which keeps where each task is made."""
    return _aiomonitor(hook_task_factory=True)


def _aiomonitor(*, hook_task_factory: bool) -> object:
    import aiomonitor

    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        ports = [server.getsockname()[1] for server in (one, other)]
    return aiomonitor.start_monitor(
        asyncio.get_running_loop(),
        port=ports[0],
        webui_port=ports[1],
        console_enabled=False,
        hook_task_factory=hook_task_factory,
    )


def in_a_span() -> object:
    """No watcher, but what the decomposition of spans needs: everything from here on belongs to a trace."""
    from opentelemetry import context, trace
    from opentelemetry.sdk.trace import TracerProvider

    span = TracerProvider().get_tracer("workload").start_span("work")
    return context.attach(trace.set_span_in_context(span))


_ALL = (
    idle_thread,
    service,
    slow_callbacks,
    hang_inspection,
    aiocop,
    births,
    aiomonitor,
    aiomonitor_hook,
    in_a_span,
)
WATCHERS = {watch.__name__: watch for watch in _ALL}
