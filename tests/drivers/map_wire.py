"""What a map's file says, read without the project's own code, and a slave that keeps its tables apart.

The types, orders, scales and units of a map are worked out here a second time, from the TOML itself, so that a test
compares two readings of the same file.
"""

from __future__ import annotations

import math
import struct
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli

from drivers.bus import SerialSettings
from tests.drivers.bus_helpers import Pty, Request, Slave, exception, with_crc

MAPS = Path(__file__).parents[2] / "drivers" / "maps"
CODES = {"int16": "h", "uint16": "H", "int32": "i", "uint32": "I", "int64": "q", "uint64": "Q"}
FLOATS = {"float32": "f", "float64": "d"}
FACTORS = {"m": 1e-3, "k": 1e3, "M": 1e6}
TABLES = {1: "coil", 2: "discrete", 3: "holding", 4: "input"}
Words = dict[tuple[str, int], int]  # (table, address) -> word


@dataclass(frozen=True)
class Field:
    """One row of `[registers]`, as it stands in the file."""

    key: str
    table: str
    addresses: tuple[int, ...]  # more than one: they are added
    code: str  # of `struct`
    little: bool
    factor: float
    absent: tuple[int, ...]

    @property
    def size(self) -> int:
        return struct.calcsize(">" + self.code) // 2

    @property
    def is_float(self) -> bool:
        return self.code in FLOATS.values()

    def words(self, pattern: int) -> list[int]:
        """A bit pattern as it goes over the line."""
        data = pattern.to_bytes(2 * self.size, "big")
        words = [data[i] << 8 | data[i + 1] for i in range(0, len(data), 2)]
        return words[::-1] if self.little else words

    def value(self, pattern: int) -> float | None:
        """What the pattern means in the SI unit; None: nothing."""
        if any(pattern == value % (1 << 16 * self.size) for value in self.absent):
            return None
        number: float = struct.unpack(">" + self.code, pattern.to_bytes(2 * self.size, "big"))[0]
        return number * self.factor if math.isfinite(number * self.factor) else None


def fields(name: str) -> list[Field]:
    """The rows of a meter's map."""
    top = tomli.loads((MAPS / "meter" / f"{name}.toml").read_text("utf-8"))
    return [_field(key, top, row) for key, row in top["registers"].items()]


def _field(key: str, top: dict[str, Any], row: dict[str, Any]) -> Field:
    kind = row.get("type", top.get("type", "uint16"))
    order = row.get("order", top.get("order", "big"))
    prefix = row.get("unit", "")[:1] if len(row.get("unit", "")) > 1 else ""
    factor = row.get("scale", 1) * FACTORS.get(prefix, 1.0)
    absent = row.get("absent", top.get("absent", {}).get(kind, []))
    table = row.get("table", top.get("table", "holding"))
    addresses = (row["at"], *row.get("plus", []))
    return Field(key, table, addresses, {**CODES, **FLOATS}[kind], order == "little", factor, tuple(absent))


def mask_of(evse: str, table: str) -> int:
    """The bits of a register that a controller's map looks at; -1: all."""
    mask: int = tomli.loads((MAPS / "evse" / f"{evse}.toml").read_text("utf-8"))[table].get("mask", -1)
    return mask


def extremes(field: Field) -> list[int]:
    """Bit patterns at the ends of a field's type, about nothing, and those that mean no value."""
    bits = 16 * field.size
    if not field.is_float:
        ends = [0, 1, (1 << bits) - 1, (1 << bits - 1) - 1, 1 << bits - 1, *(v % (1 << bits) for v in field.absent)]
        return sorted(set(ends))
    largest, smallest = (3.4028234663852886e38, 1e-45) if bits == 32 else (1.7976931348623157e308, 5e-324)
    numbers = [0.0, -0.0, 1.0, -230.25, largest, -largest, smallest, math.inf, -math.inf, math.nan]
    return [int.from_bytes(struct.pack(">" + field.code, number), "big") for number in numbers]


class TableSlave(Slave):
    """A slave whose tables hold different things at the same address; a word that is not in `image` is `rest`."""

    def __init__(self, pty: Pty, image: Words, rest: int = 0xDEAD) -> None:
        super().__init__(pty, {1: {}})
        self.image = image
        self.rest = rest
        self.refused: list[Request] = []
        self.longest = 125

    def _answer(self, r: Request) -> bytes:
        if not r.is_read:
            table = "coil" if r.function in (5, 15) else "holding"
            self.image.update({(table, r.address + i): word for i, word in enumerate(r.words)})
            return with_crc(bytes([1, r.function]) + r.address.to_bytes(2, "big") + r.count.to_bytes(2, "big"))
        if r.count > self.longest:
            self.refused.append(r)
            return exception(r, 3)
        words = [self.image.get((TABLES[r.function], r.address + i), self.rest) for i in range(r.count)]
        body = b"".join(word.to_bytes(2, "big") for word in words)
        if r.function <= 2:
            bits = sum((word & 1) << i for i, word in enumerate(words))
            body = bits.to_bytes((r.count + 7) // 8, "little")
        return with_crc(bytes([1, r.function, len(body)]) + body)


class Recorded(Slave):
    """Answers the very requests of a record with its very answers, and nothing else."""

    def __init__(self, pty: Pty, record: dict[str, str]) -> None:
        super().__init__(pty, {})
        self._record = {bytes.fromhex(request): bytes.fromhex(answer) for request, answer in record.items()}
        self.unknown: list[str] = []

    def _on_data(self, data: bytes) -> None:
        self._buffer += data
        for request, answer in self._record.items():
            if self._buffer == request:
                self._buffer = b""
                self._pty.send(answer)
                return
        if not any(request.startswith(self._buffer) for request in self._record):
            self.unknown.append(self._buffer.hex(" "))
            self._buffer = b""


@asynccontextmanager
async def plugged(path: Path) -> AsyncIterator[tuple[Pty, SerialSettings]]:
    """A serial port with nothing on it yet."""
    pty = Pty(path)
    pty.plug()
    try:
        yield pty, SerialSettings(str(path), baud=115200)
    finally:
        pty.unplug()


def placed(field: Field, patterns: Sequence[int]) -> Iterator[tuple[tuple[str, int], int]]:
    """The words of a field, and of what is added to it, each at its address."""
    for at, pattern in zip(field.addresses, patterns, strict=True):
        for offset, word in enumerate(field.words(pattern)):
            yield (field.table, at + offset), word
