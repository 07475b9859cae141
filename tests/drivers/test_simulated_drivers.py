"""The project's own drivers on the simulated hardware: real lines, real bytes, both at once on one RS-485 line."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from drivers.api import DriverError, EvseReading, Fault, Measurand, Pilot
from drivers.bus import SerialSettings
from drivers.mapped_evse import MappedEvse
from drivers.mapped_meter import MappedMeter
from drivers.simulated.hardware import SimulatedHardware
from drivers.simulated.plan import SimBus, SimEvse, SimStation, SimUnit
from drivers.wire import make_bus
from tests.end_to_end.agent_helpers import QuickHardware


class Rig:
    """One charger with both drivers on its line."""

    def __init__(self, hw: SimulatedHardware, evse: MappedEvse, meter: MappedMeter) -> None:
        self.hw = hw
        self.evse = evse
        self.meter = meter

    async def energy_wh(self) -> float:
        samples = await self.meter.read()
        total = Measurand.ENERGY_ACTIVE_IMPORT_REGISTER
        return next(s.value for s in samples if s.measurand is total and s.phase is None)

    async def until(self, holds: Callable[[EvseReading], bool], timeout_s: float = 8.0) -> EvseReading:
        async with asyncio.timeout(timeout_s):
            reading = await self.evse.read()
            while not holds(reading):
                reading = await self.evse.read()
        return reading


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    port = str(tmp_path / "ttyRS485")
    plan = SimStation(
        buses=(SimBus("rs485", port=port, baud=57600),),
        evses=(SimEvse(1, SimUnit("reference", "rs485", 1), SimUnit("eastron_sdm630", "rs485", 2)),),
    )
    async with QuickHardware(plan) as hw:
        bus = make_bus(SerialSettings(port, baud=57600))
        yield Rig(hw, MappedEvse(bus, 1, "reference"), MappedMeter(bus, 2, "eastron_sdm630"))
        await bus.close()


async def test_the_drivers_charge_a_car(rig: Rig) -> None:
    before_wh = await rig.energy_wh()
    await rig.hw.do("plug-in", evse=1)
    await rig.until(lambda r: r.pilot is Pilot.B)
    await rig.evse.offer(16.0)
    reading = await rig.until(lambda r: r.contactor is True)
    assert (reading.pilot, reading.offered_a, reading.cable_a, reading.locked) == (Pilot.C, 16.0, 32.0, True)
    await rig.hw.wait("drawn-ma", "16000", evse=1, timeout_s=8)
    assert await rig.energy_wh() > before_wh


async def test_what_the_driver_reads_is_what_the_hardware_says(rig: Rig) -> None:
    await rig.hw.do("meter", evse=1, wh=7654)
    assert await rig.energy_wh() == pytest.approx(float(await rig.hw.do("get", key="meter-wh", evse=1)), abs=1e-3)


async def test_the_devices_say_who_they_are(rig: Rig) -> None:
    assert "reference" in await rig.evse.identity()
    assert "Eastron" in await rig.meter.identity()


async def test_a_slow_meter_never_gives_the_controller_its_answers(rig: Rig) -> None:
    await rig.hw.do("bus", device="meter", mode="slow")
    for _ in range(2):
        with pytest.raises(DriverError):
            await rig.meter.read()
        reading = await rig.evse.read()
        assert (reading.pilot, reading.faults) == (Pilot.A, ())


async def test_a_fault_is_told_by_the_driver(rig: Rig) -> None:
    await rig.hw.do("fault", name="ground", evse=1)
    assert (await rig.evse.read()).faults == (Fault.GROUND,)


async def test_power_failure_is_survived_and_the_order_can_be_given_anew(rig: Rig) -> None:
    await rig.evse.offer(16.0)
    await rig.hw.do("power", to="fail")
    with pytest.raises(DriverError):
        await rig.evse.read()
    await rig.hw.do("power", to="restore")
    assert (await rig.until(lambda r: r.offered_a == 0.0)).pilot is Pilot.A
    await rig.evse.offer(10.0)
    assert (await rig.evse.read()).offered_a == 10.0


async def test_the_lock_opens_on_demand(rig: Rig) -> None:
    await rig.hw.do("plug-in", evse=1, ev="hold")
    assert await rig.evse.unlock()
    assert await rig.hw.do("get", key="lock", evse=1) == "unlocked"
