"""Assertions for checks that run outside pytest, and so without its rewriting of `assert`."""

from __future__ import annotations


def same(found: object, expected: object) -> None:
    """Raise an `AssertionError` with both values unless they are equal."""
    if found != expected:
        raise AssertionError(f"expected {expected!r}, got {found!r}")


def true(holds: bool, otherwise: str) -> None:
    """Raise an `AssertionError` with the text *otherwise* unless *holds*."""
    if not holds:
        raise AssertionError(otherwise)
