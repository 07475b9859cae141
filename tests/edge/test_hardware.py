"""The hardware tasks over simulated Modbus devices, on a virtual clock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from agent.core.events import (
    DeviceFound,
    DeviceLost,
    Event,
    EvseRead,
    MeterNamed,
    MeterRead,
    TokenPresented,
    UnlockDone,
)
from agent.edge.hardware import EvseParts, Hardware, ReaderParts
from drivers.api import DriverError, IdToken, Pilot
from drivers.bus import Bus, SerialSettings
from drivers.mapped_evse import MappedEvse
from drivers.mapped_meter import MappedMeter
from drivers.simulated.devices import build_devices
from drivers.simulated.plan import SimBus, SimEvse, SimStation, SimUnit
from drivers.simulated.registers import SimDevice
from drivers.simulated.server import Thinking
from drivers.simulated.wire import SimWire
from drivers.simulated.world import World
from tests.drivers.virtual_time import run

T = TypeVar("T", bound=Event)


class Reader:
    """A card reader that is played by hand."""

    def __init__(self) -> None:
        self.cards: asyncio.Queue[IdToken | DriverError] = asyncio.Queue()

    async def token(self) -> IdToken:
        card = await self.cards.get()
        if isinstance(card, DriverError):
            raise card
        return card


class Rig:
    def __init__(self, evse_map: str = "reference") -> None:
        line = SimBus("b", port="/dev/ttyS1")
        evse = SimEvse(1, SimUnit(evse_map, "b", 1), SimUnit("eastron_sdm630", "b", 2))
        self.world = World(SimStation((line,), (evse,)))
        devices = build_devices(self.world)
        self.units: dict[int, SimDevice] = {unit: device for (_, unit), device in devices.items()}
        wire = SimWire(line, self.units, Thinking((0.005, 0.02), 0.65, 1), self.now)
        bus = Bus(wire, SerialSettings("/dev/ttyS1"))
        parts = EvseParts(1, MappedEvse(bus, 1, evse_map), MappedMeter(bus, 2, "eastron_sdm630"))
        self.reader = Reader()
        self.events: list[Event] = []
        self.beats: list[str] = []
        readers = [ReaderParts(self.reader, (1,))]
        self.whole = False
        self.hardware = Hardware([parts], readers, self.tell, self.beats.append, lambda _evse: self.whole)

    def now(self) -> None:
        self.world.advance(asyncio.get_running_loop().time())

    async def tell(self, event: Event) -> None:
        self.events.append(event)

    def of(self, kind: type[T]) -> list[T]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def point(self) -> Any:
        self.now()
        return self.world.points[1]


def play(scene: Callable[[Rig], Coroutine[Any, Any, None]], evse_map: str = "reference") -> None:
    async def main() -> None:
        rig = Rig(evse_map)
        tasks = [asyncio.ensure_future(work) for work in rig.hardware.tasks().values()]
        try:
            await scene(rig)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    run(main())


def test_the_state_is_read_and_nothing_is_written_before_an_order() -> None:
    async def scene(rig: Rig) -> None:
        rig.world.points[1].plug_in("auto")
        await asyncio.sleep(5)
        assert rig.of(EvseRead)[0].reading.pilot is Pilot.B
        assert rig.point.amps == 0

    play(scene)


def test_only_news_of_the_controller_is_told_and_every_reading_of_the_meter() -> None:
    async def scene(rig: Rig) -> None:
        await asyncio.sleep(20)
        assert len(rig.of(EvseRead)) == 1
        assert 18 <= len(rig.of(MeterRead)) <= 22

    play(scene)


def test_a_meter_is_read_whole_when_that_is_wanted() -> None:
    async def scene(rig: Rig) -> None:
        await asyncio.sleep(5.5)
        usual = len(rig.of(MeterRead)[-1].samples)
        rig.whole = True
        await asyncio.sleep(2)
        assert len(rig.of(MeterRead)[-1].samples) > usual

    play(scene)


def test_an_order_reaches_the_car() -> None:
    async def scene(rig: Rig) -> None:
        rig.world.points[1].plug_in("auto")
        await asyncio.sleep(1)
        rig.hardware.offer(1, 16.0)
        assert await rig.hardware.settle(2.0)
        await asyncio.sleep(20)
        assert rig.of(EvseRead)[-1].reading.pilot is Pilot.C
        assert rig.of(EvseRead)[-1].reading.contactor is True

    play(scene)


def test_a_board_that_forgets_its_order_gets_it_again() -> None:
    async def scene(rig: Rig) -> None:
        rig.world.points[1].plug_in("auto")
        rig.hardware.offer(1, 16.0)
        await asyncio.sleep(20)
        rig.world.power(False)
        rig.world.power(True)
        await asyncio.sleep(20)
        reading = rig.hardware.reading(1)
        assert reading is not None
        assert reading.offered_a == 16.0

    play(scene)


def test_a_silent_controller_is_told_once_in_time_and_found_again() -> None:
    async def scene(rig: Rig) -> None:
        await asyncio.sleep(3)
        rig.units[1].mode = "timeout"
        await asyncio.sleep(9)
        assert rig.of(DeviceLost) == []
        await asyncio.sleep(1.3)
        assert [event.device for event in rig.of(DeviceLost)] == ["controller"]
        rig.units[1].mode = "ok"
        await asyncio.sleep(7)
        assert rig.of(DeviceFound) == [DeviceFound(1, "controller")]
        assert isinstance(rig.of(EvseRead)[-1], EvseRead)

    play(scene)


def test_a_silent_meter_does_not_silence_the_controller() -> None:
    async def scene(rig: Rig) -> None:
        await asyncio.sleep(3)
        rig.units[2].mode = "timeout"
        await asyncio.sleep(14)
        assert [event.device for event in rig.of(DeviceLost)] == ["meter"]
        before = len(rig.of(EvseRead))
        rig.world.points[1].plug_in("hold")
        await asyncio.sleep(3)
        assert len(rig.of(EvseRead)) == before + 1

    play(scene)


def test_the_lock_is_opened_and_says_so() -> None:
    async def scene(rig: Rig) -> None:
        rig.world.points[1].plug_in("hold")
        await asyncio.sleep(2)
        rig.hardware.unlock(1)
        await asyncio.sleep(6)
        assert rig.of(UnlockDone) == [UnlockDone(1, True)]

    play(scene)


def test_a_meter_is_asked_for_its_number_at_first_and_when_it_comes_back() -> None:
    async def scene(rig: Rig) -> None:
        await asyncio.sleep(5)
        assert [type(event) for event in rig.events if isinstance(event, MeterNamed | MeterRead)][:2] == [
            MeterNamed,
            MeterRead,
        ]
        rig.units[2].mode = "timeout"
        await asyncio.sleep(14)
        rig.point.meter.exchange(77.0)
        rig.units[2].mode = "ok"
        await asyncio.sleep(5)
        assert rig.of(MeterNamed) == [MeterNamed(1, "1"), MeterNamed(1, "2")]
        after = rig.events[rig.events.index(MeterNamed(1, "2")) :]
        assert [event.samples for event in rig.of(MeterRead)][-1] == after[-1].samples  # type: ignore[attr-defined]

    play(scene)


def test_a_card_is_told_and_a_lost_reader_comes_back() -> None:
    async def scene(rig: Rig) -> None:
        rig.reader.cards.put_nowait(IdToken("AABB"))
        await asyncio.sleep(1)
        assert rig.of(TokenPresented) == [TokenPresented((1,), IdToken("AABB"))]
        rig.reader.cards.put_nowait(DriverError("gone"))
        await asyncio.sleep(1)
        assert rig.of(DeviceLost) == [DeviceLost(1, "reader", "gone")]
        await asyncio.sleep(5)
        assert rig.of(DeviceFound) == [DeviceFound(1, "reader")]

    play(scene)


def test_every_task_beats_also_when_its_device_is_dead() -> None:
    async def scene(rig: Rig) -> None:
        rig.units[1].mode = rig.units[2].mode = "timeout"
        await asyncio.sleep(29)
        rig.beats.clear()
        await asyncio.sleep(29)
        assert set(rig.hardware.beats()) <= set(rig.beats)

    play(scene)


def test_when_the_agent_dies_the_controllers_watchdog_takes_the_power() -> None:
    async def main() -> None:
        rig = Rig()
        tasks = [asyncio.ensure_future(work) for work in rig.hardware.tasks().values()]
        rig.world.points[1].plug_in("auto")
        rig.hardware.offer(1, 16.0)
        await asyncio.sleep(20)
        assert rig.point.power_w > 1000
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await asyncio.sleep(60)
        assert rig.point.power_w == 0

    run(main())
