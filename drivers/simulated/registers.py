"""The registers of a simulated device, computed from the world through the very rows that the drivers read.

`SimDevice.read(table, address, count)` gives words, a Modbus exception code, or None for no answer at all, and
`write(table, address, words)` turns orders back into the world. It does no I/O and knows no time: whoever calls has
advanced the world. A device is strict where a real one is: reads over its limit, addresses it does not have and orders
outside its range are refused with the exception that Modbus has for it.
"""

from __future__ import annotations

from collections.abc import Sequence

from drivers.mapped_meter import NUMBER
from drivers.mapwords import Device, MeterMap
from drivers.registers import Row, decode, encode, encode_text, put, words_from_bits
from drivers.simulated.charging_point import ChargingPoint
from drivers.simulated.evse_registers import ILLEGAL_ADDRESS, ILLEGAL_VALUE
from drivers.simulated.evse_registers import ControllerRegisters as ControllerRegisters

ILLEGAL_FUNCTION, DEVICE_FAILURE = 1, 4
MODES = ("ok", "timeout", "garbage", "slow")
Answer = list[int] | int | None


class MeterRegisters:
    """A meter's registers."""

    kind = "meter"
    connector = 1
    calls: tuple[int, ...] = ()

    def __init__(self, meter_map: MeterMap, point: ChargingPoint) -> None:
        self.map = meter_map
        self.point = point
        self.device = meter_map.device
        self.rows = [row for r in meter_map.registers for row in (r.row, *r.plus)]
        self._measures = {id(r.row): r for r in meter_map.registers}
        self.total = next(r.row for r in meter_map.registers if r.row.key == "Energy.Active.Import.Register")

    @property
    def mute(self) -> bool:
        return self.point.meter.silent

    def fill(self, image: dict[int, int], rows: Sequence[Row]) -> None:
        shown = self.point.shown()
        for row in rows:
            measure = self._measures.get(
                id(row)
            )  # what is added to a register holds nothing: it counts the other tariff
            value = None if measure is None else shown.value(measure.measurand, measure.phase)
            put(image, row, encode(row, 0.0 if value is None else value))

    def show_wh(self, energy_wh: float) -> float:
        """The energy as the register says it; ValueError when it cannot."""
        return decode(self.total, encode(self.total, energy_wh)) or 0.0

    def touched(self) -> None:
        """A meter does not care."""

    def write(self, table: str, address: int, words: Sequence[int]) -> int:
        return ILLEGAL_ADDRESS


Part = MeterRegisters | ControllerRegisters


class SimDevice:
    """One unit on a line: a controller, a meter, or a controller with a meter in it."""

    def __init__(self, name: str, parts: Sequence[Part]) -> None:
        self.name = name
        self.parts = tuple(parts)
        self.mode = "ok"
        self.calls = frozenset({0, *(unit for part in self.parts for unit in part.calls)})
        self._identity = [(e.row, e.values, e.texts) for p in parts for e in p.device.identify]
        self._spans: dict[str, tuple[int, int]] = {}
        for row in [r for p in parts for r in p.rows] + [row for row, _, _ in self._identity]:
            low, high = self._spans.get(row.table, (row.at, row.at))
            self._spans[row.table] = (min(low, row.at), max(high, row.at + row.words))
        self._limits: Device = max((p.device for p in parts), key=lambda d: d.max_words)
        self._cache: dict[tuple[str, int, int], list[tuple[Part, list[Row]]]] = {}

    @property
    def point(self) -> ChargingPoint:
        return self.parts[0].point

    @property
    def mute(self) -> bool:
        """It does not answer: no power, or its own kind of silence."""
        return not self.point.controller.powered or all(p.mute for p in self.parts)

    def read(self, table: str, address: int, count: int) -> Answer:
        """Words, a Modbus exception code, or None for silence."""
        if self.mute:
            return None
        for part in self.parts:
            part.touched()
        if table not in self._spans:
            return ILLEGAL_FUNCTION
        low, high = self._spans[table]
        if not 1 <= count <= self._limits.max_words:
            return ILLEGAL_VALUE
        if address < low or address + count > high:
            return ILLEGAL_ADDRESS
        image: dict[int, int] = {}
        try:
            self._fill(image, table, address, count)
        except ValueError:  # a value that its register cannot hold, or a part that is silent
            return DEVICE_FAILURE
        return [image.get(at, 0) for at in range(address, address + count)]

    def _fill(self, image: dict[int, int], table: str, address: int, count: int) -> None:
        for row, values, texts in self._identity:
            if row.table == table and row.at < address + count and row.at + row.words > address:
                put(image, row, self._identity_words(row, values, texts))
        for part, rows in self._rows(table, address, count):
            if rows and part.mute:
                raise ValueError("the meter in this controller is silent")
            part.fill(image, rows)
        for row, values, texts in self._identity:  # asked for by itself it wins over a value that covers it
            if (row.table, row.at, row.words) == (table, address, count):
                put(image, row, self._identity_words(row, values, texts))

    def _identity_words(self, row: Row, values: tuple[int, ...], texts: tuple[str, ...]) -> list[int]:
        number = self.point.meter.number if row.key == NUMBER else 1
        if row.type == "string":
            return encode_text(row, texts[0][: 2 * row.words] if texts else f"SIMULATED-{number:04}"[-2 * row.words :])
        return words_from_bits(row, values[0] if values else number)

    def _rows(self, table: str, address: int, count: int) -> list[tuple[Part, list[Row]]]:
        key = (table, address, count)
        found = self._cache.get(key)
        if found is None:
            end = address + count
            found = [
                (p, [r for r in p.rows if r.table == table and r.at < end and r.at + r.words > address])
                for p in self.parts
            ]
            if len(self._cache) < 64:
                self._cache[key] = found
        return found

    def write(self, table: str, address: int, words: Sequence[int]) -> int | None:
        """0 when done, else a Modbus exception code, or None for silence."""
        if self.mute:
            return None
        code = ILLEGAL_ADDRESS
        for part in self.parts:
            part.touched()
            code = part.write(table, address, words)
            if code != ILLEGAL_ADDRESS:
                break
        return code
