"""What the store remembers, read back without trust. Not a block; every block reads its tables with this.

A row may be of a newer firmware that was rolled back, or have survived damage: whatever does not have the
shape that its reader knows is forgotten, with one line in the log, and never ends the process. A charger that could not
start for what it remembers could not be helped from afar. The shapes raise `ValueError`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from math import isfinite
from typing import Any, TypeVar

from agent.core.effects import Effect, Forget, Note
from agent.core.events import Restored
from agent.core.types import ClockQuality, Instant
from drivers.api import IdToken

T = TypeVar("T")
MOST = 1e15  # no moment, energy or number of ours is beyond it
UNREADABLE = (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError)


class Kept:
    """The rows of one table that `decode(key, value)` can read; `forget` yields what follows for the others."""

    def __init__(self, e: Restored, table: str) -> None:
        self.table, self._rows = table, e.tables.get(table, {})
        self._bad: list[str] = []

    def rows(self, decode: Callable[[str, Any], T]) -> dict[str, T]:
        return {key: value for key in self._rows for value in self._read(key, decode)}

    def row(self, key: str, decode: Callable[[str, Any], T]) -> T | None:
        """The row of that name; None when there is none."""
        return next(iter(self._read(key, decode)), None) if key in self._rows else None

    def _read(self, key: str, decode: Callable[[str, Any], T]) -> list[T]:
        try:
            return [decode(key, self._rows[key])]
        except UNREADABLE:
            self._bad.append(key)
            return []

    def forget(self) -> Iterator[Effect]:
        for key in self._bad:
            yield Forget(self.table, key)
        if self._bad:
            text = f"{len(self._bad)} rows of what was remembered as {self.table} cannot be read and are forgotten"
            yield Note("warning", "Unreadable", text, (("TABLE", self.table),))


# --- shapes -------------------------------------------------------------------------------------------------


def number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not isfinite(value) or abs(value) > MOST:
        raise ValueError("no number")
    return value


def whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > 1 << 62:
        raise ValueError("no whole number")
    return value


def text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("no text")
    return value


def flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("neither true nor false")
    return value


def maybe(shape: Callable[[Any], T], value: Any) -> T | None:
    return None if value is None else shape(value)


def token(value: Any) -> IdToken:
    name, kind = value
    return IdToken(text(name), text(kind))


def instant(value: Any) -> Instant:
    mono, utc, quality, boot = value
    return Instant(number(mono), number(utc), ClockQuality(whole(quality)), text(boot))


def fields(value: Any, shapes: Mapping[str, Callable[[Any], Any]]) -> dict[str, Any]:
    """Those of these names, each of its shape; what a newer firmware knows beyond them is left out."""
    return {name: shape(value[name]) for name, shape in shapes.items() if name in value}
