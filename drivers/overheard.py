"""What goes over a bus, in the words of the register maps: `Current.Import@L1 16.2 A` beside `0006: 4181 999A`.

For a technician who looks on; a driver never needs it. A register that no map names is shown as it is, unless it holds
a text: that may be the card of whoever charges.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from drivers.api import UNIT
from drivers.bus import READ_FUNCTION
from drivers.busstats import Exchange
from drivers.mapwords import Choice, EvseMap, Expected, Flag, MeterRow
from drivers.record import as_dict
from drivers.registers import Row, decode, decode_text, raw

WRITES = {5: "coil", 6: "holding", 15: "coil", 16: "holding"}
_TABLE_OF = {function: table for table, function in READ_FUNCTION.items()}
MAX_SHOWN = 40  # registers that no map names
SHORTEST_TEXT = 4  # bytes


class _Known(NamedTuple):
    """A register and how its value is said: `name` for people, and what else a map knows of it."""

    name: str
    row: Row
    unit: str = ""
    words: Any = None  # Choice or Flag


def decoded(exchange: Exchange) -> Iterator[tuple[str, str, str]]:
    """Name, value and registers (in hexadecimal, with their address) of each value that was asked for or written."""
    function, at = exchange.function, exchange.address
    words = exchange.answer if function in _TABLE_OF else exchange.payload
    if isinstance(words, int):
        return
    table = _TABLE_OF.get(function) or WRITES.get(function, "?")
    named: set[int] = set()
    for known in _known(exchange.device.maps):
        row = known.row
        start = row.at - at
        if row.table == table and start >= 0 and start + row.words <= len(words):
            own = words[start : start + row.words]
            named.update(range(row.at, row.at + row.words))
            yield known.name, _value(known, own), _raw(row.at, own)
    left = [(at + i, word) for i, word in enumerate(words) if at + i not in named]
    if left and not named:
        hidden = f"(a text in {len(left)} registers)" if _is_text(words) else ""
        yield "", "", hidden or " ".join(f"{word:04X}" for _, word in left[:MAX_SHOWN])


def is_text(exchange: Exchange) -> bool:
    """Whether it bears a text in registers that no map names: what a meter is to sign has the driver's card in it."""
    words = exchange.answer if isinstance(exchange.payload, int) else exchange.payload
    return _is_text(words) and not any(name for name, _value, _registers in decoded(exchange))


def _is_text(words: Sequence[int]) -> bool:
    data = b"".join((word & 0xFFFF).to_bytes(2, "big") for word in words).strip(b"\0")
    try:
        return len(data) >= SHORTEST_TEXT and data.decode().isprintable()
    except UnicodeDecodeError:
        return False


def _raw(at: int, words: Sequence[int]) -> str:
    return f"{at:04X}: {' '.join(f'{word:04X}' for word in words)}"


def _value(known: _Known, words: Sequence[int]) -> str:
    row = known.row
    if isinstance(known.words, Choice):
        return known.words.word(words) or f"{raw(row, words)} (the map has no word for it)"
    if isinstance(known.words, Flag):
        return "yes" if known.words.is_set(words) else "no"
    if row.type == "string":
        return repr(decode_text(row, words))
    value = decode(row, words)
    return "no value" if value is None else f"{round(value, 3):.12g} {known.unit}".rstrip()


def _known(maps: Sequence[object]) -> list[_Known]:
    return [known for one in maps for known in _of_map(_Same(one))]


class _Same:
    """A map as the key of a cache: by its identity, for a map may hold what has no hash."""

    def __init__(self, found: object) -> None:
        self.found = found

    def __hash__(self) -> int:
        return id(self.found)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.found is self.found


@lru_cache(maxsize=32)
def _of_map(same: _Same) -> tuple[_Known, ...]:
    found = list(_walk(same.found))
    if isinstance(same.found, EvseMap):
        amps = {row for row in (same.found.cable, same.found.offer.row) if row}
        faults = {flag.row: f"fault {fault}" for fault, flag in same.found.faults}
        found = [
            known._replace(name=faults.get(known.row, known.name), unit="A" if known.row in amps else known.unit)
            for known in found
        ]
    unique = {(known.row, known.words is None): known for known in reversed(found)}
    rows_said = {row for row, plain in unique if not plain}
    kept = [known for (row, plain), known in unique.items() if not (plain and row in rows_said)]
    return tuple(sorted(kept, key=lambda known: (known.row.table, known.row.at, known.row.bit or 0)))


def _walk(value: object) -> Iterator[_Known]:
    """Every register of a map, each with the nearest meaning around it."""
    if isinstance(value, Row):
        yield _Known(value.key, value)
    elif isinstance(value, MeterRow):
        name = f"{value.measurand}@{value.phase}" if value.phase else str(value.measurand)
        for row in (value.row, *value.plus):
            yield _Known(name, row, UNIT[value.measurand])
    elif isinstance(value, Choice | Flag):
        yield _Known(value.row.key, value.row, "", value)
    elif isinstance(value, Expected):
        yield _Known(value.row.key, value.row)
    elif isinstance(value, tuple | list):
        for part in value:
            yield from _walk(part)
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _walk(part)
    elif hasattr(value, "_fields"):
        yield from _walk(tuple(as_dict(value).values()))
