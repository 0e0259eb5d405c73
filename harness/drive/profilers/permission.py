"""What to do where the kernel does not let this user look into a process."""

from __future__ import annotations

PTRACE = (
    "this user may not inspect the process (ptrace): run as root, set kernel.yama.ptrace_scope to 0, "
    "or give the container the capability SYS_PTRACE"
)
