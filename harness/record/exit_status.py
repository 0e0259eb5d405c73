"""Exit statuses as people read them."""

from __future__ import annotations

import signal


def describe_status(status: int) -> str:
    """How a process ended, from its `returncode`: ``with status 1``, ``by SIGKILL``."""
    if status >= 0:
        return f"with status {status}"
    try:
        return f"by {signal.Signals(-status).name}"
    except ValueError:  # real-time signals have no name
        return f"by signal {-status}"
