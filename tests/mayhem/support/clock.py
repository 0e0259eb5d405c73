"""The manual clock, and a lease length for it."""

from harness.testing.broker import ManualClock

__all__ = ["LEASE_S", "ManualClock"]

LEASE_S = 30.0
