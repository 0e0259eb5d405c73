"""An init for containers: forwards signals and reaps orphaned processes.

For process 1, the kernel ignores the default action of every signal, and it makes process 1 the parent of
every orphan. So the service runs as the only child of process 1, as an ordinary process, and reaping orphans
cannot take an exit status that asyncio waits for.
"""

from __future__ import annotations

import os
import signal

# These concern process 1 itself, or cannot be caught.
NOT_FORWARDED = {signal.SIGCHLD, signal.SIGKILL, signal.SIGSTOP, signal.SIGTTIN, signal.SIGTTOU}


def fork_if_first() -> None:
    """If this is process 1, fork and return in the child; the parent exits with the child's status.

    Must be called before any thread is started.
    """
    if os.getpid() != 1:
        return
    every = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}
    # Before the fork, so that no signal is lost in between.
    signal.pthread_sigmask(signal.SIG_BLOCK, every)
    service = os.fork()
    if service == 0:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, every)
        return
    while (status := _reap(service)) is None:
        signum = signal.sigwait(every)
        if signum not in NOT_FORWARDED:
            os.kill(service, signum)
    os._exit(status)


def _reap(service: int) -> int | None:
    """Reap ended children; return the service's exit status as a shell reports it, or None while it runs."""
    status = None
    while True:
        try:
            pid, code = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return status
        if pid == 0:
            return status
        if pid == service:
            ended = os.waitstatus_to_exitcode(code)
            status = ended if ended >= 0 else 128 - ended
