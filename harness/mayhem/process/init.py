"""What the first process of a container owes the others: it passes signals on, and it buries the dead.

The kernel ignores the default action of every signal for process 1, and makes it the parent of every process
whose own parent has died. So the service is not process 1 itself but its only child, and an ordinary process;
and no `waitpid` for strangers can steal the exit status that asyncio waits for.
"""

from __future__ import annotations

import os
import signal

# These are about process 1 itself, or cannot be caught.
NOT_FORWARDED = {signal.SIGCHLD, signal.SIGKILL, signal.SIGSTOP, signal.SIGTTIN, signal.SIGTTOU}


def fork_if_first() -> None:
    """Return in a child, if this is process 1; the parent stays here until that child ends, and ends like it.

    To be called before there is any thread.
    """
    if os.getpid() != 1:
        return
    every = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}
    # Before the fork, so that none is lost in between.
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
    """Bury whoever has died; the service's exit status as a shell tells it, if it was among them."""
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
