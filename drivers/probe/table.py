"""Values beside the registers that they come from: one poll of everything in a map, for people's eyes.

The reads are those of the driver. One that is refused is repeated register by register, so that the guilty one is
named; a register that cannot be read is a `Value` with its `why`, and the others are still told. A device that is
silent from the start is a DriverError.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from drivers.api import UNIT, DriverError, Measurand, Phase
from drivers.bus import Bus
from drivers.io.iomap import IoMap
from drivers.mapwords import Device, EvseMap, MeterMap
from drivers.registers import Read, Row, decode, decode_text, plan

Meaning = tuple[Measurand, Phase | None]
Samples = dict[Meaning, float]
Units = dict[Row, str]
ANALOGUE = "analogue input"


class Value(NamedTuple):
    """One register: `words` as they came, `value` in `unit`; None when it is absent, NaN or could not be read."""

    row: Row
    words: tuple[int, ...]
    value: float | str | None
    unit: str = ""
    why: str = ""

    @property
    def shown(self) -> str:
        """The value for people."""
        if self.why:
            return self.why
        if self.value is None:
            return "no value"
        if isinstance(self.value, str):
            return self.value
        return f"{round(self.value, 3):.12g} {self.unit}".rstrip()

    @property
    def raw(self) -> str:
        """The registers in hexadecimal, in the order of their addresses."""
        return " ".join(f"{word:04X}" for word in self.words)


async def read_meter(bus: Bus, unit: int, found: MeterMap) -> list[Value]:
    """All registers of a meter, in the order of the map; the parts of a sum behind it."""
    units = {row: UNIT[r.measurand] for r in found.registers for row in (r.row, *r.plus)}
    rows = [row for r in found.registers for row in (r.row, *r.plus)]
    return await _in_order(bus, unit, (*found.fast, *found.slow), rows, units)


async def read_evse(bus: Bus, unit: int, found: EvseMap) -> list[Value]:
    """All registers that a controller's poll reads."""
    units = {row: "A" for row in (found.cable, found.offer.row) if row}
    faults = {flag.row: f"fault {fault}" for fault, flag in found.faults}
    rows = [row for read in found.reads for row in read.rows]
    values = await _in_order(bus, unit, found.reads, rows, units)
    return [v._replace(row=v.row._replace(key=faults.get(v.row, v.row.key))) for v in values]


async def read_io(bus: Bus, unit: int, found: IoMap) -> list[Value]:
    """All channels of an IO board, and what it keeps for the time without a master."""
    rows, units = io_rows(found), {}
    if found.watchdog is not None:
        units[found.watchdog.row] = "s"
    units |= {row: "V" for row in rows if row.key.startswith(ANALOGUE)}
    return await _in_order(bus, unit, plan(rows, found.device.max_words, 0), rows, units)


def io_rows(found: IoMap) -> list[Row]:
    """Each channel as a register of its own name, then watchdog, safe values and settings."""
    rows: list[Row] = []
    if found.outputs is not None:
        rows += _channels("output", found.outputs.row._replace(at=found.outputs.readback), found.outputs.numbers)
    for name, part in (("input", found.inputs), (ANALOGUE, found.analog)):
        if part is not None:
            rows += _channels(name, part.row, part.numbers)
    if found.watchdog is not None:
        rows.append(found.watchdog.row)
    if found.safe is not None and found.outputs is not None:
        safe = Row("safe", "coil", found.safe.at, "bit", 1)
        rows += _channels("safe value of output", safe, found.outputs.numbers)
    return [*rows, *(write.row for write in found.settings)]


def _channels(name: str, first: Row, numbers: Sequence[int]) -> list[Row]:
    return [first._replace(key=f"{name} {number}", at=first.at + k) for k, number in enumerate(numbers)]


async def read_identity(bus: Bus, unit: int, device: Device) -> list[Value]:
    """The identification registers, each read alone; one that says another device is there has its `why`."""
    values = []
    for expected in device.identify:
        row = expected.row
        [value] = await _alone(bus, unit, (row,), {})
        if not value.why and not expected.fits(value.words):
            known = ", ".join(map(str, expected.values or expected.texts))
            value = value._replace(why=f"{value.shown}, but the map expects {known}")
        values.append(value)
    return values


async def _in_order(bus: Bus, unit: int, reads: Sequence[Read], rows: Sequence[Row], units: Units) -> list[Value]:
    values: dict[Row, Value] = {}
    for read in reads:
        for value in await _one(bus, unit, read, units):
            values[value.row] = value
    return [values[row] for row in dict.fromkeys(rows)]


async def _one(bus: Bus, unit: int, read: Read, units: Units) -> list[Value]:
    try:
        answer = await bus.read(unit, read.table, read.at, read.count)
    except DriverError:
        if bus.stats.devices[unit].failing:
            raise
        return await _alone(bus, unit, read.rows, units)
    return [_value(row, read.words_of(row, answer), units) for row in read.rows]


async def _alone(bus: Bus, unit: int, rows: Sequence[Row], units: Units) -> list[Value]:
    values = []
    for [read] in (plan([row], row.words, 0) for row in rows):
        try:
            words = await bus.read(unit, read.table, read.at, read.count)
        except DriverError as error:
            if bus.stats.devices[unit].failing:
                raise
            values.append(Value(read.rows[0], (), None, why=str(error).rpartition(": ")[2]))
        else:
            values.append(_value(read.rows[0], words, units))
    return values


def _value(row: Row, words: Sequence[int], units: Units) -> Value:
    value = decode_text(row, words) if row.type == "string" else decode(row, words)
    return Value(row, tuple(words), value, units.get(row, ""))


def samples(found: MeterMap, values: Sequence[Value]) -> Samples:
    """What the driver would tell: sums added, absent values left out."""
    known = {value.row: value.value for value in values if isinstance(value.value, float)}
    told: Samples = {}
    for row in found.registers:
        parts = [known.get(part) for part in (row.row, *row.plus)]
        if None not in parts:
            told[row.measurand, row.phase] = sum(part for part in parts if part is not None)
    return told
