"""Rows of numbers as a short text, and back."""

from __future__ import annotations

import random

import pytest

from harness.record import packing


@pytest.mark.parametrize("count", [0, 1, 2, 1_000])
def test_rows_come_back_as_they_were(count: int) -> None:
    """Whatever fits into 64 bits comes back, in order."""
    draw = random.Random(count)
    rows = [(draw.randint(-(2**63), 2**63 - 1), number, 17) for number in range(count)]

    packed = packing.pack([number for row in rows for number in row], 3)

    assert packing.unpack(packed, 3) == rows


def test_a_log_is_short() -> None:
    """Rows like those of a log take a fifth of what they are as text."""
    draw, numbers, at_ns = random.Random(0), [], 10**15
    for number in range(5_000):
        at_ns += draw.randrange(1_000, 50_000)
        numbers += [number, at_ns - 5_000, at_ns, at_ns + draw.randrange(1_000), number - 1, 3]

    assert len(packing.pack(numbers, 6)) * 5 < len(str(numbers))


@pytest.mark.parametrize("text", ["AAAA", "not base64!"])
def test_damage_is_told(text: str) -> None:
    """What is no packed text, or not rows of that width, is an error."""
    with pytest.raises(ValueError):
        packing.unpack(text, 2)
    with pytest.raises(ValueError, match="no rows of 2"):
        packing.unpack(packing.pack([1, 2, 3], 3), 2)
