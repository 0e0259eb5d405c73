"""Frozen values whose classes cost next to nothing to create, since a target may never use them.

A frozen, slotted dataclass takes a third of a millisecond to create, because it compiles its own methods. The
record has some fifty classes, and every Python process of a target that runs a loop would create most of
them. A `typing.NamedTuple` takes a seventh of a millisecond for the same reason; a `Row` stands in for it.
"""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Any, ClassVar, Never, TypeVar, dataclass_transform

__all__ = ["Row", "Value", "as_dict", "defaults_of", "fields_of", "replace"]

V = TypeVar("V", bound="Value")


class _ValueType(type):
    def __new__(
        cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **kwargs: Any
    ) -> _ValueType:
        fields = tuple(f for f in namespace.get("__annotations__", ()) if not f.startswith("_"))
        namespace["_defaults"] = {field: namespace.pop(field) for field in fields if field in namespace}
        namespace["_fields"] = namespace["__slots__"] = namespace["__match_args__"] = fields
        return super().__new__(cls, name, bases, namespace, **kwargs)


@dataclass_transform(frozen_default=True)
class Value(metaclass=_ValueType):
    """A frozen value: its fields are the annotated names of its class, in that order.

    Fields with a default come last. Values are equal if their classes and all fields are.
    """

    _fields: ClassVar[tuple[str, ...]]
    _defaults: ClassVar[dict[str, Any]]
    _is_packed: ClassVar[bool] = False  # its texts are rows of numbers (`packing.py`), and may be long

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        names, put = self._fields, object.__setattr__
        for name, value in zip(names, args, strict=False):
            put(self, name, value)
        try:
            for name in names[len(args) :]:
                put(self, name, kwargs.pop(name) if name in kwargs else self._defaults[name])
        except KeyError:
            raise TypeError(f"{type(self).__name__} needs a value for {name!r}") from None
        if kwargs or len(args) > len(names):
            raise TypeError(f"{type(self).__name__} has no field for {[*args[len(names) :], *kwargs]}")

    def __setattr__(self, name: str, _: object) -> Never:
        raise AttributeError(f"{type(self).__name__} is frozen: cannot assign to {name!r}")

    def __delattr__(self, name: str) -> Never:
        raise AttributeError(f"{type(self).__name__} is frozen: cannot delete {name!r}")

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return as_dict(self) == as_dict(other)

    def __hash__(self) -> int:
        return hash((type(self), *as_dict(self).values()))

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, value in as_dict(self).items())
        return f"{type(self).__name__}({fields})"


def fields_of(kind: type[Value]) -> tuple[str, ...]:
    """The names of a class's fields, in order."""
    return kind._fields


def defaults_of(kind: type[Value]) -> dict[str, Any]:
    """The defaults of those of a class's fields that have one."""
    return kind._defaults


def as_dict(value: Value) -> dict[str, Any]:
    """The fields by name; nested values are not converted."""
    return {name: getattr(value, name) for name in fields_of(type(value))}


def replace(value: V, **changes: Any) -> V:
    """*value* with some fields changed."""
    return type(value)(**{**as_dict(value), **changes})


if TYPE_CHECKING:
    # It has the fields, defaults, `_replace` and `_asdict` of one.
    from typing import NamedTuple as Row
else:

    class _RowType(type):
        def __new__(cls, name, bases, namespace):
            fields = tuple(namespace.get("__annotations__", ()))
            namespace["_field_defaults"] = {field: namespace[field] for field in fields if field in namespace}
            namespace["_fields"] = namespace["__match_args__"] = fields
            namespace["__slots__"] = ()
            for place, field in enumerate(fields):
                namespace[field] = property(itemgetter(place))
            return super().__new__(cls, name, bases, namespace)

    class Row(tuple, metaclass=_RowType):
        """A tuple whose items have the annotated names of its class, in that order."""

        def __new__(cls, *args, **kwargs):
            names = cls._fields
            if len(args) != len(names) or kwargs:
                args = _completed(cls, args, kwargs)
            return tuple.__new__(cls, args)

        def __getnewargs__(self):
            return tuple(self)

        def __repr__(self):
            fields = ", ".join(f"{name}={value!r}" for name, value in self._asdict().items())
            return f"{type(self).__name__}({fields})"

        def _asdict(self):
            return dict(zip(self._fields, self, strict=True))

        def _replace(self, **changes):
            return type(self)(**{**self._asdict(), **changes})

    def _completed(kind, args, given):
        names, defaults = kind._fields, kind._field_defaults
        if len(args) > len(names) or not given.keys() <= set(names[len(args) :]):
            raise TypeError(f"{kind.__name__} has no field for {[*args[len(names) :], *given]}")
        try:
            rest = [given[name] if name in given else defaults[name] for name in names[len(args) :]]
        except KeyError as exc:
            raise TypeError(f"{kind.__name__} needs a value for {exc}") from None
        return (*args, *rest)
