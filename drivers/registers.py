"""Modbus registers as values and back: the pure half of a register map.

A `Row` names one value in a device's registers. `decode` turns words into the value (SI units), `encode` the value into
words; the drivers use the one, the simulated hardware the other, so both agree on every map by construction. `plan`
groups neighbouring rows into as few reads as the device allows.

Rules kept: pure functions; a sentinel (`absent`), NaN and infinity decode to None, never to a number; one word is 16
bits, high byte first; `little` means the low word comes first.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import NamedTuple

from drivers.record import record

TABLES = ("input", "holding", "coil", "discrete")
BIT_TABLES = ("coil", "discrete")

# type -> (words, kind); a string's words are stated in its row.
TYPES: dict[str, tuple[int, str]] = {
    "bit": (1, "unsigned"),
    "int16": (1, "signed"),
    "uint16": (1, "unsigned"),
    "int32": (2, "signed"),
    "uint32": (2, "unsigned"),
    "int64": (4, "signed"),
    "uint64": (4, "unsigned"),
    "float32": (2, ">f"),
    "float64": (4, ">d"),
    "string": (0, "text"),
}
Image = dict[tuple[str, int], int]  # (table, address) -> word: all that one poll has read
CODES = {"int16": "h", "uint16": "H", "int32": "i", "uint32": "I", "int64": "q", "uint64": "Q"}  # of `struct`
CODES |= {"float32": "f", "float64": "d"}


class Row(NamedTuple):
    """One value: where it lies and how it is written. value = register * multiply / divide."""

    key: str
    table: str
    at: int
    type: str
    words: int
    little: bool = False
    multiply: float = 1.0
    divide: float = 1.0
    absent: tuple[int, ...] = ()  # bit patterns that mean "no value"
    bit: int | None = None  # only this bit of the register is ours
    verified: bool = True  # False: nobody has seen this register in a source or on a device


@record
class Read:
    """One request on the bus, and the rows that its answer holds."""

    table: str
    at: int
    count: int
    rows: tuple[Row, ...]

    def words_of(self, row: Row, answer: Sequence[int]) -> Sequence[int]:
        """The words of `row` in the answer to this read."""
        start = row.at - self.at
        return answer[start : start + row.words]


def factor(scale: float) -> tuple[float, float]:
    """A scale as (multiply, divide): 0.1 divides by 10, so that 2305 gives exactly 230.5."""
    inverse = 1 / scale
    if abs(scale) < 1 and abs(inverse - round(inverse)) < 1e-6 * abs(inverse):
        return 1.0, float(round(inverse))
    return scale, 1.0


def bits(row: Row, words: Sequence[int]) -> int:
    """The row's bit pattern as an unsigned number; of a bit row only that bit."""
    number = 0
    for word in reversed(words) if row.little else words:
        number = number << 16 | word
    return number if row.bit is None else number >> row.bit & 1


def words_from_bits(row: Row, pattern: int) -> list[int]:
    """The inverse of `bits` for a whole register (a bit row gives a word with its bit alone)."""
    if row.bit is not None:
        pattern <<= row.bit
    words = [pattern >> shift & 0xFFFF for shift in range(16 * (row.words - 1), -1, -16)]
    return words[::-1] if row.little else words


def words_in(row: Row, image: Image) -> list[int]:
    """The row's words among all that were read."""
    if row.words == 1:
        return [image[row.table, row.at]]
    return [image[row.table, row.at + i] for i in range(row.words)]


def raw(row: Row, words: Sequence[int]) -> int:
    """The register as a plain integer without scale, for enumerations and flags."""
    pattern = bits(row, words)
    width = 16 * row.words
    return pattern - (1 << width) if TYPES[row.type][1] == "signed" and pattern >> width - 1 else pattern


def decode(row: Row, words: Sequence[int]) -> float | None:
    """The value in SI units; None when the device says that it has none."""
    pattern = bits(row, words)
    if pattern in row.absent:
        return None
    kind = TYPES[row.type][1]
    if kind.startswith(">"):
        number: float = struct.unpack(kind, pattern.to_bytes(2 * row.words, "big"))[0]
        value = number * row.multiply / row.divide
        return value if math.isfinite(value) else None
    return raw(row, words) * row.multiply / row.divide


class Decoder:
    """`decode` for all rows of one read, in their order. Plain numbers are taken by one `struct` for the whole answer:
    a meter's some thirty values are decoded each second for years. Words of values with the low word first are put into
    the usual order before that."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._words = struct.Struct(f">{read.count}H")
        self._scales: list[tuple[int, float, float, frozenset[float]]] = []
        self._others: list[tuple[int, Row]] = []
        order = list(range(read.count))
        code, at = ">", read.at
        for index, row in enumerate(read.rows):
            if _is_plain(row) and row.at >= at:
                code += f"{2 * (row.at - at)}x{CODES[row.type]}"
                at = row.at + row.words
                self._scales.append((index, row.multiply, row.divide, _absent_numbers(row)))
                if row.little:
                    order[row.at - read.at : at - read.at] = range(at - read.at - 1, row.at - read.at - 1, -1)
            else:
                self._others.append((index, row))
        self._numbers = struct.Struct(code)
        self._turn = None if order == sorted(order) else itemgetter(*order)

    def values(self, words: Sequence[int]) -> list[float | None]:
        """The values in the words of the whole read."""
        found: list[float | None] = [None] * len(self._read.rows)
        numbers = self._numbers.unpack_from(self._words.pack(*(self._turn(words) if self._turn else words)))
        isfinite = math.isfinite
        for number, (index, multiply, divide, absent) in zip(numbers, self._scales, strict=True):
            value = number * multiply / divide
            if isfinite(value) and number not in absent:
                found[index] = value
        for index, row in self._others:
            found[index] = decode(row, self._read.words_of(row, words))
        return found


def _is_plain(row: Row) -> bool:
    whole = row.bit is None and row.type in CODES and row.words == TYPES[row.type][0]
    return whole and not (row.absent and TYPES[row.type][1].startswith(">"))


def _absent_numbers(row: Row) -> frozenset[float]:
    """The sentinels of an integer as the numbers that they look like."""
    return frozenset(raw(row, words_from_bits(row, pattern)) for pattern in row.absent)


def encode(row: Row, value: float | None) -> list[int]:
    """The words that `decode` turns into `value` (as near as the register can say it); ValueError when it cannot."""
    return words_from_bits(row, _pattern(row, value))


def encode_down(row: Row, value: float) -> list[int]:
    """As `encode`, but never says more than `value`: a current is rounded towards less."""
    if TYPES[row.type][1].startswith(">"):
        words = encode(row, value)
        held = decode(row, words)
        more = held is not None and held > value > 0
        return words_from_bits(row, bits(row, words) - 1) if more else words  # the next smaller float
    steps = math.floor(value * row.divide / row.multiply + 1e-6)
    return words_from_bits(row, _integer_pattern(row, steps))


def decode_text(row: Row, words: Sequence[int]) -> str:
    """A string row's text, printable ASCII only, without padding."""
    data = b"".join(word.to_bytes(2, "big") for word in (reversed(words) if row.little else words))
    return "".join(chr(b) for b in data.split(b"\0", 1)[0] if 32 <= b < 127).strip()


def encode_text(row: Row, text: str) -> list[int]:
    """The words of a string row, padded with zeros; ValueError when the text is too long or not ASCII."""
    data = text.encode("ascii")
    if len(data) > 2 * row.words:
        raise ValueError(f"{row.key}: {len(data)} characters do not fit into {row.words} words")
    return words_from_bits(row, int.from_bytes(data.ljust(2 * row.words, b"\0"), "big"))


def put(image: dict[int, int], row: Row, words: Sequence[int]) -> None:
    """Write encoded words into a register image; a bit row leaves the other bits of its register alone."""
    if row.bit is not None:
        mask = 1 << row.bit
        image[row.at] = image.get(row.at, 0) & ~mask | words[0] & mask
        return
    for offset, word in enumerate(words):
        image[row.at + offset] = word


def plan(rows: Iterable[Row], max_words: int, max_gap: int) -> tuple[Read, ...]:
    """Reads that cover all rows, each at most `max_words` long, bridging holes of at most `max_gap` words."""
    reads: list[list[Row]] = []
    for row in sorted(rows, key=lambda r: (r.table, r.at, r.words)):
        if reads and _joins(reads[-1], row, max_words, max_gap):
            reads[-1].append(row)
        else:
            reads.append([row])
    return tuple(_read(group) for group in reads)


def _joins(group: list[Row], row: Row, max_words: int, max_gap: int) -> bool:
    first, end = group[0], max(r.at + r.words for r in group)
    fits = max(end, row.at + row.words) - first.at <= max_words
    return first.table == row.table and row.at - end <= max_gap and fits


def _read(group: list[Row]) -> Read:
    first, end = group[0], max(r.at + r.words for r in group)
    return Read(first.table, first.at, end - first.at, tuple(group))


def _pattern(row: Row, value: float | None) -> int:
    kind = TYPES[row.type][1]
    if value is None:
        return _absent_pattern(row)
    if not kind.startswith(">") and not math.isfinite(value):
        raise ValueError(f"{row.key}: {value} does not fit into {row.type}")
    if kind.startswith(">"):
        try:
            return int.from_bytes(struct.pack(kind, value * row.divide / row.multiply), "big")
        except OverflowError:
            raise ValueError(f"{row.key}: {value} does not fit into {row.type}") from None
    return _integer_pattern(row, round(value * row.divide / row.multiply))


def _absent_pattern(row: Row) -> int:
    if row.absent:
        return row.absent[0]
    if TYPES[row.type][1].startswith(">"):
        return int.from_bytes(struct.pack(TYPES[row.type][1], math.nan), "big")
    raise ValueError(f"{row.key}: this register has no way to say that there is no value")


def _integer_pattern(row: Row, number: int) -> int:
    width = 1 if row.bit is not None or row.type == "bit" else 16 * row.words
    signed = TYPES[row.type][1] == "signed"
    low, high = (-(1 << width - 1), (1 << width - 1) - 1) if signed else (0, (1 << width) - 1)
    if not low <= number <= high:
        raise ValueError(f"{row.key}: {number} does not fit into {row.type} ({low}..{high})")
    return number & (1 << width) - 1
