"""An energy meter that is a register map (`EnergyMeter`, `Identifies`).

Rules kept: every poll reads the energy register, or fails; a value that is absent, NaN or infinite is left out, never
invented; a slow value is told only in the poll that read it, so that no old value gets a new time.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from drivers.api import DriverError, Sample
from drivers.bus import Bus
from drivers.mapwords import Device, MeterMap, MeterRow
from drivers.registers import Decoder, Read, Row, decode_text, raw
from drivers.regmap import ENERGY, load_meter


class _Block:
    """One read and what each of its values is."""

    def __init__(self, read: Read, rows: dict[str, MeterRow]) -> None:
        self.read = read
        self._meanings = [rows[row.key][1:] for row in read.rows]
        self._decoder = Decoder(read)

    def samples(self, words: Sequence[int]) -> list[Sample]:
        values = zip(self._decoder.values(words), self._meanings, strict=True)
        return [Sample(measurand, value, phase) for value, (measurand, phase) in values if value is not None]


class MappedMeter:
    """One meter: `unit` on `bus`, as `meter_map` says (a map, or the name of one)."""

    def __init__(
        self,
        bus: Bus,
        unit: int,
        meter_map: MeterMap | str,
        label: str = "",
        timeout_s: float | None = None,
        folders: Sequence[Path] = (),
    ) -> None:
        self.map = load_meter(meter_map, folders) if isinstance(meter_map, str) else meter_map
        self._bus = bus
        self._unit = unit
        self._label = label or f"meter unit {unit}"
        self._polls = 0
        rows = {r.row.key: r for r in self.map.registers}
        self._fast = [_Block(read, rows) for read in self.map.fast]
        self._all = [*self._fast, *(_Block(read, rows) for read in self.map.slow)]
        bus.device(unit, self._label, self.map.device.pause_s, timeout_s)

    async def read(self) -> Sequence[Sample]:
        """All samples of one poll; DriverError when the device or its energy register is silent."""
        samples: list[Sample] = []
        for block in self._fast if self._polls % self.map.slow_every else self._all:
            read = block.read
            samples += block.samples(await self._bus.read(self._unit, read.table, read.at, read.count))
        self._polls += 1
        if not any(s.measurand == ENERGY and s.phase is None for s in samples):
            raise DriverError(f"{self._label} on {self._bus.name}: its energy register holds no value")
        return samples

    async def identity(self) -> str:
        """Vendor, model and what the identification registers say; DriverError when it is another device."""
        return await identify(self._bus, self._unit, self.map.device, self._label)


async def identify(bus: Bus, unit: int, device: Device, label: str) -> str:
    """Read the identification registers, each alone, and compare them with the map."""
    parts = [f"{device.vendor} {device.model}"]
    for expected in device.identify:
        row = expected.row
        words = await bus.read(unit, row.table, row.at, row.words)
        if expected.values and raw(row, words) not in expected.values:
            known = ", ".join(str(value) for value in expected.values)
            why = f"{row.key} is {raw(row, words)}, map {device.name} expects {known}: another device, or the wrong map"
            raise DriverError(f"{label} on {bus.name}: {why}")
        parts.append(f"{row.key} {_plain(row, words)}")
    return ", ".join(parts)


def _plain(row: Row, words: Sequence[int]) -> str:
    return decode_text(row, words) if row.type == "string" else str(raw(row, words))
