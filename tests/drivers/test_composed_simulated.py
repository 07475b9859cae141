"""A charger made of parts on the simulated hardware: a pilot controller and an IO board on one line, real bytes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from drivers.api import DriverError, EvseController, EvseReading, Fault, Pilot, StopButton
from drivers.bus import Bus, Policy, SerialSettings
from drivers.composed import Cable, ComposedEvse, Contactor, Guards, Lock
from drivers.interlock import Rules
from drivers.io.channel import Channel
from drivers.io.mapped import MappedIo
from drivers.io.pilot import IoPilot
from drivers.io.resistor import Divider
from drivers.mapped_evse import MappedEvse
from drivers.simulated.hardware import SimulatedHardware
from drivers.simulated.plan import SimBoard, SimBus, SimChannel, SimEvse, SimStation, SimUnit, SimWiring
from drivers.wire import make_bus
from tests.end_to_end.agent_helpers import QuickHardware

RULES = Rules(min_open_s=0.3, after_fault_s=0.5, force_off_s=6.0)
OUTPUTS = {"contactor": 0, "lock": 1, "unlock": 2, "enable": 3}
INPUTS = {"mirror": 0, "residual": 1, "emergency": 2, "locked": 3, "connected": 4, "requesting": 5}
MORE = {"dc_residual": 6}  # of the larger board
INVERTED = ("mirror", "residual", "emergency", "dc_residual")


class Rig:
    def __init__(self, hw: SimulatedHardware, evse: ComposedEvse, bus: Bus) -> None:
        self.hw = hw
        self.evse = evse
        self.bus = bus

    async def until(self, holds: Callable[[EvseReading], bool], timeout_s: float = 8.0) -> EvseReading:
        async with asyncio.timeout(timeout_s):
            reading = await self.evse.read()
            while not holds(reading):
                reading = await self.evse.read()
        return reading

    async def charge(self) -> EvseReading:
        await self.evse.offer(0.0)
        await self.hw.do("plug-in", evse=1)
        await self.until(lambda r: r.locked is True)
        await self.evse.offer(16.0)
        return await self.until(lambda r: r.contactor is True and r.pilot is Pilot.C)

    async def get(self, key: str) -> str:
        return await self.hw.do("get", key=key, evse=1)


def wiring(first: int, volts: bool = False) -> SimWiring:
    def at(role: str, number: int) -> tuple[str, SimChannel]:
        return role, SimChannel("io", number + first, role in INVERTED)

    return SimWiring(
        outputs=tuple(at(*item) for item in OUTPUTS.items()),
        inputs=tuple(at(*item) for item in (INPUTS | (MORE if first else {})).items()),
        volts=SimChannel("io", 0) if volts else None,
        pilot_a=16.0,
    )


@asynccontextmanager
async def charger(
    folder: Path, board_map: str = "lc_relay_8", pilot_map: str | None = "evse_wb", watchdog_s: float | None = None
) -> AsyncIterator[Rig]:
    port = str(folder / "ttyRS485")
    board = MappedIo
    plan_board = SimBoard("io", board_map, "rs485", 3)
    first = 1 if board_map == "lc_relay_8" else 0
    volts = board_map.endswith("analog")
    controller = SimUnit(pilot_map, "rs485", 1) if pilot_map else None
    plan = SimStation(
        (SimBus("rs485", port=port, baud=115200),),
        (SimEvse(1, controller, SimUnit("eastron_sdm630", "rs485", 2), wiring=wiring(first, volts)),),
        boards=(plan_board,),
        latency_s=(0.001, 0.003),
    )
    async with QuickHardware(plan) as hw:
        bus = make_bus(SerialSettings(port, baud=115200), Policy(timeout_s=0.2, quarantine_s=0.1))
        io = board(bus, 3, board_map, watchdog_s=watchdog_s)
        yield Rig(hw, _evse(bus, io, first, pilot_map, volts), bus)
        await bus.close()


def _evse(bus: Bus, io: MappedIo, first: int, pilot_map: str | None, volts: bool) -> ComposedEvse:
    out = {role: Channel(io, number + first, f"io.{number + first}") for role, number in OUTPUTS.items()}
    into = {
        role: Channel(io, number + first, f"io.{number + first}", role in INVERTED)
        for role, number in (INPUTS | (MORE if first else {})).items()
    }
    pilot: EvseController = (
        MappedEvse(bus, 1, pilot_map)
        if pilot_map
        else IoPilot(into["connected"], into["requesting"], out["enable"], 16.0)
    )
    return ComposedEvse(
        pilot,
        Contactor(out["contactor"], into["mirror"]),
        Guards(into["residual"], into["emergency"], into.get("dc_residual")),
        Lock(out["lock"], out["unlock"], into["locked"], 0.05),
        Cable(Channel(io, 0, "io.0"), Divider(330.0, 5.0)) if volts else None,
        rules=RULES,
    )


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with charger(tmp_path) as found:
        yield found


async def test_a_whole_session(rig: Rig) -> None:
    await rig.charge()
    await rig.hw.wait("drawn-ma", "16000", evse=1, timeout_s=10)
    await rig.evse.offer(0.0)
    await rig.until(lambda r: r.contactor is False)
    with pytest.raises(ValueError, match="held by the lock"):
        await rig.hw.do("unplug", evse=1)
    await rig.until(lambda r: r.locked is False)
    await rig.hw.do("unplug", evse=1)
    assert (await rig.evse.read()).pilot is Pilot.A


async def test_the_pilot_controller_alone_closes_nothing(rig: Rig) -> None:
    await rig.hw.do("plug-in", evse=1)
    await MappedEvse(rig.bus, 1, "evse_wb").offer(16.0)
    await rig.hw.wait("ev-state", "C", evse=1, timeout_s=5)
    assert await rig.get("contactor") == "open"


async def test_a_pilot_module_on_the_same_board_charges_too(tmp_path: Path) -> None:
    async with charger(tmp_path, pilot_map=None) as rig:
        reading = await rig.charge()
        assert (reading.offered_a, await rig.get("contactor")) == (16.0, "closed")


async def test_less_than_a_pilot_modules_one_current_is_a_pause(tmp_path: Path) -> None:
    async with charger(tmp_path, pilot_map=None) as rig:
        await rig.charge()
        await rig.evse.offer(10.0)
        assert (await rig.until(lambda r: r.contactor is False)).offered_a == 0.0


async def test_the_cables_resistor_is_read_by_a_divider(tmp_path: Path) -> None:
    async with charger(tmp_path, "wago_750_analog", None) as rig:
        assert (await rig.evse.read()).cable_a == 0.0
        await rig.hw.do("plug-in", evse=1)
        assert (await rig.evse.read()).cable_a == 32.0
        await rig.hw.do("fault", name="cable", evse=1)
        assert (await rig.evse.read()).faults == (Fault.CABLE,)


async def test_a_welded_contactor_is_seen(rig: Rig) -> None:
    await rig.charge()
    await rig.hw.do("fault", name="contactor", evse=1)
    await rig.evse.offer(0.0)
    reading = await rig.until(lambda r: Fault.CONTACTOR in r.faults)
    assert (reading.contactor, await rig.evse.unlock()) == (True, False)


async def test_a_contactor_that_does_not_close_is_seen(rig: Rig) -> None:
    await rig.hw.do("contactor", state="stuck", evse=1)
    await rig.hw.do("plug-in", evse=1)
    await rig.until(lambda r: r.locked is True)
    await rig.evse.offer(16.0)
    assert (await rig.until(lambda r: Fault.CONTACTOR in r.faults)).contactor is False


async def test_a_lost_board_takes_the_offer_away(rig: Rig) -> None:
    await rig.charge()
    await rig.hw.do("bus", device="io", mode="timeout")
    with pytest.raises(DriverError):
        await rig.evse.read()
    assert await rig.get("order-ma") == "0"


async def test_residual_current_is_seen(rig: Rig) -> None:
    await rig.charge()
    await rig.hw.do("fault", name="ground", evse=1)
    await rig.until(lambda r: Fault.GROUND in r.faults and r.contactor is False)
    assert await rig.get("contactor") == "open"


async def test_residual_direct_current_is_told_as_such(rig: Rig) -> None:
    await rig.charge()
    await rig.hw.do("fault", name="dc-residual", evse=1)
    await rig.until(lambda r: Fault.DC_RESIDUAL in r.faults and r.contactor is False)


async def test_an_emergency_stop_is_seen(rig: Rig) -> None:
    await rig.charge()
    await rig.hw.do("stop-button", reason="emergency", evse=1)
    assert (await rig.until(lambda r: r.stop_button is not None)).stop_button is StopButton.EMERGENCY
    await rig.hw.wait("contactor", "open", evse=1, timeout_s=10)


async def test_a_lock_that_jams_is_seen(rig: Rig) -> None:
    await rig.hw.do("fault", name="lock-failure", evse=1)
    await rig.hw.do("plug-in", evse=1)
    await rig.until(lambda r: Fault.LOCK_FAILURE in r.faults)
    await rig.evse.offer(16.0)
    assert (await rig.evse.read()).contactor is False


@pytest.mark.parametrize(("board_map", "watchdog_s"), [("icpdas_et7060", 1.0), ("wago_750", 1.0)])
async def test_a_board_with_a_host_watchdog_lets_go_when_the_agent_is_gone(
    tmp_path: Path, board_map: str, watchdog_s: float
) -> None:
    async with charger(tmp_path, board_map, watchdog_s=watchdog_s) as rig:
        await rig.charge()
        await rig.hw.wait("contactor", "open", evse=1, timeout_s=10)  # nobody asks any more
        assert await rig.get("ev-state") == "C"
