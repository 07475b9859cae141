"""What the dialects share: times and numbers as they stand on the wire, and careful reading of one field.

Readers (`text`, `integer`, ...) turn a JSON value into what is meant or raise `RpcError(rule, why)`, with a rule of
`codes.Rule` in place of the code. They forgive what cannot be misunderstood (42.0 and "42" for 42, an offset or a
fraction in a time: 1.6 errata 3.10) and nothing else. `need` and `want` apply one to a member of a payload.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from math import isfinite
from typing import Any, TypeVar

from agent.core.types import Instant
from agent.errors import RpcError

T = TypeVar("T")
Reader = Callable[[object], T]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST_MS = 253402300799999  # the last millisecond of the year 9999
_LONGEST_NUMERAL = 20
_GREATEST = 2**63


# --- writing ---


def stamp(at: Instant) -> str:
    """UTC with milliseconds and Z, as every central system reads it."""
    return stamp_utc(at.utc)


def stamp_utc(utc: float) -> str:
    milliseconds = min(max(round(utc * 1000), 0), _LATEST_MS)
    return (_EPOCH + timedelta(milliseconds=milliseconds)).isoformat(timespec="milliseconds")[:-6] + "Z"


def tidy(value: float) -> float | int:
    """A measured value without the noise of binary fractions: three decimals, whole numbers as such."""
    rounded = round(value, 3)
    return int(rounded) if rounded == int(rounded) else rounded


def without_empty(**members: Any) -> dict[str, Any]:
    """The members that have something to say: not None and not an empty text."""
    return {name: value for name, value in members.items() if value is not None and value != ""}


# --- reading one value ---


def text(value: object) -> str:
    if isinstance(value, str):
        return value
    raise RpcError("type", "must be a string")


def integer(value: object) -> int:
    if isinstance(value, str) and len(value) <= _LONGEST_NUMERAL and value.isascii():
        value = _numeral(value)
    if isinstance(value, float) and isfinite(value) and value == int(value):
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < _GREATEST:
        return value
    raise RpcError("type", "must be an integer")


def number(value: object) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and -_GREATEST < value < _GREATEST:
        return float(value)
    raise RpcError("type", "must be a number")


def natural(value: object) -> int:
    """An integer from 0."""
    found = integer(value)
    if found < 0:
        raise RpcError("minimum", "must not be negative")
    return found


def time(value: object) -> float:
    """UTC epoch seconds. A time without a zone is taken for UTC, as those who send it mean it."""
    try:
        moment = datetime.fromisoformat(text(value).strip().upper())
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise RpcError("syntax", "must be a date and time") from None


def branch(value: object) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    raise RpcError("type", "must be an object")


def listed(read: Reader[T], most: int, fewest: int = 1) -> Reader[tuple[T, ...]]:
    """A reader of lists."""

    def read_all(value: object) -> tuple[T, ...]:
        if not isinstance(value, list):
            raise RpcError("type", "must be an array")
        if not fewest <= len(value) <= most:
            raise RpcError("maxItems" if value else "minItems", f"must have {fewest} to {most} items")
        return tuple(map(read, value))

    return read_all


def one_of(words: Mapping[str, T]) -> Reader[T]:
    """A reader of enumerations."""

    def read(value: object) -> T:
        word = text(value)
        if word not in words:
            raise RpcError("enum", "must be one of " + ", ".join(list(words)[:5]))
        return words[word]

    return read


def same(words: Iterable[str]) -> dict[str, str]:
    """A table for `one_of` in which each word means itself."""
    return {str(word): str(word) for word in words}


# --- reading a member of a payload ---


def need(payload: Mapping[str, Any], name: str, read: Reader[T]) -> T:
    """A member that must be there."""
    if payload.get(name) is None:
        raise RpcError("required", f"{name}: is missing")
    return _read(payload[name], name, read)


def want(payload: Mapping[str, Any], name: str, read: Reader[T]) -> T | None:
    """A member that may be there."""
    return None if payload.get(name) is None else _read(payload[name], name, read)


def hope(payload: Mapping[str, Any], name: str, read: Reader[T]) -> T | None:
    """A member of an answer: None when it is absent or unreadable, for nobody can be told."""
    try:
        return want(payload, name, read)
    except RpcError:
        return None


def _read(value: object, name: str, read: Reader[T]) -> T:
    try:
        return read(value)
    except RpcError as wrong:
        raise RpcError(wrong.code, f"{name}: {wrong.why}"[:200]) from None


def _numeral(value: str) -> object:
    try:
        return float(value) if "." in value else int(value)
    except ValueError:
        return value
