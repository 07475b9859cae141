"""Controllers that are more than a map can say: the eBox with a limit for each phase, the smartEVSE, and the ETEK."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from drivers.api import Pilot, gap
from drivers.bus import Bus, Policy, SerialSettings
from drivers.evse.etek import STATE, STOPPED, VOLTAGE, EtekEpc
from drivers.evse.innogy import InnogyEbox
from drivers.evse.smartevse import EdgetechSmartEvse
from drivers.mapped_evse import MappedEvse
from tests.drivers.register_wire import RegisterWire
from tests.drivers.virtual_time import run

Scene = Callable[[MappedEvse, RegisterWire], Coroutine[Any, Any, None]]
LIMITS = (1012, 1014, 1016)


def play(make: Callable[[Bus, int], MappedEvse], scene: Scene) -> None:
    async def main() -> None:
        wire = RegisterWire()
        await scene(make(Bus(wire, SerialSettings("/dev/ttyS1"), Policy(retries=0)), 1), wire)

    run(main())


def words(current_a: float) -> list[int]:
    return list(struct.unpack(">2H", struct.pack(">f", current_a)))


def text(letters: str) -> int:
    return int.from_bytes(letters.encode(), "big")


@pytest.mark.parametrize(("state", "pilot"), [("A1", Pilot.A), ("B2", Pilot.B), ("C2", Pilot.C), ("F\0", Pilot.F)])
def test_an_ebox_tells_its_state_as_a_text(state: str, pilot: Pilot) -> None:
    async def scene(box: MappedEvse, wire: RegisterWire) -> None:
        wire.tables["input"][275] = text(state)
        assert (await box.read()).pilot is pilot

    play(InnogyEbox, scene)


@pytest.mark.parametrize(("ordered_a", "held_a"), [(10.0, 10.0), (50.0, 32.0), (5.9, 0.0), (0.0, 0.0)])
def test_an_order_to_an_ebox_limits_all_three_phases(ordered_a: float, held_a: float) -> None:
    async def scene(box: MappedEvse, wire: RegisterWire) -> None:
        await box.offer(ordered_a)
        assert wire.writes == [(at, words(held_a)) for at in LIMITS]
        assert (await box.read()).offered_a == held_a

    play(InnogyEbox, scene)


@pytest.mark.parametrize("lost_a", [0.0, 16.0])
@pytest.mark.parametrize("phase", LIMITS)
def test_a_limit_that_an_ebox_lost_on_one_phase_shows(phase: int, lost_a: float) -> None:
    async def scene(box: MappedEvse, wire: RegisterWire) -> None:
        await box.offer(10.0)
        wire.tables["holding"].update({phase: words(lost_a)[0], phase + 1: words(lost_a)[1]})
        assert (await box.read()).offered_a == lost_a

    play(InnogyEbox, scene)


@pytest.mark.parametrize(("state", "pilot"), [(0x0101, Pilot.A), (2, Pilot.B), (3, Pilot.C), (0, Pilot.UNKNOWN)])
def test_a_smartevse_tells_its_state_in_the_low_byte(state: int, pilot: Pilot) -> None:
    async def scene(board: MappedEvse, wire: RegisterWire) -> None:
        wire.tables["input"][0x0103] = state
        assert (await board.read()).pilot is pilot

    play(EdgetechSmartEvse, scene)


@pytest.mark.parametrize(
    ("ordered_a", "held"), [(16.0, 0x1010), (16.9, 0x1010), (6.0, 0x0606), (80.0, 0x2020), (5.9, 0), (0.0, 0)]
)
def test_an_order_to_a_smartevse_is_whole_ampere_in_both_bytes(ordered_a: float, held: int) -> None:
    async def scene(board: MappedEvse, wire: RegisterWire) -> None:
        await board.offer(ordered_a)
        assert wire.writes == [(0x0201, [held])]

    play(EdgetechSmartEvse, scene)


def test_a_smartevse_is_told_its_order_again_as_it_cannot_be_asked() -> None:
    async def scene(board: MappedEvse, wire: RegisterWire) -> None:
        await board.offer(16.0)
        for _ in range(25):
            await board.read()
            await asyncio.sleep(1.0)
        assert wire.writes == [(0x0201, [0x1010])] * 3

    play(EdgetechSmartEvse, scene)


@pytest.mark.parametrize(
    ("state", "volts", "pilot"),
    [
        *((0, 900, "?"), (1, 0, "A"), (2, 900, "F"), (3, 900, "B"), (4, 900, "B"), (5, 600, "C"), (6, 900, "?")),
        *((STOPPED, 0, "A"), (STOPPED, 299, "A"), (STOPPED, 300, "B"), (STOPPED, 900, "B")),
    ],
)
def test_an_etek_that_is_stopped_is_known_by_its_pilots_voltage(state: int, volts: int, pilot: str) -> None:
    async def scene(board: MappedEvse, wire: RegisterWire) -> None:
        wire.tables["holding"].update({STATE[1]: state, VOLTAGE[1]: volts})
        assert (await board.read()).pilot == Pilot(pilot)

    play(EtekEpc, scene)


@pytest.mark.parametrize(("ordered_a", "duty"), [(16.0, 2666), (6.0, 1000), (80.0, 8000)])
def test_an_order_to_an_etek_is_a_duty_cycle_and_never_more(ordered_a: float, duty: int) -> None:
    async def scene(board: MappedEvse, wire: RegisterWire) -> None:
        await board.offer(ordered_a)
        assert wire.writes == [(109, [duty]), (89, [1])]

    play(EtekEpc, scene)


def test_an_etek_is_stopped_and_its_duty_cycle_left_alone() -> None:
    async def scene(board: MappedEvse, wire: RegisterWire) -> None:
        await board.offer(5.9)
        assert wire.writes == [(89, [2])]

    play(EtekEpc, scene)


@pytest.mark.parametrize("make", [InnogyEbox, EdgetechSmartEvse, EtekEpc])
def test_none_of_them_has_a_watchdog_and_all_say_so(make: Callable[[Bus, int], MappedEvse]) -> None:
    async def scene(board: MappedEvse, wire: RegisterWire) -> None:
        assert "the last offer stands" in (gap(board.guard()) or "")

    play(make, scene)
