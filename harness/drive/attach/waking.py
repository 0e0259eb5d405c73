"""Makes a thread that waits in the kernel return to Python for a moment, so that it can be entered.

`sys.remote_exec` has to wait for the thread's next instruction, and an idle service may execute none for
hours. A ptrace stop of a moment ends some waits of the kernel as a signal would, with EINTR; Python then
looks whether something is to be done, and waits on (PEP 475). No signal is delivered, and the parent is told
nothing. If this process ends in the middle, the kernel lets the thread run on.
"""

from __future__ import annotations

import ctypes
import os
import platform
from contextlib import suppress
from pathlib import Path
from typing import Any

_SEIZE, _INTERRUPT, _DETACH = 0x4206, 0x4207, 17
_GET_REGISTERS, _SET_REGISTERS = 12, 13
_WALL = 0x40000000
# Waits that Python repeats when they were interrupted, by number (x86-64): epoll_wait, epoll_pwait and
# epoll_pwait2, which end by the stop alone; poll, ppoll, select, pselect6, and clock_nanosleep, in which
# `time.sleep` waits. These would go on in the kernel: they are told that they were interrupted.
WAITS = {232, 281, 441, 7, 271, 23, 270, 230}
_FUTEX = 202
# What a system call that a stop has interrupted holds until it goes on: ERESTARTSYS, ERESTARTNOINTR,
# ERESTARTNOHAND, ERESTART_RESTARTBLOCK.
_RESTARTS = {-512, -513, -514, -516}
_EINTR = -4
_NAMES = (
    *("r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9", "r8", "rax", "rcx", "rdx", "rsi", "rdi"),
    *("orig_rax", "rip", "cs", "eflags", "rsp", "ss", "fs_base", "gs_base", "ds", "es", "fs", "gs"),
)


class Registers(ctypes.Structure):
    """`struct user_regs_struct` of x86-64."""

    _fields_ = [(name, ctypes.c_ulonglong) for name in _NAMES]


def system_call(pid: int, thread: int) -> int:
    """The number of the system call in which a thread waits; -1 if it runs, or that is unknown."""
    try:
        first = Path(f"/proc/{pid}/task/{thread}/syscall").read_text().split()[0]
    except (OSError, IndexError):
        return -1
    return int(first) if first.isdigit() else -1


def waits_for_lock(pid: int, thread: int) -> bool:
    """Whether the thread waits for a lock, as in `Thread.join`: no Python looks for entries then."""
    return _is_known() and system_call(pid, thread) == _FUTEX


def wake(pid: int, thread: int) -> bool:
    """Let the thread return to Python if it waits in one of the known ways; false if it does not."""
    if not _is_known():
        return False
    if system_call(pid, thread) not in WAITS:
        return False
    ptrace = ctypes.CDLL(None, use_errno=True).ptrace
    ptrace.restype = ctypes.c_long
    ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
    if ptrace(_SEIZE, thread, None, None):
        return False  # not permitted, or a debugger has it already
    try:
        if ptrace(_INTERRUPT, thread, None, None):
            return False
        with suppress(ChildProcessError):
            os.waitpid(thread, _WALL)
        _interrupt_wait(ptrace, thread)
    finally:
        ptrace(_DETACH, thread, None, None)
    return True


def _interrupt_wait(ptrace: Any, thread: int) -> None:
    registers = Registers()
    if ptrace(_GET_REGISTERS, thread, None, ctypes.byref(registers)):
        return
    # It may have gone elsewhere since it was looked at.
    in_wait = ctypes.c_longlong(registers.orig_rax).value in WAITS
    if in_wait and ctypes.c_longlong(registers.rax).value in _RESTARTS:
        registers.rax = ctypes.c_ulonglong(_EINTR).value
        registers.orig_rax = ctypes.c_ulonglong(-1).value
        ptrace(_SET_REGISTERS, thread, None, ctypes.byref(registers))


def _is_known() -> bool:
    return platform.machine() == "x86_64"
