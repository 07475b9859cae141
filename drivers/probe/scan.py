"""Who is on this line? Asks every unit at every speed, the usual ones first, and never writes.

A device is there when it answers at all: an exception is an answer. Two short reads are tried, since some devices know
only one of the tables. Then its identification registers, and the physics of what a map would read (a mains voltage, a
mains frequency, a pilot state), tell which maps of the shelf fit.

The order makes the usual quick: the units at which devices leave the factory, at all speeds; the same with patience for
slow devices; then all others. A line has one speed: where something was found, the search goes on at that speed alone,
unless `everywhere`. Garbled answers are counted: they are a sign of another speed, of swapped wires, or of two devices
with the same unit number.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from drivers.api import DriverError
from drivers.bus import READ_FUNCTION, SerialSettings, TcpSettings, Wire, WireError
from drivers.probe.identify import LATE_S, Guess, Peek, guesses
from drivers.probe.shelf import Entry

Settings = SerialSettings | TcpSettings
USUAL = (  # baud, parity, stop bits: from most to least often met
    (9600, "N", 1), (9600, "E", 1), (19200, "E", 1), (19200, "N", 1), (115200, "N", 1), (9600, "N", 2), (19200, "N", 2),
    (2400, "N", 1), (2400, "E", 1), (4800, "N", 1), (38400, "N", 1), (57600, "N", 1),
)  # fmt: skip
USUAL_UNITS = (1, 2, 3, 4, 5, 10, 33, 100, 105, 126, 201, 247)
NOBODY = 246  # a unit that no device has; what answers there answers to any number
NOT_THERE = (10, 11)  # a gateway's words for it
QUICK_S, PATIENT_S = 0.15, 0.6
CONNECT_S = 5.0
SHORT_READ = 2  # registers: a whole float, and no device minds
OVERHEAD_S = 0.01  # of one request, beside its bytes and its patience


class Found(NamedTuple):
    """One device. `any_unit`: it answers to every unit number, as many on Modbus TCP do."""

    settings: Settings
    unit: int
    guesses: tuple[Guess, ...]
    any_unit: bool = False


class Progress(NamedTuple):
    done: int
    total: int
    left_s: float
    where: str


class Result(NamedTuple):
    found: tuple[Found, ...]
    garbled: dict[str, int]  # settings, as people write them -> broken answers heard there
    asked: int


Told = Callable[[Progress], None]


def serial_settings(
    port: str,
    bauds: Sequence[int],
    parities: Sequence[str],
    stop_bits: Sequence[int],
    shelf: Iterable[Entry],
    framing: str = "rtu",
) -> list[SerialSettings]:
    """What to try on a port, the usual first; an empty list means all that is usual or that a map names."""
    factory = [e.map.device.serial for e in shelf if e.map and e.map.device.serial]
    known = dict.fromkeys((*USUAL, *((s.baud, s.parity, s.stop_bits) for s in factory)))
    if bauds:
        known |= dict.fromkeys((baud, p, 1) for baud in bauds for p in ("N", "E", "O"))
    if parities:
        known |= dict.fromkeys((b, p, 1) for b in (bauds or (9600, 19200)) for p in parities)
    if stop_bits:
        known |= dict.fromkeys((b, p, s) for b, p, _ in tuple(known) for s in stop_bits)
    wanted = [
        k
        for k in known
        if (not bauds or k[0] in bauds) and (not parities or k[1] in parities) and (not stop_bits or k[2] in stop_bits)
    ]
    return [SerialSettings(port, baud, parity, stops, framing=framing) for baud, parity, stops in wanted]


def say(settings: Settings) -> str:
    """Settings as people write them."""
    if isinstance(settings, TcpSettings):
        return settings.name
    ascii_too = " ascii" if settings.framing == "ascii" else ""
    return f"{settings.baud} 8{settings.parity}{settings.stop_bits}{ascii_too}"


class Scan:
    """One search. `wire_of` makes the wire for some settings; `told` hears of each step."""

    def __init__(
        self,
        settings: Sequence[Settings],
        units: Sequence[int],
        wire_of: Callable[[Settings], Wire],
        shelf: Sequence[Entry] = (),
        told: Told = lambda progress: None,
        quick_s: float = QUICK_S,
        everywhere: bool = False,
    ) -> None:
        self._settings = list(settings)
        self._units = list(dict.fromkeys(units))
        self._wire_of = wire_of
        self._shelf = shelf
        self._told = told
        self._quick_s = quick_s
        self._everywhere = everywhere
        self.found: list[Found] = []
        self._garbled: Counter[str] = Counter()
        self._asked = 0
        self._missed: set[int] = set()  # units that gave no answer in time

    def _stages(self) -> Iterator[tuple[list[int], float]]:
        factory = {e.map.device.serial.unit for e in self._shelf if e.map and e.map.device.serial}
        usual = [unit for unit in self._units if unit in USUAL_UNITS or unit in factory]
        yield usual, self._quick_s
        yield usual, max(PATIENT_S, self._quick_s)
        yield [unit for unit in self._units if unit not in usual], self._quick_s

    def estimate(self) -> tuple[float, float]:
        """How long at most: until all usual units were asked once, and until the end, in seconds."""
        steps = [len(self._settings) * len(units) * _cost_s(timeout_s) for units, timeout_s in self._stages()]
        return steps[0], sum(steps)

    def result(self) -> Result:
        """What is known so far."""
        return Result(tuple(self.found), dict(self._garbled), self._asked)

    async def run(self) -> Result:
        """The whole search; DriverError when the port or the host cannot be opened."""
        for stage, (units, timeout_s) in enumerate(self._stages()):
            for settings in self._settings:
                if units and settings in self._left() and not self._any_unit():
                    await self._at(settings, units, timeout_s, stage)
        return self.result()

    def _left(self) -> list[Settings]:
        """Where to go on searching."""
        at = [found.settings for found in self.found]
        return [s for s in self._settings if not at or self._everywhere or s in at]

    def _any_unit(self) -> bool:
        return any(found.any_unit for found in self.found)

    async def _at(self, settings: Settings, units: Sequence[int], timeout_s: float, stage: int) -> None:
        wire = self._wire_of(settings)
        try:
            await wire.connect(CONNECT_S)
            for place, unit in enumerate(units):
                if any(found.unit == unit and found.settings == settings for found in self.found):
                    continue
                self._tell(settings, units[place:], timeout_s, stage)
                if await self._is_there(wire, settings, unit, timeout_s):
                    await self._meet(wire, settings, unit)
                    if self.found[-1].any_unit:
                        return
        except WireError as error:
            raise DriverError(f"{settings.name}: the port {error}") from None
        finally:
            wire.close()

    async def _is_there(self, wire: Wire, settings: Settings, unit: int, timeout_s: float) -> bool:
        for table in ("holding", "input"):
            for _ in range(2):  # once more after garbage: it may have been another device's late answer
                self._asked += 1
                kind = await _ask(wire, settings, unit, table, timeout_s)
                if kind != "garbage":
                    break
                self._garbled[say(settings)] += 1
            if kind == "answer":
                return True
            if kind == "nobody":
                return False
            self._missed.add(unit)
        return False

    async def _meet(self, wire: Wire, settings: Settings, unit: int) -> None:
        any_unit, slow = False, unit in self._missed
        if slow:  # its answer to an earlier question may still come
            await wire.drain(LATE_S)
        if isinstance(settings, TcpSettings) and unit != NOBODY:
            any_unit = await _ask(wire, settings, NOBODY, "holding", PATIENT_S) == "answer"
        found = await guesses(Peek(wire, unit, settings, slow), self._shelf)
        self.found.append(Found(settings, unit, found, any_unit))

    def _tell(self, settings: Settings, units: Sequence[int], timeout_s: float, stage: int) -> None:
        """How far it is, if nobody else answers."""
        left = self._left()
        later = left[left.index(settings) + 1 :] if settings in left else []
        here, *after = list(self._stages())[stage:]
        here_s = (len(units) + len(later) * len(here[0])) * _cost_s(timeout_s)
        left_s = here_s + sum(len(left) * len(more) * _cost_s(patience_s) for more, patience_s in after)
        total = 2 * len(left) * sum(len(more) for more, _ in self._stages())
        self._told(Progress(self._asked, max(total, self._asked), left_s, f"{say(settings)} unit {units[0]}"))


def _cost_s(timeout_s: float) -> float:
    """Of one unit that is not there."""
    return 2 * (timeout_s + OVERHEAD_S)


async def _ask(wire: Wire, settings: Settings, unit: int, table: str, timeout_s: float) -> str:
    """One short read: "answer", "nobody" (a gateway says so), "silence", "garbage"."""
    patience_s = timeout_s + 25 * settings.byte_s
    try:
        await asyncio.sleep(settings.silence_s)
        await wire.transact(unit, READ_FUNCTION[table], 0, SHORT_READ, patience_s)
    except WireError as error:
        if error.kind == "closed":
            raise
        if error.kind == "exception":
            return "nobody" if error.code in NOT_THERE else "answer"
        if error.kind == "garbage":
            await wire.drain(0.05)
            return "garbage"
        return "silence"
    return "answer"
