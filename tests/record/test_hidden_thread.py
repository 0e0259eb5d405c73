"""Threads of the probe, in a process that is not ours."""

from __future__ import annotations

import ctypes
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


def test_it_has_a_stack_of_its_own_size_and_the_programs_threads_keep_theirs() -> None:
    """On a stack as small as a program may choose, an import would end the process."""
    sizes: list[int] = []

    def size() -> None:
        libc = ctypes.CDLL(None)
        attributes, low, length = (ctypes.c_char * 64)(), ctypes.c_void_p(), ctypes.c_size_t()
        assert libc.pthread_getattr_np(ctypes.c_void_p(threading.get_ident()), attributes) == 0
        libc.pthread_attr_getstack(attributes, ctypes.byref(low), ctypes.byref(length))
        sizes.append(length.value)

    before = threading.stack_size(64 * 1024)
    try:
        Background(size).join()
        own = threading.Thread(target=size)
        own.start()
        own.join()
        assert threading.stack_size() == 64 * 1024
    finally:
        threading.stack_size(before)

    assert sizes[0] >= 1 << 20
    assert sizes[1] < 128 * 1024
