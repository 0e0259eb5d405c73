"""Attributes that are replaced, and put back as they were."""

from __future__ import annotations

import functools
import gc
from itertools import permutations
from weakref import ref

import pytest

from harness.probe.hooks.hook import Hook
from harness.probe.hooks.replacement import Replacement


class Parent:
    def greet(self) -> str:
        return "hello"

    @staticmethod
    def shout() -> str:
        return "HELLO"


class Child(Parent): ...


def test_an_inherited_method_is_inherited_again() -> None:
    """Nothing is left in the class that had no attribute of its own."""
    replacement = Replacement(Hook("test"), Child, "greet", lambda _: "ours")
    assert Child().greet() == "ours"
    replacement.undo()

    assert "greet" not in vars(Child)
    assert Child().greet() == "hello"


def test_a_static_method_is_put_back_as_one() -> None:
    """What is put back is what the class has stored."""
    before = vars(Parent)["shout"]
    Replacement(Hook("test"), Parent, "shout", staticmethod(lambda: "ours")).undo()

    assert vars(Parent)["shout"] is before


def test_an_object_loses_the_attribute_that_hid_its_class() -> None:
    """Of an object too, whatever its class does in `__setattr__`."""

    class Strict(Parent):
        def __setattr__(self, name: str, value: object) -> None:
            raise AssertionError(name)

        __delattr__ = object.__delattr__

    one = Strict()
    replacement = Replacement(Hook("test"), one, "greet", lambda: "ours")
    assert one.greet() == "ours"
    replacement.undo()
    replacement.undo()

    assert vars(one) == {}


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_replacements_are_undone_in_any_order(order: tuple[int, ...]) -> None:
    """The last of them to go leaves what was there before the first."""
    one = Parent()
    replacements = [
        Replacement(Hook("test"), one, "greet", lambda number=number: number) for number in range(3)
    ]
    standing = set(range(3))
    for index in order:
        replacements[index].undo()
        standing.remove(index)
        assert one.greet() == max(standing, default="hello")

    assert vars(one) == {}


def test_what_was_put_in_the_place_of_ours_stays() -> None:
    """Also when it wraps ours, and is left alone even when one below and one above it are undone."""
    one = Parent()
    below = Replacement(Hook("test"), one, "greet", lambda: "ours")
    theirs = functools.wraps(one.greet)(lambda: "theirs")
    vars(one)["greet"] = theirs
    above = Replacement(Hook("test"), one, "greet", lambda: "above")
    below.undo()
    above.undo()

    assert one.greet is theirs


def test_what_is_undone_is_freed_without_a_collection() -> None:
    """The function and its replacement do not keep each other alive."""
    one = Parent()

    def ours() -> str:
        return "ours"

    freed = ref(ours)
    replacement = Replacement(Hook("test"), one, "greet", ours)
    del ours
    gc.disable()
    try:
        replacement.undo()

        assert freed() is None
    finally:
        gc.enable()
