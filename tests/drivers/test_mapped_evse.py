"""A controller by its map: readings, orders, the watchdog that is always armed, and presses told once."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import tomli

from drivers.api import DriverError, Fault, Pilot
from drivers.bus import Bus, SerialSettings
from drivers.mapped_evse import MappedEvse
from drivers.regmap import load_evse, parse_evse
from drivers.wire import make_bus
from tests.drivers.bus_helpers import line
from tests.drivers.evse_scene import (
    CABLE,
    CONTACTOR,
    FAILSAFE,
    FAULTS,
    FEEDING,
    LOCK,
    OFFER,
    OPERATIONS,
    PILOT,
    WATCHDOG,
    holding,
    play,
)
from tests.drivers.register_wire import RegisterWire
from tests.drivers.virtual_time import run

# ---- readings


@pytest.mark.parametrize(("value", "pilot"), list(zip(range(1, 7), "ABCDEF", strict=True)))
def test_a_named_pilot_value_is_its_state(value: int, pilot: str) -> None:
    async def scene(evse: MappedEvse, wire: RegisterWire, bus: Bus) -> None:
        holding(wire)[PILOT] = value
        reading = await evse.read()
        assert (reading.pilot, reading.faults) == (Pilot(pilot), ())

    play(scene)


def test_a_pilot_value_without_a_name_is_a_fault() -> None:
    async def scene(evse: MappedEvse, wire: RegisterWire, bus: Bus) -> None:
        holding(wire)[PILOT] = 0
        reading = await evse.read()
        assert (reading.pilot, reading.faults) == (Pilot.UNKNOWN, (Fault.PILOT,))

    play(scene)


@pytest.mark.parametrize("fault", list(Fault))
def test_each_fault_bit_is_its_fault(fault: Fault) -> None:
    async def scene(evse: MappedEvse, wire: RegisterWire, bus: Bus) -> None:
        flag = next(flag for known, flag in evse.map.faults if known is fault)
        wire.set(flag.row, [1 << (flag.row.bit or 0)])
        assert (await evse.read()).faults == (fault,)

    play(scene)


def test_faults_come_sorted() -> None:
    async def scene(evse: MappedEvse, wire: RegisterWire, bus: Bus) -> None:
        holding(wire)[FAULTS] = 0b111
        faults = (await evse.read()).faults
        assert faults == tuple(sorted(faults))

    play(scene)


def test_a_reading_tells_all_that_the_board_tells() -> None:
    async def scene(evse: MappedEvse, wire: RegisterWire, bus: Bus) -> None:
        holding(wire).update(
            {PILOT: 3, CONTACTOR: 1, CABLE: 320, LOCK: 1, OFFER: 160, OPERATIONS: 1, OPERATIONS + 1: 2}
        )
        r = await evse.read()
        told = (r.contactor, r.cable_a, r.locked, r.offered_a, r.raw)
        assert told == (True, 32.0, True, 16.0, "pilot 3, contactor operations 65538")

    play(scene)


def test_an_attached_cable_has_no_rating() -> None:
    async def scene(evse: MappedEvse, wire: RegisterWire, bus: Bus) -> None:
        holding(wire)[CABLE] = 0xFFFF
        assert (await evse.read()).cable_a is None

    play(scene)


def test_an_evse_wb_is_read() -> None:
    async def scene(evse: MappedEvse, wire: RegisterWire, bus: Bus) -> None:
        holding(wire).update({1000: 10, 1001: 10, 1002: 3, 1003: 20, 1007: 0b100011})
        r = await evse.read()
        told = (r.pilot, r.contactor, r.cable_a, r.offered_a, r.faults)
        assert told == (Pilot.C, True, 20.0, 10.0, (Fault.DIODE, Fault.GROUND))

    play(scene, "evse_wb")


@pytest.mark.parametrize(("value", "pilot"), list(zip(range(2, 11), "AABBCCCEF", strict=True)))
def test_a_heidelberg_state_is_its_pilot_state(value: int, pilot: str) -> None:
    async def scene(evse: MappedEvse, wire: RegisterWire, bus: Bus) -> None:
        wire.tables["input"][5] = value
        assert (await evse.read()).pilot == Pilot(pilot)

    play(scene, "heidelberg_ec")


# ---- orders


@pytest.mark.parametrize(
    ("current_a", "register"),
    [(0, 0), (5.99, 0), (6, 60), (13.37, 133), (16, 160), (80, 800), (500, 800), (-1, 0), (math.nan, 0)],
)
def test_an_order_is_rounded_down_and_bounded(current_a: float, register: int) -> None:
    async def scene(evse: MappedEvse, wire: RegisterWire, bus: Bus) -> None:
        await evse.offer(current_a)
        assert holding(wire)[OFFER] == register

    play(scene)


def test_whole_amperes_are_rounded_down_too() -> None:
    async def scene(evse: MappedEvse, wire: RegisterWire, bus: Bus) -> None:
        await evse.offer(15.9)
        assert holding(wire)[1000] == 15

    play(scene, "evse_wb")


def test_an_order_may_be_repeated() -> None:
    async def scene(evse: MappedEvse, wire: RegisterWire, bus: Bus) -> None:
        await evse.offer(16)
        await evse.offer(16)
        assert wire.writes[-2:] == [(OFFER, [160]), (OFFER, [160])]

    play(scene)


def test_the_order_that_the_board_holds_is_read_back() -> None:
    async def scene(evse: MappedEvse, wire: RegisterWire, bus: Bus) -> None:
        await evse.offer(13.37)
        assert (await evse.read()).offered_a == 13.3

    play(scene)


# ---- set-up registers


SETUP = [(FAILSAFE, [0]), (WATCHDOG, [15000])]


def test_reading_writes_nothing_before_the_first_order() -> None:
    async def scene(evse: MappedEvse, wire: RegisterWire, bus: Bus) -> None:
        await evse.read()
        assert wire.writes == []

    play(scene)


def test_failsafe_and_watchdog_are_written_before_the_first_order() -> None:
    async def scene(evse: MappedEvse, wire: RegisterWire, bus: Bus) -> None:
        await evse.offer(16)
        assert wire.writes == [*SETUP, (OFFER, [160])]

    play(scene)


def test_the_configuration_may_choose_watchdog_and_failsafe() -> None:
    async def scene(evse: MappedEvse, wire: RegisterWire, bus: Bus) -> None:
        await evse.offer(16)
        assert wire.writes[:2] == [(FAILSAFE, [60]), (WATCHDOG, [9000])]

    play(scene, watchdog_s=9, failsafe_a=6)


def test_a_watchdog_time_that_does_not_fit_is_refused_at_once() -> None:
    with pytest.raises(DriverError, match=r"\[watchdog\] cannot be set to 100"):
        play(_nothing, watchdog_s=100)


async def _nothing(evse: MappedEvse, wire: RegisterWire, bus: Bus) -> None:
    """No scene: the driver is only made."""


def test_a_heidelberg_is_woken_unlocked_and_guarded() -> None:
    async def scene(evse: MappedEvse, wire: RegisterWire, bus: Bus) -> None:
        await evse.offer(10)
        assert wire.writes == [(258, [4]), (259, [1]), (262, [0]), (257, [15000]), (261, [100])]

    play(scene, "heidelberg_ec")


def test_withholding_power_comes_before_the_set_up() -> None:
    async def scene(evse: MappedEvse, wire: RegisterWire, bus: Bus) -> None:
        await evse.offer(0)
        assert wire.writes == [(OFFER, [0]), *SETUP]

    play(scene)


def test_power_is_not_offered_when_the_watchdog_cannot_be_set() -> None:
    async def scene(evse: MappedEvse, wire: RegisterWire, bus: Bus) -> None:
        wire.fails = lambda function, address: "refused" if address == WATCHDOG and function == 6 else None
        with pytest.raises(DriverError):
            await evse.offer(16)
        assert OFFER not in dict(wire.writes)

    play(scene)


def test_a_second_order_does_not_write_the_set_up_again() -> None:
    async def scene(evse: MappedEvse, wire: RegisterWire, bus: Bus) -> None:
        await evse.offer(16)
        await evse.offer(10)
        assert wire.writes == [*SETUP, (OFFER, [160]), (OFFER, [100])]

    play(scene)


def test_the_set_up_is_written_again_before_power_is_offered_after_a_pause() -> None:
    async def scene(evse: MappedEvse, wire: RegisterWire, bus: Bus) -> None:
        await evse.offer(16)
        await evse.offer(0)
        wire.writes.clear()
        await evse.offer(16)
        assert wire.writes == [*SETUP, (OFFER, [160])]

    play(scene)


def test_the_set_up_is_written_again_after_a_reconnect() -> None:
    async def scene(evse: MappedEvse, wire: RegisterWire, bus: Bus) -> None:
        await evse.offer(16)
        wire.writes.clear()
        wire.close()
        await evse.read()
        assert wire.writes == SETUP

    play(scene)


def test_the_set_up_is_written_again_after_the_board_was_silent() -> None:
    async def scene(evse: MappedEvse, wire: RegisterWire, bus: Bus) -> None:
        await evse.offer(16)
        wire.writes.clear()
        wire.fails = lambda function, address: "timeout"
        with pytest.raises(DriverError):
            await evse.read()
        wire.fails = lambda function, address: None
        await evse.read()
        assert wire.writes == SETUP

    play(scene)


def test_the_set_up_is_written_again_when_the_board_lost_its_order() -> None:
    async def scene(evse: MappedEvse, wire: RegisterWire, bus: Bus) -> None:
        await evse.offer(16)
        wire.writes.clear()
        holding(wire)[OFFER] = 0
        assert (await evse.read()).offered_a == 0.0
        assert wire.writes == SETUP

    play(scene)


def test_a_reading_is_told_though_the_set_up_fails() -> None:
    async def scene(evse: MappedEvse, wire: RegisterWire, bus: Bus) -> None:
        await evse.offer(16)
        holding(wire).update({OFFER: 0, PILOT: 2})
        wire.fails = lambda function, address: "refused" if address == WATCHDOG and function == 6 else None
        assert (await evse.read()).pilot is Pilot.B

    play(scene)


def test_a_watchdog_that_wants_a_write_is_fed_with_each_poll() -> None:
    async def main() -> None:
        wire = RegisterWire()
        evse = MappedEvse(Bus(wire, SerialSettings("x")), 1, parse_evse("x.toml", tomli.loads(FEEDING)))
        await evse.offer(0)
        wire.writes.clear()
        await evse.read()
        await evse.read()
        assert wire.writes == [(6000, [1])] * 2

    run(main())


def test_a_device_that_knows_only_function_16_is_written_so() -> None:
    async def main() -> None:
        wire = RegisterWire()
        evse = MappedEvse(Bus(wire, SerialSettings("x")), 1, parse_evse("x.toml", tomli.loads("write = 16" + FEEDING)))
        await evse.offer(0)
        assert set(wire.functions) == {16}

    run(main())


async def test_a_controller_is_driven_over_a_real_line(tmp_path: Path) -> None:
    image = dict.fromkeys(range(40), 0) | {PILOT: 2}
    async with line(tmp_path / "tty", {1: image}) as (_, slave, settings):
        bus = make_bus(settings)
        evse = MappedEvse(bus, 1, load_evse("reference"))
        await evse.offer(16)
        reading = await evse.read()
        assert (reading.pilot, reading.offered_a) == (Pilot.B, 16.0)
        assert slave.words[1][WATCHDOG] == 15000
        await bus.close()
