"""What tests need that go by a clock of their own."""

from harness.testing.broker import ManualClock

__all__ = ["LEASE_S", "ManualClock"]

LEASE_S = 30.0
