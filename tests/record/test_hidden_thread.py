"""Threads of the probe, in a process that is not ours."""

from __future__ import annotations

import signal
import sys
import threading

import pytest

from harness.record import hidden_thread
from harness.record.hidden_thread import Background


def test_what_it_raises_reaches_none_of_the_programs_hooks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread is over, and nobody was told."""
    told = []
    for module, hook in (sys, "unraisablehook"), (sys, "excepthook"), (threading, "excepthook"):
        monkeypatch.setattr(module, hook, lambda *args: told.append(args))
    before = hidden_thread.alive()

    def work() -> None:
        raise OverflowError("timeout is too large")

    assert Background(work).join(timeout_s=10)
    assert hidden_thread.alive() == before
    assert told == []


def test_it_is_waited_for_no_longer_than_asked() -> None:
    """And counted for as long as it runs."""
    before, end = hidden_thread.alive(), threading.Event()
    running = Background(end.wait)

    assert not running.join(timeout_s=0.01)
    assert hidden_thread.alive() == before + 1
    end.set()
    assert running.join(timeout_s=10)
    assert hidden_thread.alive() == before


def test_a_hidden_thread_takes_no_signal_but_its_own_faults() -> None:
    """A signal that the program blocks in order to wait for it must not end the process here."""
    masks: list[set[int]] = []
    for runs_program in (False, True):
        Background(
            lambda: masks.append(signal.pthread_sigmask(signal.SIG_BLOCK, ())), runs_program=runs_program
        ).join()

    own = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    assert {signal.SIGTERM, signal.SIGUSR1, signal.SIGCHLD} <= masks[0]
    assert signal.SIGSEGV not in masks[0]
    assert masks[1] == own
