"""The controllers that are drivers in Python and speak Modbus, on the boards that simulate them, on a virtual clock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from agent.config_checks import MAPPED, READERS, SIGNING
from agent.demo.simulate import UNMAPPED
from drivers import registry
from drivers.api import EvseReading, Pilot
from drivers.bus import Bus, SerialSettings
from drivers.simulated.devices import PYTHON_DRIVERS, build_devices
from drivers.simulated.plan import SimBus, SimEvse, SimStation, SimUnit
from drivers.simulated.server import Thinking
from drivers.simulated.wire import SimWire
from drivers.simulated.world import World
from tests.drivers.virtual_time import run

UNIT, POLL_S = 2, 0.5
STEPS_A = {"etek": 0.006, "edgetech-smartevse": 1.0}  # of what a board can be ordered


class Rig:
    """One board of each driver's kind."""

    def __init__(self, *names: str) -> None:
        line = SimBus("b", port="/dev/ttyS1", baud=9600)
        places = tuple(SimEvse(n, SimUnit(name, "b", UNIT + n - 1), cable_a=63.0) for n, name in enumerate(names, 1))
        self.world = World(SimStation((line,), places))
        self.points = self.world.points
        self.devices = {unit: device for (_, unit), device in build_devices(self.world).items()}
        self.bus = Bus(
            SimWire(line, self.devices, Thinking((0.005, 0.02), 0.65, 1), self.now), SerialSettings("/dev/ttyS1")
        )
        self.evses = [registry.find(name)(self.bus, UNIT + n) for n, name in enumerate(names)]

    def now(self) -> None:
        self.world.advance(asyncio.get_running_loop().time())

    async def poll(self, seconds: float) -> EvseReading:
        """What the first one tells at the end; all are asked."""
        end = asyncio.get_running_loop().time() + seconds
        while True:
            readings: list[EvseReading] = [await evse.read() for evse in self.evses]
            if asyncio.get_running_loop().time() >= end:
                self.now()
                return readings[0]
            await asyncio.sleep(POLL_S)

    async def charge(self, current_a: float) -> EvseReading:
        await self.poll(0.0)
        for point, evse in zip(self.points.values(), self.evses, strict=True):
            point.plug_in("auto")
            await evse.offer(current_a)
        return await self.poll(12.0)


def play(scene: Callable[[Rig], Coroutine[Any, Any, None]], *names: str) -> None:
    async def main() -> None:
        await scene(Rig(*names))

    run(main())


def test_each_controller_and_meter_that_a_configuration_can_name_is_simulated() -> None:
    others = {*MAPPED, *SIGNING, *READERS, "composed", "mapped-io", "gpio"}
    assert {*PYTHON_DRIVERS, *UNMAPPED} == set(registry.BUILT_IN) - others


@pytest.mark.parametrize("name", PYTHON_DRIVERS)
def test_a_car_comes_charges_pauses_and_goes(name: str) -> None:
    async def scene(rig: Rig) -> None:
        point = rig.points[1]
        assert (await rig.poll(1.0)).pilot is Pilot.A
        assert (await rig.charge(10.0)).pilot is Pilot.C
        assert 10.0 - STEPS_A.get(name, 0.1) <= point.amps <= 10.0
        await rig.evses[0].offer(0.0)
        assert (await rig.poll(10.0)).pilot is Pilot.B
        assert (point.controller.pwm_a, point.controller.closed) == (0.0, False)
        await rig.evses[0].offer(16.0)
        await rig.poll(12.0)
        assert 15.0 <= point.amps <= 16.0
        point.unplug_car()
        assert (await rig.poll(1.0)).pilot is Pilot.A

    play(scene, name)


@pytest.mark.parametrize("name", PYTHON_DRIVERS)
def test_each_order_that_can_be_read_back_is_what_was_ordered(name: str) -> None:
    async def scene(rig: Rig) -> None:
        if (told := (await rig.charge(10.0)).offered_a) is not None:
            assert 9.9 <= told <= 10.0
        await rig.evses[0].offer(0.0)
        assert (await rig.poll(1.0)).offered_a in (0.0, None)

    play(scene, name)


def test_a_smartevse_node_that_hears_nothing_takes_the_power_away() -> None:
    async def scene(rig: Rig) -> None:
        await rig.charge(16.0)
        await asyncio.sleep(7.0)  # it has heard its current up to two seconds before
        rig.now()
        assert rig.points[1].controller.pwm_a == 16.0
        await asyncio.sleep(4.0)
        rig.now()
        assert rig.points[1].controller.pwm_a == 0.0

    play(scene, "smartevse")


def test_two_smartevse_nodes_of_a_line_charge_apart() -> None:
    async def scene(rig: Rig) -> None:
        await rig.charge(16.0)
        await rig.evses[1].offer(8.0)
        await rig.poll(10.0)
        assert [point.amps for point in rig.points.values()] == [16.0, 8.0]

    play(scene, "smartevse", "smartevse")


def test_a_smartevse_node_charges_nobody_who_was_not_asked_for() -> None:
    async def scene(rig: Rig) -> None:
        rig.points[1].plug_in("auto")
        await rig.bus.broadcast(9, 0x20, [0, 160, 0, 0, 0, 0, 0, 0])
        await asyncio.sleep(5.0)
        rig.now()
        assert await rig.bus.read(UNIT, "holding", 0, 1) == [4]
        assert rig.points[1].controller.pwm_a == 0.0

    play(scene, "smartevse")
