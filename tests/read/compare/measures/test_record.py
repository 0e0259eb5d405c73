"""What is compared of two records, in units of the work that was done."""

from __future__ import annotations

import pytest

from harness.read.calls.allowlist import Allowlist
from harness.read.compare.measures.record import of_record
from harness.read.evidence import Evidence
from harness.read.history import load
from tests.read.conftest import Full

ANSWERED, BLOCKS = 1196, 5


def test_blocks_and_failures_are_told_per_thousand_answers(full: Full) -> None:
    """So that a run with more requests, which blocks more often, is no worse for it."""
    made = full(blocks=BLOCKS)
    made.close()
    found = of_record(Evidence(load(made.folder), Allowlist()))

    assert found["blocks_per_1000"] == pytest.approx(BLOCKS / ANSWERED * 1000)
    assert found["held_ms_per_1000"] == pytest.approx(BLOCKS * 301 / ANSWERED * 1000)
    assert found["failed_per_1000"] == pytest.approx(4 / ANSWERED * 1000)
    assert found["lost"] == 0
