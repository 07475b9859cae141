"""Every mistake in a register map, each with its line; `check(file, text)`.

The parser of maps ends at the first mistake, since the agent needs no more. Here what it complained of is mended in
memory, by leaving the key out or by a value that surely fits, and the map is parsed again, until nothing is left. What
was told of a place once is not told again, and a place that cannot be mended takes its table with it.

Beside mistakes there are remarks: what a map may say, but seldom means.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

import tomli

from drivers.api import gap
from drivers.io.iomap import IoMap, parse_io
from drivers.mapfile import MapError
from drivers.mapwords import EvseMap, MeterMap
from drivers.probe.maplines import Lines, path_of
from drivers.probe.shelf import is_file, kind_of, rows
from drivers.registers import Row
from drivers.regmap import ENERGY, MAX_FILE_BYTES, parse_evse, parse_meter

MAX_MISTAKES = 100
MAX_SYNTAX = 5  # beyond that the rest follows from the first
SYNTAX = re.compile(r"(?P<why>.*) \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)")
HINTS = {"Invalid value": "; a text stands in quotes, a number has a point and no comma"}
FITS: dict[str, Any] = {  # what may stand in the place of a required key
    "vendor": "?", "model": "?", "source": "?", "at": 0, "words": 1, "max": 32.0, "value": 1, "timeout_s": 10.0,
    "current_a": 6.0, "values": {"1": "A"}, "baud": 9600, "pilot": {"at": 0, "values": {"1": "A"}},
    "offer": {"at": 1, "max": 32.0}, "outputs": {"at": 0, "count": 1}, "count": 1,
    "on": 0x55, "off": 0xAA, "bit": 0,
    "registers": {ENERGY: {"at": 0, "type": "uint32"}},
    ENERGY: {"at": 0, "type": "uint32"},
}  # fmt: skip
CHOICES = ("pilot", "led", "stop_button")  # their values are a table; those of all others are a list
OWN: dict[str, dict[str, Any]] = {  # table -> what fits there only
    "stop_button": {"count": {"at": 0}, "seen": {"at": 1}},
    "phases": {"values": {"1": "1", "3": "3"}},
    "phases_told": {"values": {"1": "1", "3": "3"}},
    "wake": {"pulse_s": 4},
}
AnyMap = MeterMap | EvseMap | IoMap
PARSE: dict[str, Callable[[str, dict[str, Any]], AnyMap]] = {
    "meter": parse_meter,
    "evse": parse_evse,
    "io": parse_io,
}


class Mistake(NamedTuple):
    """One line for people: where, and what to do about it."""

    line: int
    where: str
    why: str


class Checked(NamedTuple):
    kind: str
    map: AnyMap | None  # None: there are mistakes
    mistakes: tuple[Mistake, ...]
    remarks: tuple[Mistake, ...]


def check_file(file: str) -> Checked:
    """As `check`; MapError when the file cannot be read at all."""
    path = Path(file)
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise MapError(f"{file}: is larger than {MAX_FILE_BYTES} bytes; a map is a small text")
        return check(file, path.read_text("utf-8"))
    except UnicodeDecodeError as error:
        raise MapError(f"{file}: is not UTF-8 text (byte {error.start})") from None
    except OSError as error:
        hint = "" if is_file(file) else "; a file is wanted here, not the name of a map"
        raise MapError(f"{file}: cannot be read: {error.strerror or error}{hint}") from None


def check(file: str, text: str) -> Checked:
    """All mistakes, in the order of their lines."""
    lines, mistakes = Lines(text), list[Mistake]()
    data = _toml(text, mistakes)
    kind = kind_of(file, data)
    found = _repeated(kind, file, data, lines, mistakes)
    mistakes.sort(key=lambda mistake: mistake.line)
    if mistakes or found is None:
        return Checked(kind, None, tuple(mistakes), ())
    return Checked(kind, found, (), tuple(sorted(_remarks(found, lines))))


def _toml(text: str, mistakes: list[Mistake]) -> dict[str, Any]:
    """The document; a line that is no TOML is told and left out."""
    lines = text.splitlines()
    for _ in range(MAX_SYNTAX):
        try:
            return tomli.loads("\n".join(lines) + "\n")
        except tomli.TOMLDecodeError as error:
            told = SYNTAX.fullmatch(str(error))
            number = min(int(told["line"]), len(lines)) if told and told["line"] else len(lines)
            why = told["why"] if told else str(error)
            mistakes.append(Mistake(number, "", f"is no TOML: {why}{HINTS.get(why, '')}"))
            if not number:
                break
            lines[number - 1] = ""
    return {}


def _repeated(kind: str, file: str, data: dict[str, Any], lines: Lines, mistakes: list[Mistake]) -> AnyMap | None:
    tries: dict[tuple[str, ...], int] = {}
    broken, unreadable = bool(mistakes), {mistake.line for mistake in mistakes}
    for _ in range(4 * MAX_MISTAKES):
        try:
            found = PARSE[kind](file, data)
            return None if broken else found
        except MapError as error:
            where, why = told(file, error)
            path = path_of(where)
            times = tries[path] = tries.get(path, 0) + 1
            follows = why.startswith("missing") and lines.of(path) in unreadable  # that line was told already
            if times == 1 and not (broken and not data) and not follows:
                mistakes.append(Mistake(lines.of(path), where, why))
            broken = True
            if not path or len(mistakes) >= MAX_MISTAKES:
                return None
            if times > 1 or not _renamed(data, path, why):
                _mend(data, path[: max(1, len(path) - times + 1)])
    return None


def told(file: str, error: MapError) -> tuple[str, str]:
    """Place and remedy of an error of `mapfile`, which are all in its one line."""
    where, _, why = str(error).removeprefix(f"{file}: ").partition(": ")
    return where, why


def _renamed(data: dict[str, Any], path: tuple[str, ...], why: str) -> bool:
    """A misspelt key gets the name that was meant, so that nothing else is blamed for its absence."""
    _, unknown, known = why.partition("is not a word of the map format here; known are ")
    place: Any = data
    for name in path[:-1]:
        place = place.get(name) if isinstance(place, dict) else None
    meant = get_close_matches(path[-1], known.split(", "), 1) if unknown and isinstance(place, dict) else []
    if not meant or meant[0] in place or path[-1] not in place:
        return False
    place[meant[0]] = place.pop(path[-1])
    return True


def _mend(data: dict[str, Any], path: tuple[str, ...]) -> None:
    """Leave the key out, or put there what fits."""
    place: Any = data
    for length, name in enumerate(path[:-1], 1):
        inner = place.get(name)
        if not isinstance(inner, dict):
            return _put(place, path[length - 1], path[0])
        place = inner
    return _put(place, path[-1], path[0])


def _put(place: dict[str, Any], key: str, table: str) -> None:
    fits = [1] if key == "values" and table not in CHOICES else FITS.get(key)
    fits = OWN.get(table, {}).get(key, fits)
    if key == "table" and "on" in place:
        fits = "holding"  # a coil has no values of its own
    if fits is None or place.get(key) == fits:
        place.pop(key, None)
    else:
        place[key] = {**fits} if isinstance(fits, dict) else fits


def _remarks(found: AnyMap, lines: Lines) -> Iterator[Mistake]:
    """What a map may say, but seldom means."""
    if isinstance(found, MeterMap):
        yield from _overlaps([r.row for r in found.registers], lines)
    elif isinstance(found, IoMap):
        if not found.guarded:
            yield Mistake(lines.of(("watchdog",)), "[watchdog]", "none: outputs stay as they are when the agent dies")
    elif why := gap(found.guard()):
        yield Mistake(lines.of(("watchdog",)), "[watchdog]", why)
    if not any(expected.values or expected.texts for expected in found.device.identify):
        yield Mistake(1, "", "has no [identify] with expect: another device with this unit number would not be noticed")
    if not found.device.verified:
        yield Mistake(lines.of(("confidence",)), "confidence", "the whole map is unverified")
        return
    for key in dict.fromkeys(row.key for row in rows(found) if not row.verified):
        yield Mistake(lines.of(("registers", key)), f'"{key}"', "is unverified")


def _overlaps(found: list[Row], lines: Lines) -> Iterator[Mistake]:
    """Two values that share a word: an address counted in the wrong steps, or a type too long."""
    last: Row | None = None
    for row in sorted((row for row in found if row.bit is None), key=lambda row: (row.table, row.at)):
        if last is not None and last.table == row.table and row.at < last.at + last.words:
            why = f"shares register {row.at} with {last.key!r}, which is {last.words} long from {last.at}"
            yield Mistake(lines.of(("registers", row.key)), f'"{row.key}"', why)
        last = row
