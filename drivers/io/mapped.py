"""An IO board that is a register map (`DigitalIo`).

Rules kept:
* the host watchdog, its safe values and the settings are written before the first order, again whenever the link was
  remade, the board failed to answer or does not hold what it was told, and before anything is switched on; what the
  board keeps in a memory that wears is read first and written only where it differs;
* taking away comes first: an output is switched off before anything else is put right;
* a board without a watchdog whose relays can be switched on for a time is guarded by that: the time is renewed;
* unit 0 speaks to all boards of a line and moves the address of some: it is never used.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

from drivers.api import DriverError, IoReading
from drivers.bus import Bus
from drivers.io.iomap import Inputs, IoMap, Outputs, load_io
from drivers.registers import Row, decode, encode, words_from_bits

HOLD_S = 2.0
LONGEST_HOLD_S = 255


class MappedIo:
    """One board: `unit` on `bus`, as `io_map` says (a map, or the name of one)."""

    def __init__(
        self,
        bus: Bus,
        unit: int,
        io_map: IoMap | str,
        label: str = "",
        watchdog_s: float | None = None,
        folders: Sequence[Path] = (),
    ) -> None:
        self.map = load_io(io_map, folders) if isinstance(io_map, str) else io_map
        self._bus = bus
        self._unit = unit
        self._label = label or f"IO board unit {unit}"
        if unit == 0:
            raise DriverError(f"{self._label}: unit 0 is for all boards of a line at once; give the board another")
        self._watchdog = _watchdog(self.map, watchdog_s, self._label)
        self._hold_s = _hold_s(watchdog_s)
        self.guard_s = guard_s(self.map, watchdog_s)
        self._levels: dict[int, bool] = {}  # what was ordered
        self._held_at: dict[int, float] = {}
        self._armed: int | None = None  # the bus epoch in which the settings were written
        bus.device(unit, self._label, self.map.device.pause_s, meaning=self.map)

    async def read(self) -> IoReading:
        try:
            outputs = await self._outputs()
            inputs = await self._bits(self.map.inputs)
            volts = await self._volts(self.map.analog)
        except DriverError:
            self._armed = None
            raise
        if any(outputs.get(output) != on for output, on in self._levels.items()):
            self._armed = None  # it has restarted, or its watchdog has run out
        elif self._levels:
            await self._renew()
        if self._levels and self._armed != self._bus.epoch:
            await self._arm()
        return IoReading(outputs, inputs, volts)

    async def set(self, output: int, on: bool) -> None:
        found = self.map.outputs
        if found is None or output not in found.numbers:
            raise DriverError(f"{self._label}: has no output {output}")
        stale = self._armed != self._bus.epoch
        if on:
            await self._arm()
        self._levels[output] = on
        await self._switch(found, output, on)
        if stale and not on:
            await self._arm()

    async def _switch(self, outputs: Outputs, output: int, on: bool) -> None:
        at = outputs.row.at + output - outputs.numbers.start
        value = int(on)
        if outputs.on is not None and outputs.off is not None:
            value = outputs.on if on else outputs.off
            if on and outputs.hold is not None:
                value = outputs.hold + self._hold_s
                self._held_at[output] = asyncio.get_running_loop().time()
        await self._write(outputs.row.table, at, value)

    async def _renew(self) -> None:
        """Time for the relays that are on only for a time, well before it runs out."""
        outputs = self.map.outputs
        if outputs is None or outputs.hold is None:
            return
        now = asyncio.get_running_loop().time()
        for output, on in self._levels.items():
            if on and now - self._held_at[output] >= self._hold_s / 4:
                await self._switch(outputs, output, True)

    # --- reading ------------------------------------------------------------------------------------------------

    async def _outputs(self) -> Mapping[int, bool]:
        outputs = self.map.outputs
        if outputs is None:
            return {}
        words = await self._bus.read(self._unit, outputs.row.table, outputs.readback, len(outputs.numbers))
        return {number: bool(word & 0xFF) for number, word in zip(outputs.numbers, words, strict=True)}

    async def _bits(self, inputs: Inputs | None) -> Mapping[int, bool]:
        if inputs is None:
            return {}
        words = await self._bus.read(self._unit, inputs.row.table, inputs.row.at, len(inputs.numbers))
        return {number: bool(word) for number, word in zip(inputs.numbers, words, strict=True)}

    async def _volts(self, analog: Inputs | None) -> Mapping[int, float]:
        if analog is None:
            return {}
        words = await self._bus.read(self._unit, analog.row.table, analog.row.at, len(analog.numbers))
        found = {number: decode(analog.row, [word]) for number, word in zip(analog.numbers, words, strict=True)}
        return {number: value for number, value in found.items() if value is not None}

    # --- settings -----------------------------------------------------------------------------------------------

    async def _arm(self) -> None:
        epoch = self._bus.epoch
        m = self.map
        for write in m.init:
            await self._write(write.row.table, write.row.at, write.value)
        for write in m.settings:
            await self._keep(write.row, words_from_bits(write.row, write.value))
        await self._make_safe()
        if self._watchdog is not None:
            await self._keep(*self._watchdog)
        for write in m.start:
            await self._write(write.row.table, write.row.at, write.value)
        self._armed = epoch if epoch else self._bus.epoch

    async def _make_safe(self) -> None:
        safe, outputs = self.map.safe, self.map.outputs
        if safe is None or outputs is None:
            return
        held = await self._ask("coil", safe.at, len(outputs.numbers))
        for offset, word in enumerate(held):
            if word:
                await self._write("coil", safe.at + offset, 0)
        if any(held) and safe.save is not None:
            await self._write("coil", safe.save, 1)

    async def _keep(self, row: Row, words: list[int]) -> None:
        """Write it where it is not so already."""
        if await self._ask(row.table, row.at, row.words) != words:
            await self._write(row.table, row.at, words[0])

    async def _ask(self, table: str, at: int, count: int) -> list[int]:
        try:
            return await self._bus.read(self._unit, table, at, count)
        except DriverError:
            self._armed = None
            raise

    async def _write(self, table: str, at: int, value: int) -> None:
        try:
            await self._bus.write(self._unit, at, [value], 5 if table == "coil" else self.map.device.write)
        except DriverError:
            self._armed = None
            raise


def guard_s(io_map: IoMap, wanted_s: float | None) -> float | None:
    """How long after the last request its outputs fall off; None: never."""
    if io_map.watchdog is not None:
        return io_map.watchdog.timeout_s if wanted_s is None else wanted_s
    return float(_hold_s(wanted_s)) if io_map.guarded else None


def _hold_s(wanted_s: float | None) -> int:
    return min(max(int(wanted_s or HOLD_S), 1), LONGEST_HOLD_S)


def _watchdog(io_map: IoMap, wanted_s: float | None, label: str) -> tuple[Row, list[int]] | None:
    setting = io_map.watchdog
    if setting is None:
        return None
    try:
        return setting.row, encode(setting.row, setting.timeout_s if wanted_s is None else wanted_s)
    except ValueError as error:
        raise DriverError(f"{label}: the watchdog cannot be set to {wanted_s:g} s: {error}") from None
