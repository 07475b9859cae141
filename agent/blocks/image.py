"""The state of a running station as JSON types, and back into a station that was put together alike.

The flight recorder begins each of its files with such an image: what follows in the file can be replayed from there,
however long the agent had run before. No block knows of it. Whatever is reached from the facts and the blocks is taken:
objects and containers by their identity (two that share one list share it afterwards), values by `core.flat`. What an
assembly makes anew and never changes is left out: callables, tables by class, the rows of the device model.

An image goes back into a fresh station of the same assembly: its objects and containers are filled where they stand, so
that the callables of that station, which hold them, see what is in the image.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

from agent.blocks.station import Station
from agent.core.flat import PLAIN, Find, Mask, Unfit, Unreadable, flat, kind_of, unflat
from agent.core.variables import Variables

_LEFT_OUT = {Variables: frozenset(("_rows", "_computed", "_owned", "_found"))}
_CONTAINERS: dict[type, str] = {list: "L", dict: "D", set: "S", deque: "Q"}
_GONE = object()


def _attributes(value: Any) -> Iterator[str]:
    left_out = _LEFT_OUT.get(type(value), frozenset())
    names = list(getattr(value, "__dict__", ()))
    for cls in type(value).__mro__:
        slots = cls.__dict__.get("__slots__", ())
        names += (slots,) if isinstance(slots, str) else slots
    return (name for name in names if name not in left_out and hasattr(value, name))


def _is_state(value: Any) -> bool:
    """An object with an identity of its own."""
    cls = type(value)
    if not cls.__module__.startswith(("agent.core.", "agent.blocks.")) or hasattr(cls, "_defaults"):
        return False
    frozen = getattr(cls, "__dataclass_params__", None)
    return not (frozen and frozen.frozen) and not isinstance(value, int | str | tuple)


def _is_table(value: Any) -> bool:
    """By class: what is to be done with each."""
    return value.__class__ is dict and bool(value) and all(isinstance(key, type) for key in value)


# --- out ----------------------------------------------------------------------------------------------------


def image(station: Station, mask: Mask | None = None) -> list[Any]:
    """JSON types. Raises `Unfit` when a block holds what has no flat form."""
    camera = _Camera(mask)
    return [camera.take(station.facts), *[camera.take(block) for block in station.blocks]]


class _Camera:
    def __init__(self, mask: Mask | None) -> None:
        self._mask = mask
        self._numbers: dict[int, int] = {}
        self._held: list[Any] = []  # so that no number is given twice

    def take(self, value: Any, beside: bool = False) -> Any:
        cls = value.__class__
        if cls is str or cls in PLAIN:
            return flat(value, self._mask, beside)
        if isinstance(value, type) or (callable(value) and not _is_state(value)) or _is_table(value):
            return ["C"]
        if cls is tuple:
            return ["T", *[self.take(part) for part in value]]
        kind = _CONTAINERS.get(cls, "O" if _is_state(value) else "")
        if not kind:
            return ["V", flat(value, self._mask, beside)]
        number = self._numbers.get(id(value))
        if number is not None:
            return ["R", number]
        self._numbers[id(value)] = len(self._held)
        self._held.append(value)
        return [kind, len(self._held) - 1, *self._inside(kind, value, beside)]

    def _inside(self, kind: str, value: Any, beside: bool) -> Iterator[Any]:
        if kind == "O":
            yield kind_of(type(value))
            for name in _attributes(value):
                yield name
                yield self.take(getattr(value, name), "password" in name)
        elif kind == "D":
            for key, part in value.items():
                yield flat(key, self._mask)
                yield self.take(part, beside or (isinstance(key, str) and "password" in key))
        elif kind == "S":
            yield from flat(value, self._mask)[1:]
        else:
            if kind == "Q":
                yield value.maxlen
            yield from (self.take(part, beside) for part in value)


# --- back ---------------------------------------------------------------------------------------------------


def restore(station: Station, told: Any, find: Find) -> None:
    """Bring a fresh station into the state of an image. Raises `Unreadable`; then the station is of no use."""
    fresh = [station.facts, *station.blocks]
    if not isinstance(told, list) or len(told) != len(fresh):
        raise Unreadable("the image is of a station with other blocks")
    painter = _Painter(find)
    try:
        for part, value in zip(told, fresh, strict=True):
            if painter.paint(part, value) is not value:
                raise Unreadable("the image is of a station with other blocks")
    except (TypeError, ValueError, IndexError, KeyError, AttributeError, RecursionError) as error:
        raise Unreadable(f"the image: {error}") from None


class _Painter:
    def __init__(self, find: Find) -> None:
        self._find = find
        self._made: dict[int, Any] = {}
        self._used: set[int] = set()

    def paint(self, told: Any, fresh: Any) -> Any:
        """The value that was told; `fresh` is what stands in its place in the new station."""
        if not isinstance(told, list):
            return unflat(told, self._find)
        kind = told[0]
        if kind == "C":
            return fresh
        if kind == "V":
            return unflat(told[1], self._find)
        if kind == "R":
            return self._made[told[1]]
        if kind == "T":
            beside = fresh if isinstance(fresh, tuple) and len(fresh) == len(told) - 1 else (_GONE,) * len(told)
            return tuple(self.paint(part, old) for part, old in zip(told[1:], beside, strict=False))
        return self._fill(kind, told[1], told[2:], fresh)

    def _fill(self, kind: str, number: int, parts: list[Any], fresh: Any) -> Any:
        wanted: Any = self._object(parts[0]) if kind == "O" else next(c for c, k in _CONTAINERS.items() if k == kind)
        keep = type(fresh) is wanted and id(fresh) not in self._used
        if kind == "Q":
            limit, *parts = parts
            value = fresh if keep else deque(maxlen=limit)
        else:
            value = fresh if keep else object.__new__(wanted) if kind == "O" else wanted()
        self._made[number] = value
        self._used.add(id(value))
        _FILL[kind](self, value, parts)
        return value

    def _object(self, name: str) -> Any:
        cls = self._find(name)
        if cls is None:
            raise Unreadable(f"{name} is not known here")
        return cls

    def _fill_object(self, value: Any, parts: list[Any]) -> None:
        for name, told in zip(parts[1::2], parts[2::2], strict=True):
            old = getattr(value, name, _GONE)
            found = self.paint(told, old)
            if found is not _GONE:
                setattr(value, name, found)

    def _fill_dict(self, value: dict[Any, Any], parts: list[Any]) -> None:
        old = dict(value)
        value.clear()
        for key, told in zip(parts[::2], parts[1::2], strict=True):
            name = unflat(key, self._find)
            found = self.paint(told, old.get(name, _GONE))
            if found is not _GONE:
                value[name] = found

    def _fill_set(self, value: set[Any], parts: list[Any]) -> None:
        value.clear()
        value.update(unflat(part, self._find) for part in parts)

    def _fill_row(self, value: Any, parts: list[Any]) -> None:
        old = list(value)
        value.clear()
        for at, told in enumerate(parts):
            found = self.paint(told, old[at] if at < len(old) else _GONE)
            if found is not _GONE:
                value.append(found)


_FILL = {
    "O": _Painter._fill_object,
    "D": _Painter._fill_dict,
    "S": _Painter._fill_set,
    "L": _Painter._fill_row,
    "Q": _Painter._fill_row,
}
__all__ = ["Unfit", "image", "restore"]
