"""What test suites call: assertions about the event loop here, checks for authors of brokers in `broker`."""

from .loop import LIMIT_MS, NOBODYS_FAULT, LoopBlockedError, explain, no_blocks

__all__ = ["LIMIT_MS", "NOBODYS_FAULT", "LoopBlockedError", "explain", "no_blocks"]
