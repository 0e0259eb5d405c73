"""The calls that end a process by a signal."""

from __future__ import annotations

import os
import signal

from harness.probe.hooks.process.exit_hook import before_own_signals


def test_a_signal_that_ends_nothing_is_not_told_and_all_is_undone() -> None:
    """Neither one with a handler, nor one that is harmless, or for another process."""
    own = os.kill, os.killpg, signal.raise_signal, signal.pthread_kill
    told: list[str] = []
    before = signal.signal(signal.SIGUSR1, lambda *_: told.append("handled"))
    undo = before_own_signals(lambda: told.append("left"))
    try:
        replaced = os.kill, os.killpg, signal.raise_signal, signal.pthread_kill
        os.kill(os.getpid(), signal.SIGUSR1)
        signal.raise_signal(signal.SIGUSR1)
        os.kill(os.getpid(), signal.SIGWINCH)
        os.kill(os.getpid(), 0)
        os.kill(os.getppid(), 0)
    finally:
        undo()
        signal.signal(signal.SIGUSR1, before)

    assert told == ["handled"] * 2
    assert all(one is not another for one, another in zip(own, replaced, strict=True))
    assert (os.kill, os.killpg, signal.raise_signal, signal.pthread_kill) == own
