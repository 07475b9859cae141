"""Reading tables of a TOML map with every check at load: wrong types, unknown keys, missing keys.

Rule kept: an error is one line that names file, table and key, what was expected, and what to do about it. Whoever
writes a map sees nothing else of this code.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NoReturn, TypeVar

from drivers.api import DriverError

_T = TypeVar("_T")


class MapError(DriverError, ValueError):
    """A map cannot be used; `str()` is one line: file, table, key, remedy."""


class Section:
    """One TOML table being read: takes keys, remembers them, and complains about what nobody took."""

    def __init__(self, file: str, name: str, data: Mapping[str, Any]) -> None:
        self.file = file
        self.name = name
        self._data = data
        self._taken: set[str] = set()
        self._asked: set[str] = set()  # words that may be here and need not

    def fail(self, key: str, why: str) -> NoReturn:
        """Raise the one line."""
        where = " ".join(part for part in (self.name, _told(key)) if part)
        raise MapError(f"{self.file}: {where}: {why}")

    def keys(self) -> list[str]:
        return list(self._data)

    def has(self, key: str) -> bool:
        self._asked.add(key)
        return key in self._data

    def get(self, key: str, kind: type[_T], default: _T | None = None) -> _T:
        """The value of `key`; without a default the key is required."""
        self._taken.add(key)
        if key not in self._data:
            if default is None and kind is dict and not self.name:
                self.fail(f"[{key}]", "missing; add this table")
            if default is None:
                self.fail(key, f"missing; add {key} = {_EXAMPLES[kind]}")
            return default
        value = self._data[key]
        if kind is float and type(value) is int:
            value = float(value)
        if type(value) is not kind:
            self.fail(key, f"is {_shown(value)}; expected {_NAMES[kind]}")
        return value

    def word(self, key: str, words: Iterable[str], default: str | None = None) -> str:
        """A text that must be one of `words`."""
        known = tuple(words)
        value = self.get(key, str, default)
        if value not in known:
            self.fail(key, f"is {_shown(value)}; use one of {', '.join(known)}")
        return value

    def number(self, key: str, low: int, high: int, default: int | None = None) -> int:
        """An integer from `low` to `high`."""
        value = self.get(key, int, default)
        if not low <= value <= high:
            self.fail(key, f"is {value}; expected {low}..{high}")
        return value

    def numbers(self, key: str, default: list[int] | None = None) -> tuple[int, ...]:
        """A list of integers."""
        value = self.get(key, list, default)
        for item in value:
            if type(item) is not int:
                self.fail(key, f"holds {_shown(item)}; expected a list of integers")
        return tuple(value)

    def texts(self, key: str, default: list[str] | None = None) -> tuple[str, ...]:
        """A list of texts."""
        value = self.get(key, list, default)
        for item in value:
            if type(item) is not str or not item:
                self.fail(key, f"holds {_shown(item)}; expected a list of texts")
        return tuple(value)

    def section(self, key: str) -> Section:
        """A table inside this one."""
        return Section(self.file, self.inner(key), self.get(key, dict))

    def sections(self, key: str) -> list[Section]:
        """One table, or a list of tables, under the same key."""
        if not isinstance(self._data.get(key), list):
            return [self.section(key)]
        items = self.get(key, list)
        for item in items:
            if not isinstance(item, dict):
                self.fail(key, f"holds {_shown(item)}; expected tables such as {{ at = 0 }}")
        return [Section(self.file, self.inner(key), item) for item in items]

    def inner(self, key: str) -> str:
        quoted = key if key.replace("_", "").replace("-", "").isalnum() else f'"{_printable(key)}"'
        return f"{self.name} {quoted}" if self.name else f"[{key}]"

    def done(self, known: Iterable[str] = ()) -> None:
        """Complain about the first key that nobody took."""
        for key in self._data:
            if key not in self._taken:
                names = sorted(self._taken.union(self._asked, known))
                self.fail(key, f"is not a word of the map format here; known are {', '.join(names)}")


def _shown(value: object) -> str:
    """A value as it may stand in one line."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _told(key: str) -> str:
    """A key as one word: names of a map's own, which have spaces, in quotes."""
    return f'"{_printable(key)}"' if " " in key and key[0] not in '"[' else _printable(key)


def _printable(key: str) -> str:
    return key if key.isprintable() else repr(key)[1:-1]


_NAMES = {int: "an integer", float: "a number", str: "a text", list: "a list", dict: "a table", bool: "true or false"}
_EXAMPLES = {int: "0x0000", float: "1.0", str: '"..."', list: "[...]", dict: "{ at = 0x0000 }", bool: "true"}
