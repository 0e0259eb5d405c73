"""For test suites: assertions about the event loop; checks for authors of brokers are in `broker`."""

from .loop import LIMIT_MS, NOBODYS_FAULT, LoopBlockedError, explain, no_blocks
from .trouble import TroubleFoundError, no_trouble

__all__ = [
    "LIMIT_MS",
    "NOBODYS_FAULT",
    "LoopBlockedError",
    "TroubleFoundError",
    "explain",
    "no_blocks",
    "no_trouble",
]
