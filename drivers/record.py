"""Frozen value classes that cost little to define: `@record` instead of `@dataclass(frozen=True, slots=True)`.

The agent has some two hundred of them, and a dataclass takes half a millisecond to make (it writes, compiles and
inspects five methods and builds the class twice); on a small board that is a second of every start. A record writes and
compiles its `__init__` only, when the first value of it is made, and shares the rest but what it defines itself. To its
users it is what a frozen dataclass with slots is: fields with
defaults, by position or name; equal to what has the same class and values; hashable, copyable, readable; never changed
after it was made (`replace` makes another). A subclass has its base's fields first.

A class may name fields in `_hidden`, which its `repr` leaves out. Not for classes with factories or with state: those
are dataclasses, or plain classes where the start counts.
"""

from __future__ import annotations

from operator import attrgetter
from typing import Any, TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True)
def record(cls: type[T]) -> type[T]:
    """Make a frozen value class of the annotations of `cls`."""
    own = tuple(cls.__dict__.get("__annotations__", ()))  # noqa: RUF063  inspect costs more than all of this
    inherited: dict[str, Any] = {}
    for base in reversed(cls.__mro__[1:]):
        inherited |= base.__dict__.get("_defaults", {})
    before = next((base.__dict__["_fields"] for base in cls.__mro__[1:] if "_fields" in base.__dict__), ())
    names = (*before, *own)
    defaults = {name: value for name, value in {**inherited, **cls.__dict__}.items() if name in names}
    members = {key: value for key, value in cls.__dict__.items() if key not in own and key not in _MADE_ANEW}
    members = (
        _SHARED
        | members
        | {
            "__slots__": own,
            "_fields": names,
            "_defaults": defaults,
            "_values": _values_of(names),
        }
    )
    make: Any = type(cls)
    made = make(cls.__name__, cls.__bases__, members)
    made.__qualname__ = cls.__qualname__
    return made  # type: ignore[no-any-return]


def replace(value: T, /, **changes: Any) -> T:
    """The same record with other values for some fields."""
    old = as_dict(value)
    unknown = changes.keys() - old.keys()
    if unknown:
        raise TypeError(f"{type(value).__name__} has no {', '.join(sorted(unknown))}")
    return type(value)(**(old | changes))


def as_dict(value: object) -> dict[str, Any]:
    """Field by field; what the fields hold is left as it is."""
    fields: Any = value
    return dict(zip(fields._fields, fields._values(value), strict=True))


def _init(names: tuple[str, ...], defaults: dict[str, Any]) -> Any:
    """The slots are written through `object`, since the class's own `__setattr__` refuses."""
    arguments = ", ".join(f"{name}=_d[{name!r}]" if name in defaults else name for name in names)
    lines = "".join(f"\n    _set(self, {name!r}, {name})" for name in names) or "\n    pass"
    scope: dict[str, Any] = {"_set": object.__setattr__, "_d": defaults}
    exec(f"def __init__(self{', ' if names else ''}{arguments}) -> None:{lines}", scope)  # noqa: S102  names only
    return scope["__init__"]


def _first(self: Any, *args: Any, **named: Any) -> None:
    """Stands for the `__init__` of a class of which nothing was made yet: most processes need few of them."""
    owner: Any = next(cls for cls in type(self).__mro__ if "_fields" in cls.__dict__)
    if owner.__init__ is _first:
        owner.__init__ = _init(owner._fields, owner._defaults)
    owner.__init__(self, *args, **named)


def _values_of(names: tuple[str, ...]) -> Any:
    """All values as one tuple, in the time of a single call."""
    if len(names) > 1:
        return staticmethod(attrgetter(*names))
    return staticmethod((lambda value: (getattr(value, names[0]),)) if names else (lambda _value: ()))


def _eq(self: Any, other: Any) -> Any:
    if other.__class__ is not self.__class__:
        return NotImplemented
    return self._values(self) == self._values(other)


def _hash(self: Any) -> int:
    return hash((self.__class__, self._values(self)))


def _repr(self: Any) -> str:
    hidden = getattr(self, "_hidden", ())  # of the class that has it, or of its base
    told = ((name, value) for name, value in as_dict(self).items() if name not in hidden)
    return f"{self.__class__.__name__}({', '.join(f'{name}={value!r}' for name, value in told)})"


def _reduce(self: Any) -> Any:
    return self.__class__, self._values(self)


def _frozen(self: Any, name: str, *_value: Any) -> None:
    raise AttributeError(f"{self.__class__.__name__} is frozen: {name} cannot be changed")


_SHARED: dict[str, Any] = {
    "__init__": _first,
    "__eq__": _eq,
    "__hash__": _hash,
    "__repr__": _repr,
    "__reduce__": _reduce,
    "__setattr__": _frozen,
    "__delattr__": _frozen,
}
_MADE_ANEW = ("__dict__", "__weakref__", "__slots__")
