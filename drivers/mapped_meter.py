"""An energy meter that is a register map (`EnergyMeter`, `Measures`, `ReadsMore`, `Identifies`, `Numbered`).

Rules kept: every poll reads the energy register, or fails; a value that is absent, NaN or infinite is left out, never
invented; a slow value is told only in the poll that read it, so that no old value gets a new time. Registers that
nobody has confirmed, and that the meter turns out not to have, take no others with them: as long as the link stands
they are asked for no more.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from drivers.api import DriverError, Measurand, Phase, Sample
from drivers.bus import Bus
from drivers.mapwords import Device, MeterMap
from drivers.reason import NoSuchRegister
from drivers.registers import Decoder, Read, Row, decode_text, raw
from drivers.regmap import ENERGY, load_meter

NUMBER = "serial number"  # this key of [identify] tells one device from another of its model
_Meaning = tuple[Measurand, Phase | None]


class _Block:
    """One read and what each of its values is."""

    def __init__(self, read: Read, meanings: dict[str, _Meaning]) -> None:
        self.read = read
        self._meanings = [meanings[row.key] for row in read.rows]
        self._decoder = Decoder(read)
        self.doubtful = not any(row.verified or row.key == ENERGY for row in read.rows)
        self.refused_in: int | None = None  # the bus epoch in which the meter had no such registers

    def samples(self, words: Sequence[int], sums: dict[_Meaning, list[float | None]]) -> list[Sample]:
        """What is told at once; the values of sums are put down in `sums`."""
        told: list[Sample] = []
        for value, meaning in zip(self._decoder.values(words), self._meanings, strict=True):
            if meaning in sums:
                sums[meaning].append(value)
            elif value is not None:
                told.append(Sample(meaning[0], value, meaning[1]))
        return told


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
        self._polls = 0  # since all was read
        meanings = {row.key: (r.measurand, r.phase) for r in self.map.registers for row in (r.row, *r.plus)}
        self._fast = [_Block(read, meanings) for read in self.map.fast]
        self._all = [*self._fast, *(_Block(read, meanings) for read in self.map.slow)]
        self._sums = {(r.measurand, r.phase): 1 + len(r.plus) for r in self.map.registers if r.plus}
        bus.device(unit, self._label, self.map.device.pause_s, timeout_s, self.map)

    def measures(self) -> frozenset[Measurand]:
        return frozenset(row.measurand for row in self.map.registers)

    async def read(self) -> Sequence[Sample]:
        """All samples of one poll; DriverError when the device or its energy register is silent."""
        return await self._read(self._fast if self._polls % self.map.slow_every else self._all)

    async def read_all(self) -> Sequence[Sample]:
        """The same, the slow values too."""
        return await self._read(self._all)

    async def _read(self, blocks: Sequence[_Block]) -> Sequence[Sample]:
        samples: list[Sample] = []
        sums: dict[_Meaning, list[float | None]] = {meaning: [] for meaning in self._sums}
        for block in blocks:
            if block.refused_in is None or block.refused_in != self._bus.epoch:
                samples += await self._read_block(block, sums)
        self._polls = 1 if blocks is self._all else self._polls + 1
        samples += self._added(sums)
        if not any(s.measurand == ENERGY and s.phase is None for s in samples):
            raise DriverError(f"{self._label} on {self._bus.name}: its energy register holds no value")
        return samples

    async def _read_block(self, block: _Block, sums: dict[_Meaning, list[float | None]]) -> list[Sample]:
        read = block.read
        try:
            return block.samples(await self._bus.read(self._unit, read.table, read.at, read.count), sums)
        except NoSuchRegister:
            if not block.doubtful:
                raise
            block.refused_in = self._bus.epoch
            return []

    def _added(self, sums: dict[_Meaning, list[float | None]]) -> list[Sample]:
        """The sums of which each part was read and has a value: half a sum is a wrong value."""
        whole = [(m, [v for v in sums[m] if v is not None]) for m in sums]
        return [Sample(m[0], sum(parts), m[1]) for m, parts in whole if len(parts) == self._sums[m]]

    async def identity(self) -> str:
        """Vendor, model and what the identification registers say; DriverError when it is another device."""
        return await identify(self._bus, self._unit, self.map.device, self._label)

    async def number(self) -> str:
        """What its register "serial number" says, where that is known for sure; nothing for all zeros or all ones."""
        found = next((e.row for e in self.map.device.identify if e.row.key == NUMBER and e.row.verified), None)
        if found is None:
            return ""
        words = await self._bus.read(self._unit, found.table, found.at, found.words)
        return _plain(found, words).strip() if {*words} - {0, 0xFFFF} else ""


async def identify(bus: Bus, unit: int, device: Device, label: str) -> str:
    """Read the identification registers, each alone, and compare them with the map."""
    parts = [f"{device.vendor} {device.model}"]
    for expected in device.identify:
        row = expected.row
        words = await bus.read(unit, row.table, row.at, row.words)
        if not expected.fits(words):
            known = ", ".join(str(known) for known in expected.values or expected.texts)
            is_what = f"{row.key} is {_plain(row, words)}, map {device.name} expects {known}"
            raise DriverError(f"{label} on {bus.name}: {is_what}: another device, or the wrong map")
        parts.append(f"{row.key} {_plain(row, words)}")
    return ", ".join(parts)


def _plain(row: Row, words: Sequence[int]) -> str:
    return decode_text(row, words) if row.type == "string" else str(raw(row, words))
