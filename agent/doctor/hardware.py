"""Buses, controllers, meters and readers, felt by the drivers that the agent uses; only while no agent runs.

Everything is asked `POLLS` times, so that a bad line shows in its error rate. What is written is what the agent writes
at its start: the watchdog registers and an order of 0 A, which withholds power, so that contactor and readback can be
proved; `read_only` leaves that out. A press of the stop button is told, and confirmed to the
controller. No check ever lets power flow.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

from agent.blocks.supervision import opened_s
from agent.config import Config, EvseConfig
from agent.core.faults import CATALOGUE
from agent.doctor import electrical
from agent.doctor.lines import line
from agent.doctor.report import GUARD, Check, State, fail, note, ok, skip, warn
from agent.edge.hardware import EvseParts
from agent.parts import Parts
from drivers.api import (
    DriverError,
    EvseReading,
    FailsSafe,
    Identifies,
    Measurand,
    Pilot,
    Sample,
    SignsMeterData,
    StopButton,
    gap,
    shorten,
)
from drivers.bus import Bus
from drivers.probe import judge
from drivers.probe.table import Samples

POLLS = 6
POLL_S = 0.1
READER_OPENS_S = 1.0
CLOSES_S = 1.0  # a contactor that was just told to close is given so long
OBEYED = (State.OK, State.NOTE)  # of the check that orders 0 A
MAINS_V = ((103.0, 133.0), (195.0, 254.0))  # 120 V and 230 V, and what their standards allow
DEAD_V = 20.0
WIRED = "current transformers, phases, the map: chargepoint map test"
BEHIND = "does it sit behind the contactor? then ask again while a car charges, with --read-only; else see to its wires"
PILOT_WORDS = {
    Pilot.E: "E: the pilot is short-circuited or the controller has no power for it",
    Pilot.F: "F: the controller is not available",
    Pilot.UNKNOWN: "a value that the map does not know",
}


async def check(config: Config, parts: Parts, read_only: bool, card_s: float) -> AsyncIterator[Check]:
    """All of it. The parts are the caller's to close."""
    for evse, found, limits in zip(config.evses, parts.evses, parts.limits, strict=True):
        withheld, open_s = False, opened_s(limits)
        async for result in _controller(evse, found, read_only, open_s):
            withheld = withheld or (not read_only and result.name.endswith(".contactor") and result.state in OBEYED)
            yield result
        async for result in _meter(evse, found, open_s if withheld else None):
            yield result
        if read_only:  # else nothing was offered
            yield await electrical.standing(evse, found)
        if evse.derating is not None:
            yield await electrical.derating(evse, found)
    for name, bus in parts.buses.items():
        yield _line(name, bus)
    for place, reader in enumerate(parts.readers, 1):
        yield await _reader(f"reader{place}", reader.reader, card_s)


# --- lines ---------------------------------------------------------------------------------------------------


def _line(name: str, bus: Bus) -> Check:
    devices = bus.stats.devices.values()
    if not bus.stats.connects:
        why = next((d.last_error for d in devices if d.last_error), f"{bus.name} could not be opened")
        return fail(f"bus.{name}", why, "is it plugged in? does another program hold it? ls -l /dev/serial/by-path")
    return line(name, bus.name, bus.stats.counted)


# --- controllers ---------------------------------------------------------------------------------------------


async def _controller(evse: EvseConfig, parts: EvseParts, read_only: bool, open_s: float) -> AsyncIterator[Check]:
    name, controller = f"evse{evse.id}", parts.controller
    if (refused := await _identity(f"{name}.controller", controller)) is not None:
        yield refused
    try:
        reading = await _polled(controller)
    except DriverError as error:
        yield fail(f"{name}.controller", str(error), "power, bus, unit: chargepoint bus scan")
        yield skip(f"{name}.contactor", "the controller does not answer")
        return
    if refused is None:
        yield ok(f"{name}.controller", await _who(controller))
    for result in (*_pilot(name, reading), *_faults(name, reading)):
        yield result
    if refused is None or refused.state == "ok":
        yield await _contactor(name, controller, reading, None if read_only else open_s)
    yield _watchdog(name, controller)


async def _identity(name: str, device: Any) -> Check | None:
    """None when it is the right device, or cannot say."""
    if not isinstance(device, Identifies):
        return None
    try:
        await device.identity()
    except DriverError as error:
        if "another device" in str(error):
            return fail(name, str(error), "see map and unit in the configuration; chargepoint bus scan")
    return None


async def _who(device: Any) -> str:
    return await device.identity() if isinstance(device, Identifies) else "answers"


async def _polled(controller: Any) -> EvseReading:
    """The last of several polls that were all answered; a press of the stop button in any of them is kept."""
    from agent.core.record import replace

    pressed: StopButton | None = None
    for poll in range(POLLS):
        reading: EvseReading = await controller.read()
        pressed = pressed or reading.stop_button
        if poll + 1 < POLLS:
            await asyncio.sleep(POLL_S)
    return replace(reading, stop_button=pressed)


def _pilot(name: str, reading: EvseReading) -> Iterator[Check]:
    if reading.pilot in PILOT_WORDS:
        yield fail(f"{name}.pilot", f"{PILOT_WORDS[reading.pilot]} ({reading.raw})", "cable, car, pilot wire; the map")
    else:
        cable = "" if reading.cable_a is None else f", cable {reading.cable_a:g} A" if reading.cable_a else ", no cable"
        yield ok(f"{name}.pilot", f"{reading.pilot}{cable}")
    if reading.stop_button is StopButton.EMERGENCY:
        yield warn(f"{name}.stop-button", "the emergency stop was pressed", "release it when it is safe")
    elif reading.stop_button is not None:
        yield note(f"{name}.stop-button", f"was pressed ({reading.stop_button}); if by nobody, see to its contact")


def _faults(name: str, reading: EvseReading) -> Iterator[Check]:
    if not reading.faults:
        yield ok(f"{name}.faults", "the controller reports none")
    for fault in reading.faults:
        row = CATALOGUE.get(fault)
        yield fail(f"{name}.faults", f"{fault}: {row.text if row else 'reported'}", row.remedy if row else "")


async def _contactor(name: str, controller: Any, reading: EvseReading, open_s: float | None) -> Check:
    """With 0 A ordered it must be open in time: else it is welded, or the order does not arrive. And closed, where
    power is offered and taken. `open_s` None: nothing is ordered."""
    name, read_only = f"{name}.contactor", open_s is None
    try:
        if _should_be_closed(reading):
            await asyncio.sleep(CLOSES_S)
            reading = await controller.read()
            if _should_be_closed(reading):
                what = f"does not close, though {reading.offered_a:g} A are offered and the car asks for them"
                return fail(name, what, "its coil, its wiring, the mirror contact")
        if open_s is not None:
            await controller.offer(0.0)
            reading = await _opened(controller, open_s)
    except DriverError as error:
        return fail(name, f"the order of 0 A was refused: {error}", "is the map right? is the board's bus control on?")
    if reading.offered_a and not read_only:
        return fail(name, f"0 A was ordered, {reading.offered_a:g} A reads back", "is the map right?")
    if reading.contactor is None:
        return note(name, "the map knows no feedback: a welded contactor cannot be seen by the agent")
    if reading.contactor and (not read_only or reading.pilot in (Pilot.A, Pilot.B)):
        what = "is closed though nothing may flow: welded, or its feedback is"
        return fail(name, what, "DANGER: the outlet may be live. Switch off; test contactor and mirror contact")
    if reading.contactor:
        return note(name, "is closed; a car is charging, and nothing was written")
    return ok(name, "is open" if read_only else "is open with 0 A ordered")


def _should_be_closed(reading: EvseReading) -> bool:
    return bool(reading.offered_a and reading.contactor is False and reading.pilot in (Pilot.C, Pilot.D))


async def _opened(controller: Any, open_s: float) -> EvseReading:
    end = asyncio.get_running_loop().time() + open_s
    while True:
        reading: EvseReading = await controller.read()
        if not reading.contactor or asyncio.get_running_loop().time() >= end:
            return reading
        await asyncio.sleep(POLL_S)


def _watchdog(name: str, controller: Any) -> Check:
    name = f"{name}.watchdog"
    guard = controller.guard() if isinstance(controller, FailsSafe) else None
    if why := gap(guard):
        return warn(name, why, GUARD)
    assert guard is not None
    text = f"{guard.timeout_s:g} s after the agent has died {guard.current_a:g} A are offered"
    return note(name, f"{text}: a car goes on charging, by nobody's leave") if guard.current_a else ok(name, text)


# --- meters --------------------------------------------------------------------------------------------------


async def _meter(evse: EvseConfig, parts: EvseParts, open_s: float | None) -> AsyncIterator[Check]:
    name, meter = f"evse{evse.id}.meter", parts.meter
    if (refused := await _identity(name, meter)) is not None:
        yield refused
        return
    try:
        first = _samples(await meter.read())
        began = asyncio.get_running_loop().time()
        for _ in range(POLLS - 1):
            await asyncio.sleep(POLL_S)
            last = _samples(await meter.read())
        flows_w = 0.0 if open_s is None else await _still_flows_w(meter, last, open_s)
        yield ok(name, await _who(meter))
    except DriverError as error:
        yield fail(name, str(error), "power, bus, unit: chargepoint bus scan")
        return
    if evse.meter.signing != "off":
        yield await _signing(f"{name}.signing", evse, meter)
    if flows_w > judge.LEAST_W:
        text = f"{flows_w:.0f} W flow though 0 A was ordered: the contactor is welded, or this meter measures more"
        yield fail(f"{name}.off", text, "DANGER: the outlet may be live. Switch off; test contactor and wiring")
    step_wh = judge.step_wh(meter.map) if hasattr(meter, "map") else 1.0
    span_s = asyncio.get_running_loop().time() - began
    for result in _judged(name, evse, last, judge.judge(last, first, span_s, step_wh)):
        yield result


async def _signing(name: str, evse: EvseConfig, meter: Any) -> Check:
    """Whether it can sign as it is set up, and with which key: that is what others verify by."""
    bad = fail if evse.meter.signing == "required" else warn
    if not isinstance(meter, SignsMeterData):
        return bad(name, f"the driver {evse.meter.driver} cannot sign", "see [evse.meter] signing")
    try:
        key = await meter.public_key()
    except DriverError as error:
        return bad(name, str(error), "how the meter is set up; see [evse.meter] signing")
    if evse.meter.public_key not in ("", key):
        return fail(name, f"signs with another key than public_key says: {key}", "was the meter swapped?")
    return ok(name, f"signs, by the public key {key}")


async def _still_flows_w(meter: Any, last: Samples, open_s: float) -> float:
    """What is drawn once the car had its time to stop; shown by the meter, where a controller knows no contactor."""
    end = asyncio.get_running_loop().time() + open_s
    while (watts := judge.active_w(last) or 0.0) > judge.LEAST_W and asyncio.get_running_loop().time() < end:
        await asyncio.sleep(POLL_S)
        last = _samples(await meter.read())
    return watts


def _samples(samples: Sequence[Sample]) -> Samples:
    return {(sample.measurand, sample.phase): sample.value for sample in samples}


def _judged(name: str, evse: EvseConfig, now: Samples, findings: Sequence[judge.Finding]) -> Iterator[Check]:
    where = {"sign": f"{name}.sign", "energy": f"{name}.energy"}
    for finding in findings:
        remedy = BEHIND if finding.text.startswith(judge.NO_VOLTAGE) else WIRED
        yield fail(where.get(finding.kind, f"{name}.values"), f"{finding.key} {finding.text}", remedy)
    watts = judge.active_w(now)
    if not findings:
        yield ok(f"{name}.values", _told(now))
        if watts is None or watts < judge.LEAST_W:
            yield note(f"{name}.sign", "no load: whether import counts up shows while a car charges only")
        else:
            yield ok(f"{name}.sign", f"import counts up, {watts:.0f} W")
    yield from _mains(name, now)
    yield from _dead_phases(name, evse, now)
    for meaning, amps in now.items():
        if meaning[0] is Measurand.CURRENT_IMPORT and amps > 1.1 * evse.limit_a + 1:
            yield fail(f"{name}.current", f"{judge.name(meaning)} is {amps:.1f} A; {evse.limit_a:g} A is allowed here",
                       "does the car obey the pilot? is the ratio of the current transformers right?")  # fmt: skip


def _told(now: Samples) -> str:
    energy = now.get((Measurand.ENERGY_ACTIVE_IMPORT_REGISTER, None), 0.0)
    volts = [
        f"{value:.0f} V" for (what, phase), value in now.items() if what is Measurand.VOLTAGE and _to_neutral(phase)
    ]
    return ", ".join([f"{energy / 1000:.3f} kWh", *volts])


def _to_neutral(phase: Any) -> bool:
    return phase not in judge.LINES


def _mains(name: str, now: Samples) -> Iterator[Check]:
    for (what, phase), value in now.items():
        if what is not Measurand.VOLTAGE or not _to_neutral(phase) or value < DEAD_V:
            continue
        if not any(low <= value <= high for low, high in MAINS_V):
            text = f"{judge.name((what, phase))} is {value:.0f} V: too low or too high for a car"
            yield fail(f"{name}.voltage", text, "the supply; the neutral conductor")


def _dead_phases(name: str, evse: EvseConfig, now: Samples) -> Iterator[Check]:
    """Of three that are configured; where no phase has a voltage, that was told."""
    volts = {phase: now[what, phase] for what, phase in now if what is Measurand.VOLTAGE and _to_neutral(phase)}
    dead = [str(phase) for phase, value in volts.items() if abs(value) < DEAD_V]
    if evse.phases == len(judge.LINES) and evse.phase_switching is None and dead and len(dead) < len(volts):
        text = f"there is no voltage at {' and '.join(dead)}, and phases is {evse.phases}"
        yield fail(f"{name}.voltage", text, "fuses, terminals; or [[evse]] phases = 1")


# --- readers -------------------------------------------------------------------------------------------------


async def _reader(name: str, reader: Any, card_s: float) -> Check:
    try:
        async with asyncio.timeout(max(card_s, READER_OPENS_S)):
            card = await reader.token()
    except TimeoutError:
        if card_s:
            return fail(name, f"heard no card in {card_s:g} s", "was one held to it? driver, baud and wiring")
        return note(name, "is there; whether it reads was not tried (--card-s 20 asks for a card)")
    except DriverError as error:
        return fail(name, str(error), "cable and port; see readers in the configuration")
    return ok(name, f"read a card, {shorten(card.value)}")
