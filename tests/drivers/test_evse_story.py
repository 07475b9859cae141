"""The demo's story with every controller of the shelf, on a virtual clock: plug in, offer, charge, pause, fault,
unplug, a power cut, and a master that is gone."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import tomli

from drivers.api import DriverError, EvseReading, Fault, Pilot
from drivers.bus import Bus, SerialSettings
from drivers.mapfile import MapError
from drivers.mapped_evse import MappedEvse
from drivers.regmap import load_evse, map_names, parse_evse
from drivers.simulated.devices import build_devices
from drivers.simulated.plan import SimBus, SimEvse, SimStation, SimUnit
from drivers.simulated.server import Thinking
from drivers.simulated.wire import SimWire
from drivers.simulated.world import World
from tests.drivers.virtual_time import run

EVSES = map_names("evse")
POLL_S = 0.5
GUARDED = [name for name in EVSES if load_evse(name).watchdog]
UNGUARDED = [name for name in EVSES if not load_evse(name).watchdog]


class Rig:
    """One controller with a car's place; `boot_a` is what its own menu lets it offer without a master."""

    def __init__(self, name: str, boot_a: float = 0.0) -> None:
        line = SimBus("b", port="/dev/ttyS1", baud=19200)
        place = SimEvse(1, SimUnit(name, "b", 1), cable_a=63.0, max_current_a=63.0, boot_offer_a=boot_a)
        self.world = World(SimStation((line,), (place,)))
        self.point = self.world.points[1]
        units = {unit: device for (_, unit), device in build_devices(self.world).items()}
        self.wire = SimWire(line, units, Thinking((0.005, 0.02), 0.65, 1), self.now)
        self.bus = Bus(self.wire, SerialSettings("/dev/ttyS1"))
        self.evse = MappedEvse(self.bus, 1, name)
        if self.evse.map.offer.watts:  # until it is told more, it takes all cars for such
            self.point.draw(63.0, 1, None)

    def now(self) -> None:
        self.world.advance(asyncio.get_running_loop().time())

    async def pause(self, seconds: float) -> None:
        """Time goes by, and nobody asks."""
        await asyncio.sleep(seconds)
        self.now()

    async def poll(self, seconds: float) -> EvseReading:
        """As the agent does: read, again and again; the last reading."""
        end = asyncio.get_running_loop().time() + seconds
        while True:
            reading = await self.evse.read()
            if asyncio.get_running_loop().time() >= end:
                return reading
            await asyncio.sleep(POLL_S)

    async def charge(self, current_a: float = 10.0) -> EvseReading:
        await self.poll(0.0)
        self.point.plug_in("auto")
        await self.evse.offer(current_a)
        return await self.poll(10.0)


def play(name: str, scene: Callable[[Rig], Coroutine[Any, Any, None]], boot_a: float = 0.0) -> None:
    async def main() -> None:
        await scene(Rig(name, boot_a))

    run(main())


@pytest.mark.parametrize("name", EVSES)
def test_a_car_comes_charges_pauses_and_goes(name: str) -> None:
    async def scene(rig: Rig) -> None:
        assert (await rig.poll(1.0)).pilot is Pilot.A
        rig.point.plug_in("auto")
        await rig.evse.offer(0.0)
        assert (await rig.poll(1.0)).pilot is Pilot.B
        await rig.evse.offer(10.0)
        assert (await rig.poll(10.0)).pilot is Pilot.C
        assert 9.9 <= rig.point.controller.pwm_a <= 10.0
        assert rig.point.controller.closed
        await rig.evse.offer(0.0)
        await rig.poll(10.0)
        assert (rig.point.controller.pwm_a, rig.point.controller.closed) == (0.0, False)
        rig.point.unplug_car()
        assert (await rig.poll(1.0)).pilot is Pilot.A

    play(name, scene)


@pytest.mark.parametrize("name", EVSES)
def test_no_order_is_more_than_the_board_may_give(name: str) -> None:
    async def scene(rig: Rig) -> None:
        await rig.charge(500.0)
        offer = rig.evse.map.offer
        step_a = offer.row.multiply / offer.row.divide
        assert offer.max_a - step_a < rig.point.controller.order_a <= offer.max_a

    play(name, scene)


@pytest.mark.parametrize("name", EVSES)
def test_less_than_six_ampere_is_a_pause(name: str) -> None:
    async def scene(rig: Rig) -> None:
        await rig.charge()
        await rig.evse.offer(5.99)
        assert (rig.point.controller.order_a, rig.point.controller.pwm_a) == (0.0, 0.0)

    play(name, scene)


@pytest.mark.parametrize("name", EVSES)
def test_each_order_that_can_be_read_back_is_what_was_ordered(name: str) -> None:
    async def scene(rig: Rig) -> None:
        if (told := (await rig.charge()).offered_a) is not None:
            assert 9.9 <= told <= 10.0
        await rig.evse.offer(0.0)
        assert (await rig.poll(0.0)).offered_a in (0.0, None)

    play(name, scene)


@pytest.mark.parametrize(
    ("name", "fault"), [(n, f) for n in EVSES for f in dict.fromkeys(f for f, _ in load_evse(n).faults)]
)
def test_each_fault_that_the_board_tells_comes_and_goes(name: str, fault: Fault) -> None:
    async def scene(rig: Rig) -> None:
        await rig.charge()
        rig.point.fault(fault, True)
        assert fault in (await rig.poll(0.0)).faults
        rig.point.fault(fault, False)
        assert fault not in (await rig.poll(2.0)).faults

    play(name, scene)


@pytest.mark.parametrize("name", EVSES)
def test_a_board_that_lost_its_power_gets_its_order_again(name: str) -> None:
    async def scene(rig: Rig) -> None:
        await rig.charge()
        rig.world.power(False)
        with pytest.raises(DriverError):
            await rig.poll(5.0)
        rig.world.power(True)
        with contextlib.suppress(DriverError):
            await rig.poll(0.0)  # a failing device waits for its turn
        await asyncio.sleep(3.0)
        reading = await rig.poll(12.0)
        if reading.offered_a == 0.0:  # the agent compares, and orders again
            await rig.evse.offer(10.0)
        assert 9.9 <= rig.point.controller.order_a <= 10.0

    play(name, scene)


@pytest.mark.parametrize("name", GUARDED)
def test_an_order_lasts_as_long_as_somebody_polls(name: str) -> None:
    async def scene(rig: Rig) -> None:
        await rig.charge()
        guard = rig.evse.guard()
        assert guard is not None
        await rig.poll(3 * guard.timeout_s)
        assert 9.9 <= rig.point.controller.pwm_a <= 10.0

    play(name, scene)


@pytest.mark.parametrize("name", [name for name in GUARDED if (w := load_evse(name).watchdog) and w.row])
def test_the_watchdog_is_armed_again_at_every_connect(name: str) -> None:
    async def scene(rig: Rig) -> None:
        await rig.charge()
        controller, guard = rig.point.controller, rig.evse.guard()
        assert guard is not None
        for _ in range(2):
            assert controller.watchdog_s == guard.timeout_s
            controller.watchdog_s = 0.0  # it has forgotten, and still charges: nothing else tells
            rig.wire.plugged = False
            with pytest.raises(DriverError):
                await rig.poll(0.0)
            rig.wire.plugged = True
            await asyncio.sleep(6.0)
            await rig.poll(0.0)
        assert controller.watchdog_s == guard.timeout_s

    play(name, scene)


@pytest.mark.parametrize("name", GUARDED)
def test_a_master_that_is_gone_leaves_no_more_than_was_said(name: str) -> None:
    async def scene(rig: Rig) -> None:
        await rig.charge()
        guard = rig.evse.guard()
        assert guard is not None
        await rig.pause(guard.timeout_s + 1.0)
        assert rig.point.controller.order_a == (8.0 if guard.current_a is None else guard.current_a)

    play(name, scene, boot_a=8.0)


@pytest.mark.parametrize("name", UNGUARDED)
def test_a_board_without_a_watchdog_says_so(name: str) -> None:
    async def scene(rig: Rig) -> None:
        await rig.charge()
        assert rig.evse.guard() is None
        await rig.pause(3600.0)
        assert rig.point.controller.order_a > 9.0

    play(name, scene)


def test_two_connectors_of_one_device_charge_apart() -> None:
    """The same map twice: connector 2 lies where `connector_step` says."""

    async def scene() -> None:
        line = SimBus("b", port="/dev/ttyS1", baud=115200)
        places = tuple(SimEvse(n, SimUnit("phoenix_charx", "b", 1, connector=n)) for n in (1, 2))
        world = World(SimStation((line,), places))
        units = {unit: device for (_, unit), device in build_devices(world).items()}

        def now() -> None:
            world.advance(asyncio.get_running_loop().time())

        bus = Bus(SimWire(line, units, Thinking((0.005, 0.02), 0.65, 1), now), SerialSettings("/dev/ttyS1"))
        one, two = (MappedEvse(bus, 1, "phoenix_charx", connector=n) for n in (1, 2))
        world.points[2].plug_in("auto")
        await one.offer(8.0)
        await two.offer(12.0)
        await asyncio.sleep(5.0)
        assert [(r.pilot, r.offered_a) for r in (await one.read(), await two.read())] == [
            (Pilot.A, 8.0),
            (Pilot.C, 12.0),
        ]
        assert (world.points[1].controller.closed, world.points[2].controller.closed) == (False, True)

    run(scene())


def test_a_connector_that_the_map_does_not_know_is_a_mistake() -> None:
    with pytest.raises(MapError, match=r"connector_step: missing; so there is no connector 2"):
        load_evse("evse_wb", connector=2)


def test_a_map_may_say_which_bits_are_meant_and_that_any_will_do() -> None:
    text = """
        vendor = "V"
        model = "M"
        source = "S"
        [pilot]
        at = 1
        mask = 0x0F00
        values = { 0x0100 = "A" }
        [offer]
        at = 2
        max = 16
        [faults]
        other = { at = 3, any = true }
        """
    found = parse_evse("evse/x.toml", tomli.loads(text))
    assert (found.pilot.word([0xF1FF]), found.pilot.word([0x0200])) == ("A", None)
    assert [found.faults[0][1].is_set([value]) for value in (0, 1, 0xFFFF)] == [False, True, True]


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ("[enable]\nat = 3\noff = 1", r"\[enable\] off: is 1, as on"),
        ("[failsafe]\ncurrent_a = 0", r"\[failsafe\]: needs \[watchdog\]"),
        ("[faults]\nother = { at = 3, any = true, values = [1] }", "values: says which ones"),
        ("[feed]\nat = 3\nvalue = 1\nevery_s = 0", "every_s: is 0; expected 1..3600"),
    ],
)
def test_a_mistake_in_a_new_word_is_one_line(lines: str, why: str) -> None:
    text = 'vendor = "V"\nmodel = "M"\nsource = "S"\n[pilot]\nat = 1\nvalues = { 1 = "A" }\n[offer]\nat = 2\nmax = 16\n'
    with pytest.raises(MapError, match=why):
        parse_evse("evse/x.toml", tomli.loads(text + lines))
