"""A device on the bench: a line opened, a driver of the shelf on it, and what people ask of it; plain functions.

Each runs its own event loop and leaves the line closed, whatever happens: Ctrl-C and a lost terminal (SIGHUP, SIGTERM)
end in the same way, so that an offer is always taken back. All failures are DriverError.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from typing import Any, NamedTuple, TypeVar

from drivers.api import DriverError, EvseController, EvseReading, Identifies
from drivers.bus import Bus, Policy, SerialSettings, TcpSettings, Wire
from drivers.io.iomap import IoMap
from drivers.mapwords import Device, EvseMap, MeterMap
from drivers.probe import judge, table
from drivers.probe.judge import Finding
from drivers.probe.scan import Result, Scan
from drivers.probe.table import Value
from drivers.registers import Row

T = TypeVar("T")
Settings = SerialSettings | TcpSettings
Told = Callable[[float, EvseReading], None]
Opens = Callable[[], contextlib.AbstractAsyncContextManager[EvseController]]
PATIENT = Policy(deadline_s=4.0)
IO_POLL_S = 0.2  # a switch that a hand pushes
POLL_S = 1.0  # as the agent would, so that a controller's watchdog stays fed
OPENS_S = 10.0  # until a contactor must be open after the offer was taken back: the car gets a moment to stop


class Place(NamedTuple):
    """Where a device is: a line and a unit."""

    settings: Settings
    unit: int
    timeout_s: float | None = None


class Read(NamedTuple):
    """One look at a device."""

    identity: list[Value]
    values: list[Value]
    findings: list[Finding]


def wire_of(settings: Settings) -> Wire:
    """The wire that the agent would use."""
    if isinstance(settings, TcpSettings):
        from drivers.wire import PymodbusWire

        return PymodbusWire(settings)
    from drivers.framing import RTU
    from drivers.rtu import RtuWire

    if settings.framing == "ascii":
        from drivers.ascii import ASCII

        return RtuWire(settings, ASCII)
    return RtuWire(settings, RTU)


def scan(search: Scan) -> Result:
    """Run a search; Ctrl-C ends it with what was found so far, and is raised."""
    return _run(search.run())


def read_meter(place: Place, found: MeterMap, again: Callable[[Read], bool]) -> None:
    """Look at a meter, and again each second while `again` says so."""
    _run(
        _each(place, found.device, lambda bus: table.read_meter(bus, place.unit, found), _meter_findings(found), again)
    )


def read_evse(place: Place, found: EvseMap, again: Callable[[Read, EvseReading], bool]) -> None:
    """Look at a controller, as registers and as the agent would see it; nothing is written."""

    async def look() -> None:
        async with _line(place, found.device) as bus:
            identity = await table.read_identity(bus, place.unit, found.device)
            while True:
                # A new one for each look: a driver that was asked before confirms a press of the stop button.
                driver = _driver(bus, place, found)
                values = await table.read_evse(bus, place.unit, found)
                if not again(Read(identity, values, []), await driver.read()):
                    return
                await asyncio.sleep(POLL_S)

    _run(look())


def opens(place: Place, found: EvseMap) -> Opens:
    """The driver of a map, on a line of its own."""

    @contextlib.asynccontextmanager
    async def opened() -> AsyncIterator[EvseController]:
        async with _line(place, found.device) as bus:
            yield _driver(bus, place, found)

    return opened


def _driver(bus: Bus, place: Place, found: EvseMap) -> EvseController:
    from drivers.mapped_evse import MappedEvse
    from drivers.probe.shelf import IN_PYTHON

    if found.device.name in IN_PYTHON:
        from drivers.registry import find

        driver: EvseController = find(found.device.name)(bus, place.unit)
        return driver
    return MappedEvse(bus, place.unit, found, _label(place), place.timeout_s)


def read_by(opens: Opens, again: Callable[[str, EvseReading], bool]) -> None:
    """Look at a controller through its driver; `again` hears who it is and what it tells."""

    async def look() -> None:
        async with opens() as driver:
            who = await driver.identity() if isinstance(driver, Identifies) else ""
            while again(who, await driver.read()):  # noqa: ASYNC110
                await asyncio.sleep(POLL_S)

    _run(look())


def offer_by(
    opens: Opens, current_a: float, for_s: float, told: Told, poll_s: float = POLL_S, opens_s: float = OPENS_S
) -> None:
    """Offer a current for so long, then take it back; `told` hears the seconds left and what the device says, once a
    second, however often it is asked."""

    async def act() -> None:
        async with opens() as driver:
            if isinstance(driver, Identifies):
                await driver.identity()  # never write into another device's registers
            await driver.read()
            end, tells = asyncio.get_running_loop().time() + for_s, for_s
            try:
                await driver.offer(current_a)
                while (left_s := end - asyncio.get_running_loop().time()) > 0:
                    reading = await driver.read()
                    if left_s <= tells:
                        told(left_s, reading)
                        tells = left_s - POLL_S
                    await asyncio.sleep(min(poll_s, left_s))
            finally:
                await _take_back(driver, told, opens_s)

    _run(act())


async def _take_back(driver: EvseController, told: Told, opens_s: float) -> None:
    """Against all odds: the line may be bad at just this moment."""
    for left in (2, 1, 0):
        try:
            await driver.offer(0.0)
            reading = await _let_go(driver, opens_s)
            break
        except DriverError as error:
            if not left:
                raise DriverError(f"{error}; THE OFFER MAY STILL STAND: switch the charger off") from None
            await asyncio.sleep(POLL_S)
    told(0.0, reading)
    if reading.contactor:
        raise DriverError("THE CONTACTOR IS STILL CLOSED, the outlet may be live: switch the charger off")


async def _let_go(driver: EvseController, opens_s: float) -> EvseReading:
    """A controller made of parts opens its contactor by being read: not before the car has had its time to stop."""
    end = asyncio.get_running_loop().time() + opens_s
    while True:
        reading = await driver.read()
        if not reading.contactor or asyncio.get_running_loop().time() >= end:
            return reading
        await asyncio.sleep(POLL_S)


def try_meter(place: Place, found: MeterMap, for_s: float, told: Callable[[Read, bool], None]) -> None:
    """Two looks, `for_s` apart; `told` gets the first and then the second with all findings (True: the last)."""

    async def act() -> None:
        async with _line(place, found.device) as bus:
            identity = await table.read_identity(bus, place.unit, found.device)
            loop = asyncio.get_running_loop()
            before, began = await table.read_meter(bus, place.unit, found), loop.time()
            told(Read(identity, before, await _findings(bus, place.unit, found, before)), False)
            await asyncio.sleep(for_s)
            now, span_s = await table.read_meter(bus, place.unit, found), loop.time() - began
            findings = await _findings(bus, place.unit, found, now, before, span_s)
            told(Read(identity, now, findings), True)

    _run(act())


def unseen(found: MeterMap, values: Sequence[Value], for_s: float) -> list[str]:
    """What so short a test could not show of the energy, which bills are made of."""
    needs_s = judge.shows_in_s(table.samples(found, values), judge.step_wh(found))
    if needs_s is None:
        return ["no load: whether the energy counts, and in which direction, shows while something is drawn only"]
    return [f"whether the energy counts shows with this load in --for-s {needs_s:.0f}"] if needs_s > for_s else []


def try_io(place: Place, found: IoMap, for_s: float, told: Callable[[Read, bool, list[str]], None]) -> None:
    """Look at a board for so long; `told` gets the first look, and the last (True) with the channels that changed."""

    async def act() -> None:
        async with _line(place, found.device) as bus:
            identity = await table.read_identity(bus, place.unit, found.device)
            values = await table.read_io(bus, place.unit, found)
            told(Read(identity, values, list(judge.odd_channels(values))), False, [])
            changed: dict[str, None] = {}
            end = asyncio.get_running_loop().time() + for_s
            while asyncio.get_running_loop().time() < end:
                await asyncio.sleep(min(IO_POLL_S, for_s))
                now = await table.read_io(bus, place.unit, found)
                changed |= {v.row.key: None for v, was in zip(now, values, strict=True) if _differs(v, was)}
                values = now
            told(Read(identity, values, list(judge.odd_channels(values))), True, list(changed))

    _run(act())


def _differs(now: Value, was: Value) -> bool:
    """Volts tremble always."""
    return now.words != was.words and now.unit != "V"


async def _findings(
    bus: Bus, unit: int, found: MeterMap, now: list[Value], before: list[Value] | None = None, span_s: float = 0.0
) -> list[Finding]:
    of_values = _meter_findings(found)(now)
    if before is not None:
        old, step_wh = table.samples(found, before), judge.step_wh(found)
        of_values += [f for f in judge.judge(table.samples(found, now), old, span_s, step_wh) if f not in of_values]
    shifts = [await _shift(bus, unit, found, value) for value in now if _is_nonsense(found, value)]
    return of_values + [finding for finding in shifts if finding]


def _meter_findings(found: MeterMap) -> Callable[[list[Value]], list[Finding]]:
    return lambda values: judge.judge(table.samples(found, values)) + judge.suspect(found, values)


def _is_nonsense(found: MeterMap, value: Value) -> bool:
    row = next((r for r in found.registers if r.row == value.row), None)
    return row is not None and bool(value.words) and not judge.makes_sense((row.measurand, row.phase), _number(value))


def _number(value: Value) -> float | None:
    return value.value if isinstance(value.value, float) else None


async def _shift(bus: Bus, unit: int, found: MeterMap, value: Value) -> Finding | None:
    """Look one register before and behind."""
    row = value.row
    meaning = next((r.measurand, r.phase) for r in found.registers if r.row == row)
    below, above = [await _words(bus, unit, row._replace(at=row.at + by)) for by in (-1, 1)]
    return judge.shifted(meaning, row, below, above)


async def _words(bus: Bus, unit: int, row: Row) -> Sequence[int]:
    if not 0 <= row.at <= 0x10000 - row.words:
        return ()
    try:
        return await bus.read(unit, row.table, row.at, row.words)
    except DriverError:
        return ()


async def _each(
    place: Place,
    device: Device,
    look: Callable[[Bus], Coroutine[Any, Any, list[Value]]],
    findings: Callable[[list[Value]], list[Finding]],
    again: Callable[[Read], bool],
) -> None:
    async with _line(place, device) as bus:
        identity = await table.read_identity(bus, place.unit, device)
        while True:
            values = await look(bus)
            if not again(Read(identity, values, findings(values))):
                return
            await asyncio.sleep(POLL_S)


@contextlib.asynccontextmanager
async def _line(place: Place, device: Device) -> AsyncIterator[Bus]:
    policy = PATIENT if isinstance(place.settings, SerialSettings) else Policy(quarantine_s=0.0, reopen_after=3)
    bus = Bus(wire_of(place.settings), place.settings, policy)
    bus.device(place.unit, _label(place), device.pause_s, place.timeout_s)
    try:
        yield bus
    finally:
        await bus.close()


def _label(place: Place) -> str:
    return f"unit {place.unit}"


def _run(work: Coroutine[Any, Any, T]) -> T:
    """Until done; SIGTERM and SIGHUP cancel as Ctrl-C does, so that everything is put back."""

    async def main() -> T:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        for number in (signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, task.cancel)
        return await work

    try:
        return asyncio.run(main())
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
