"""Those who break things: network, bus, meter, clock, disk and hardware, each a task with its own dice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from drivers.api import Fault
from tests.simulation.people import pause
from tests.simulation.plan import DAY_S, Rng
from tests.simulation.scene import Scene

FAULTS = (Fault.GROUND, Fault.OVER_TEMPERATURE, Fault.OVER_CURRENT, Fault.DIODE, Fault.INTERNAL, Fault.CABLE)


class Trouble:
    """Network, bus, meter, clock, disk and hardware faults, each with its own task."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene

    def tasks(self) -> list[Coroutine[Any, Any, None]]:
        plan = self._scene.plan
        rows: tuple[tuple[float, str, Callable[[Rng], Coroutine[Any, Any, None]]], ...] = (
            (plan.links_a_day, "link", self._link),
            (plan.buses_a_day, "bus", self._bus),
            (plan.meters_a_day, "meter", self._meter),
            (plan.clocks_a_day, "clock", self._clock),
            (plan.disks_a_day, "disk", self._disk),
            (plan.faults_a_day, "fault", self._fault),
        )
        return [self._often(mean, plan.rng(name), act) for mean, name, act in rows if mean]

    async def _often(self, a_day: float, rng: Rng, act: Callable[[Rng], Coroutine[Any, Any, None]]) -> None:
        while True:
            await pause(rng, DAY_S / a_day)
            self._scene.checker.totals.faults += 1
            await act(rng)

    async def _link(self, rng: Rng) -> None:
        weather, line = self._scene.weather, self._scene.csms.line
        kind = rng.choice(("cut", "refused", "deaf", "slow"))
        long_s = rng.choice((20.0, 300.0, 7200.0))
        if kind in ("cut", "refused"):
            weather.refused = kind == "refused"
            if line is not None:
                line.cut()  # type: ignore[attr-defined]
        elif kind == "deaf":
            weather.deaf = True
        else:
            weather.slow_s = rng.choice((2.0, 10.0, 40.0))
        await asyncio.sleep(rng.uniform(0.5, 1.5) * long_s)
        weather.refused, weather.deaf, weather.slow_s = False, False, 0.0

    async def _bus(self, rng: Rng) -> None:
        scene = self._scene
        unit = rng.choice(sorted(scene.units))
        mode = rng.choice(("timeout", "garbage", "slow", "flaky", "gone"))
        long_s = rng.choice((1.0, 4.0, 25.0, 100.0))
        if unit % 2 == 0:
            scene.checker.silence(unit // 2, scene.now() + long_s)
        scene.stir(long_s + 15.0)
        if mode == "gone":
            for n in scene.points:
                scene.checker.silence(n, scene.now() + long_s)
            scene.wire.plugged = False
            await asyncio.sleep(long_s)
            scene.wire.plugged = True
        elif mode == "flaky":
            for _ in range(10):
                scene.units[unit].mode = rng.choice(("ok", "slow", "timeout", "garbage"))
                await asyncio.sleep(long_s / 10)
        else:
            scene.units[unit].mode = mode
            await asyncio.sleep(long_s)
        scene.units[unit].mode = "ok"

    async def _meter(self, rng: Rng) -> None:
        scene = self._scene
        evse = rng.choice(sorted(scene.points))
        kind = rng.choice(("frozen", "back", "swapped"))
        if kind == "back":
            scene.lie_back[evse] = rng.choice((1, 2))
            scene.stir()
        elif kind == "frozen":
            long_s = rng.choice((2.0, 30.0, 300.0))
            scene.checker.silence(evse, scene.now() + long_s)
            scene.frozen[evse] = ()
            scene.stir()
            await asyncio.sleep(long_s)
            scene.frozen.pop(evse, None)
        elif scene.points[evse].car is None:
            swap(scene, evse, rng)

    async def _clock(self, rng: Rng) -> None:
        """The system clock leaps, and is set right after a while."""
        scene = self._scene
        scene.skew_s = rng.choice((-1_000_000_000.0, -3600.0, 3600.0, 40.0))
        await asyncio.sleep(rng.choice((60.0, 3600.0)))
        scene.skew_s = 0.0

    async def _disk(self, rng: Rng) -> None:
        self._scene.disk_full = self._scene.workshop.disk_full = True
        await asyncio.sleep(rng.choice((1.0, 60.0, 1800.0)))
        self._scene.disk_full = self._scene.workshop.disk_full = False

    async def _fault(self, rng: Rng) -> None:
        scene = self._scene
        evse = rng.choice(sorted(scene.points))
        point = scene.points[evse]
        known = [fault for fault in FAULTS if fault in point.senses]
        if rng.random() < 0.2:
            scene.reader_broken = True
            await asyncio.sleep(120.0)
            scene.reader_broken = False
        elif known:
            fault = rng.choice(known)
            scene.advance()
            point.fault(fault, True)
            await asyncio.sleep(rng.choice((2.0, 60.0, 900.0)))
            scene.advance()
            point.fault(fault, False)


def swap(scene: Scene, evse: int, rng: Rng) -> None:
    """Another meter takes the place of the old one, with a life of its own behind it."""
    scene.advance()
    meter = scene.points[evse].meter
    by_wh = rng.choice((-900_000.0, 50_000.0)) if meter.energy_wh > 1e6 else 200_000.0
    scene.checker.swapped(evse, by_wh)
    meter.exchange(meter.energy_wh + by_wh)
    scene.stir(20.0)


def heal(scene: Scene) -> None:
    """Nothing is broken any more, and every car has gone."""
    scene.advance()
    weather = scene.weather
    weather.refused, weather.deaf, weather.slow_s = False, False, 0.0
    scene.wire.plugged, scene.disk_full, scene.reader_broken, scene.skew_s = True, False, False, 0.0
    scene.workshop.disk_full = False
    scene.frozen.clear()
    scene.lie_back.clear()
    for unit in scene.units.values():
        unit.mode = "ok"
    for point in scene.points.values():
        for fault in tuple(point.faults):
            point.fault(fault, False)
        point.unplug_car()
        point.unplug()
    scene.csms.faults = type(scene.csms.faults)()
    scene.stir(60.0)
