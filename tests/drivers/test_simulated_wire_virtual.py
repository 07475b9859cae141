"""The simulated wire on a virtual clock: hours of polling in a moment, and RTU's trap for those who fall into it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from drivers.api import DriverError, Measurand
from drivers.bus import Bus, SerialSettings, WireError
from drivers.mapped_evse import MappedEvse
from drivers.mapped_meter import MappedMeter
from drivers.simulated.devices import build_devices
from drivers.simulated.plan import SimBus, SimEvse, SimStation, SimUnit
from drivers.simulated.registers import SimDevice
from drivers.simulated.server import Thinking
from drivers.simulated.wire import SimWire
from drivers.simulated.world import World
from tests.drivers.virtual_time import run

ENERGY, VOLTAGE = 0x48, 0x00


class Rig:
    def __init__(self) -> None:
        bus = SimBus("b", port="/dev/ttyS1")
        evse = SimEvse(1, SimUnit("reference", "b", 1), SimUnit("eastron_sdm630", "b", 2))
        self.world = World(SimStation((bus,), (evse,)))
        devices = build_devices(self.world)
        self.units: dict[int, SimDevice] = {unit: device for (_, unit), device in devices.items()}
        self.wire = SimWire(bus, self.units, Thinking((0.005, 0.02), 0.65, 1), self.now)
        self.bus = Bus(self.wire, SerialSettings("/dev/ttyS1"))
        self.evse = MappedEvse(self.bus, 1, "reference")
        self.meter = MappedMeter(self.bus, 2, "eastron_sdm630")

    def now(self) -> None:
        self.world.advance(asyncio.get_running_loop().time())

    async def ask(self, address: int, timeout_s: float = 0.5) -> list[int]:
        return await self.wire.transact(2, 4, address, 2, timeout_s)


def play(scene: Callable[[Rig], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        rig = Rig()
        await rig.wire.connect(1.0)
        await scene(rig)

    run(main())


def test_an_hour_of_charging_is_polled_in_moments() -> None:
    async def scene(rig: Rig) -> None:
        rig.world.points[1].plug_in("auto")
        await rig.evse.offer(16.0)
        for _ in range(360):
            await rig.evse.read()
            samples = await rig.meter.read()
            await asyncio.sleep(10.0)
        energy_wh = next(s.value for s in samples if s.measurand is Measurand.ENERGY_ACTIVE_IMPORT_REGISTER)
        assert energy_wh - 1_234_567.0 > 10_000.0

    start = time.process_time()
    play(scene)
    assert time.process_time() - start < 10.0


def test_an_answer_takes_the_time_of_its_bytes() -> None:
    async def scene(rig: Rig) -> None:
        loop = asyncio.get_running_loop()
        start_s = loop.time()
        await rig.ask(ENERGY)
        assert 17 * 10 / 9600 + 0.005 <= loop.time() - start_s <= 17 * 10 / 9600 + 0.02

    play(scene)


def test_a_late_answer_is_taken_for_the_next_one_without_a_quarantine() -> None:
    async def scene(rig: Rig) -> None:
        energy = await rig.ask(ENERGY)
        rig.units[2].mode = "slow"
        with pytest.raises(WireError, match="timeout"):
            await rig.ask(ENERGY)
        assert await rig.ask(VOLTAGE) == energy

    play(scene)


def test_a_quarantine_saves_from_late_answers() -> None:
    async def scene(rig: Rig) -> None:
        energy = await rig.ask(ENERGY)
        rig.units[2].mode = "slow"
        with pytest.raises(WireError, match="timeout"):
            await rig.ask(ENERGY)
        await rig.wire.drain(0.3)
        rig.units[2].mode = "ok"
        assert await rig.ask(VOLTAGE) != energy

    play(scene)


def test_garbage_is_garbage() -> None:
    async def scene(rig: Rig) -> None:
        rig.units[2].mode = "garbage"
        with pytest.raises(WireError, match="checksum"):
            await rig.ask(ENERGY)

    play(scene)


def test_a_refusal_is_an_exception_answer() -> None:
    async def scene(rig: Rig) -> None:
        with pytest.raises(WireError) as refused:
            await rig.ask(0x3000)
        assert (refused.value.kind, refused.value.code) == ("exception", 2)

    play(scene)


def test_a_port_that_went_away_is_opened_anew() -> None:
    async def scene(rig: Rig) -> None:
        await rig.evse.read()
        rig.wire.plugged = False
        with pytest.raises(DriverError):
            await rig.evse.read()
        rig.wire.plugged = True
        await asyncio.sleep(10.0)
        assert (await rig.evse.read()).pilot == "A"

    play(scene)
