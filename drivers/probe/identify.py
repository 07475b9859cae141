"""Which maps of the shelf fit the device that answers here? By its identification registers, else by physics.

* identified: all registers for which a map expects a value hold it, and it expects at least one;
* fits: a map that expects nothing reads a mains voltage and, where it knows one, a mains frequency; or a controller's
  pilot state that it has a word for, with all its other registers there.

Nothing is written. Each register is asked once, however many maps want it; a device that does not answer what it does
not know costs a bounded time. An answer that comes late is never taken for that to the next question.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from drivers.api import Measurand
from drivers.bus import READ_FUNCTION, SerialSettings, TcpSettings, Wire, WireError
from drivers.io.iomap import IoMap
from drivers.mapwords import EvseMap, MeterMap, MeterRow
from drivers.probe import judge
from drivers.probe.shelf import Entry
from drivers.registers import Row, decode, decode_text, raw

ANSWER_S = 0.5
SLOW_S, LATE_S = 1.2, 1.0  # patience with a device that was late once, and how much later it may still answer
MAX_SILENT = 6  # requests without an answer; then what is known must do
MAX_GUESSES = 12
MAINS_V, MAINS_HZ = (90.0, 280.0), (49.0, 61.0)


class Guess(NamedTuple):
    """A map that may be the device's. `sure`: its identification registers say so."""

    kind: str
    name: str
    title: str
    sure: bool
    why: str
    verified: bool


class Peek:
    """Reads of one device, each made once; None where it refuses or is silent."""

    def __init__(self, wire: Wire, unit: int, settings: SerialSettings | TcpSettings, slow: bool = False) -> None:
        self.settings = settings
        self.slow = slow
        self.unit = unit
        self._wire = wire
        self._known: dict[tuple[str, int, int], Sequence[int] | None] = {}
        self._silent = 0

    async def words(self, row: Row) -> Sequence[int] | None:
        key = row.table, row.at, row.words
        if key not in self._known:
            self._known[key] = await self._read(*key) if self._silent < MAX_SILENT else None
        return self._known[key]

    async def value(self, row: Row) -> float | None:
        words = await self.words(row)
        return None if words is None else decode(row, words)

    async def _read(self, table: str, at: int, count: int) -> Sequence[int] | None:
        for _ in range(2):
            patience_s = (SLOW_S if self.slow else ANSWER_S) + (17 + 2 * count) * self.settings.byte_s
            await asyncio.sleep(max(self.settings.silence_s, 0.02))  # some devices need a breath after each answer
            try:
                words = await self._wire.transact(self.unit, READ_FUNCTION[table], at, count, patience_s)
            except WireError as error:
                if error.kind == "closed":
                    raise
                if error.kind == "exception":
                    return None
                self._silent += error.kind == "timeout"
                self.slow = self.slow or error.kind == "timeout"
                await self._wire.drain(LATE_S if error.kind == "timeout" else 0.05)
            else:
                return words if len(words) == count else None
        return None


async def guesses(peek: Peek, shelf: Iterable[Entry]) -> tuple[Guess, ...]:
    """Maps that fit, the surest first."""
    found = []
    for entry in sorted(shelf, key=lambda entry: not _expects(entry)):
        if entry.map is not None and (why := await _fits(peek, entry)):
            device = entry.map.device
            sure = _expects(entry)
            title = f"{device.vendor} {device.model}"
            found.append(Guess(entry.kind, entry.name, title, sure, why, device.verified and not entry.unverified))
    if any(guess.sure for guess in found):
        found = [guess for guess in found if guess.sure]
    found.sort(key=lambda guess: not _is_factory(peek, next(e for e in shelf if e.name == guess.name)))
    return tuple(found[:MAX_GUESSES])


def _expects(entry: Entry) -> bool:
    return entry.map is not None and any(e.values or e.texts for e in entry.map.device.identify)


def _is_factory(peek: Peek, entry: Entry) -> bool:
    """Whether the device was found where it leaves the factory."""
    serial = entry.map.device.serial if entry.map else None
    if serial is None or isinstance(peek.settings, TcpSettings):
        return False
    return (serial.baud, serial.unit) == (peek.settings.baud, peek.unit)


async def _fits(peek: Peek, entry: Entry) -> str:
    """Why the map fits; "" when it does not."""
    assert entry.map is not None
    if _expects(entry):
        return await _identified(peek, entry.map)
    if isinstance(entry.map, MeterMap):
        return await _meter(peek, entry.map)
    return await _evse(peek, entry.map) if isinstance(entry.map, EvseMap) else ""  # relays say nothing of themselves


async def _identified(peek: Peek, found: MeterMap | EvseMap | IoMap) -> str:
    told = []
    for expected in found.device.identify:
        if not (expected.values or expected.texts):
            continue
        words = await peek.words(expected.row)
        if words is None or not expected.fits(words):
            return ""
        row = expected.row
        told.append(f"{row.key} is {decode_text(row, words) if row.type == 'string' else raw(row, words)}")
    return ", ".join(told)


async def _meter(peek: Peek, found: MeterMap) -> str:
    volts = [row for row in _of(found, Measurand.VOLTAGE) if row.phase not in judge.LINES]
    volt = await peek.value(volts[0].row) if volts else None
    if volt is None or not _within(volt, MAINS_V):
        return ""
    told = [f"{volt:.1f} V"]
    for row in _of(found, Measurand.FREQUENCY):
        hertz = await peek.value(row.row)
        if hertz is None or not _within(hertz, MAINS_HZ):
            return ""
        told.append(f"{hertz:.2f} Hz")
    for row in _of(found, Measurand.ENERGY_ACTIVE_IMPORT_REGISTER):
        if row.phase is None:
            energy_wh = await peek.value(row.row)
            if not judge.makes_sense((row.measurand, None), energy_wh):
                return ""
            told.append(f"{(energy_wh or 0.0) / 1000:.3f} kWh")
    return ", ".join(told)


def _of(found: MeterMap, measurand: Measurand) -> Iterator[MeterRow]:
    return (row for row in found.registers if row.measurand is measurand)


def _within(value: float, limits: tuple[float, float]) -> bool:
    return limits[0] <= value <= limits[1]


async def _evse(peek: Peek, found: EvseMap) -> str:
    words = await peek.words(found.pilot.row)
    pilot = None if words is None else found.pilot.word(words)
    if pilot is None:
        return ""
    for read in found.reads:
        for row in read.rows:
            if await peek.words(row) is None:
                return ""
    offered_a = await peek.value(found.offer.row) if found.offer.readback else 0.0
    if offered_a is None or not 0 <= offered_a <= found.offer.max_a:
        return ""
    return f"pilot {pilot}"
