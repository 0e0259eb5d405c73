"""The signal by which a runner asks a process whose loop hangs to record its tasks and to end itself."""

from __future__ import annotations

import signal

# A real-time signal, because programs use the others, and not the first or the last of them, which they use.
NUMBER = signal.SIGRTMAX - 7
