"""Frozen values, as the record's events are."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from harness.record.value import Row, Value, as_dict, replace


class Point(Value):
    """For these tests."""

    x: int
    y: int = 2


class Place(Row):
    """For these tests."""

    file: str
    line: int = 0

    def text(self) -> str:
        return f"{self.file}:{self.line}"


def test_fields_are_given_by_place_or_by_name() -> None:
    """In the order of the class; those with a default can be left out."""
    assert Point(1) == Point(x=1, y=2) == Point(1, 2)
    assert as_dict(Point(1, y=3)) == {"x": 1, "y": 3}
    assert repr(Point(1)) == "Point(x=1, y=2)"


@pytest.mark.parametrize(
    ("args", "kwargs", "why"),
    [
        ((), {}, "needs a value for 'x'"),
        ((1,), {"z": 1}, r"has no field for \['z'\]"),
        ((1, 2, 3), {}, r"has no field for \[3\]"),
        ((1,), {"x": 2}, r"has no field for \['x'\]"),
    ],
    ids=["missing", "unknown", "too many", "twice"],
)
def test_a_wrong_field_is_an_error(args: tuple[int, ...], kwargs: dict[str, int], why: str) -> None:
    """It names the class and the field."""
    with pytest.raises(TypeError, match=f"Point.*{why}"):
        Point(*args, **kwargs)


def test_a_value_cannot_be_changed() -> None:
    """A change is a new value; a field that does not exist cannot be set either."""
    point = Point(1)

    for name in ("x", "misspelt"):
        with pytest.raises(AttributeError, match="frozen"):
            setattr(point, name, 5)
    with pytest.raises(AttributeError, match="frozen"):
        del point.x
    assert (replace(point, y=5), point) == (Point(1, 5), Point(1, 2))


def test_values_are_equal_by_class_and_fields() -> None:
    """And can be keys."""

    class Other(Value):
        x: int
        y: int = 2

    assert Point(1) != Point(2)
    assert Point(1) != Other(1)
    assert len({Point(1), Point(1), Other(1)}) == 2


def test_a_value_is_matched_by_its_fields() -> None:
    """By place and by name."""
    match Point(1, 4):
        case Point(x, y=4):
            found = x

    assert found == 1


def test_a_row_is_a_tuple_with_names() -> None:
    """As a named tuple is: it unpacks, compares, and is copied like one."""
    place = Place("a.py", line=3)

    file, line = place
    assert (file, line) == place == ("a.py", 3)
    assert (place.file, place.line, place.text()) == ("a.py", 3, "a.py:3")
    assert {place: 1}[Place("a.py", 3)] == 1
    assert place._replace(line=4) == Place("a.py", 4)
    assert place._asdict() == {"file": "a.py", "line": 3}
    assert (Place._fields, repr(Place("b.py"))) == (("file", "line"), "Place(file='b.py', line=0)")
    for twin in (copy.deepcopy(place), pickle.loads(pickle.dumps(place))):
        assert (type(twin), twin) == (Place, place)


@pytest.mark.parametrize(
    ("args", "kwargs", "why"),
    [
        ((), {}, "needs a value for 'file'"),
        (("a.py",), {"column": 1}, r"has no field for \['column'\]"),
        (("a.py", 2, 3), {}, r"has no field for \[3\]"),
        (("a.py",), {"file": "b.py"}, r"has no field for \['file'\]"),
    ],
    ids=["missing", "unknown", "too many", "twice"],
)
def test_a_wrong_item_of_a_row_is_an_error(args: tuple[Any, ...], kwargs: dict[str, Any], why: str) -> None:
    """It names the class and the field."""
    with pytest.raises(TypeError, match=f"Place.*{why}"):
        Place(*args, **kwargs)


def test_a_row_cannot_be_changed() -> None:
    """Nor has it room for other names."""
    for name in ("line", "misspelt"):
        with pytest.raises(AttributeError):
            setattr(Place("a.py"), name, 5)
