"""A controller's stop button, lock and indicator, by its map: no press lost or told twice."""

from __future__ import annotations

import asyncio

import pytest
import tomli

from drivers.api import (
    DriverError,
    EvseController,
    Identifies,
    Pilot,
    ShowsState,
    StopButton,
    SwitchesPhases,
    Unlocks,
    WakesCars,
)
from drivers.bus import Bus, SerialSettings
from drivers.mapped_evse import MappedEvse
from drivers.regmap import parse_evse
from tests.drivers.evse_scene import (
    CONTACTOR,
    COUNT,
    FEEDING,
    KIND,
    LED,
    LOCK,
    PILOT,
    SEEN,
    holding,
    play,
)
from tests.drivers.register_wire import RegisterWire
from tests.drivers.virtual_time import run

# ---- the stop button


async def presses(evse: MappedEvse, polls: int) -> list[StopButton | None]:
    return [(await evse.read()).stop_button for _ in range(polls)]


def press(wire: RegisterWire, kind: int = 1) -> None:
    holding(wire).update({KIND: kind, COUNT: holding(wire).get(COUNT, 0) + 1})


@pytest.mark.parametrize(("kind", "word"), [(1, "local"), (2, "emergency"), (3, "other"), (9, "other")])
def test_a_press_is_told_once_and_then_confirmed(kind: int, word: str) -> None:
    async def scene(evse: MappedEvse, wire: RegisterWire, bus: Bus) -> None:
        press(wire, kind)
        assert await presses(evse, 3) == [StopButton(word), None, None]
        assert wire.writes == [(SEEN, [1])]

    play(scene)


def test_a_press_in_a_poll_that_was_lost_is_told_by_the_next() -> None:
    async def scene(evse: MappedEvse, wire: RegisterWire, bus: Bus) -> None:
        press(wire)
        wire.fails = lambda function, address: "timeout"
        with pytest.raises(DriverError):
            await evse.read()
        wire.fails = lambda function, address: None
        assert await presses(evse, 2) == [StopButton.LOCAL, None]

    play(scene)


@pytest.mark.parametrize("loss", ["refused", "timeout"])
def test_a_press_is_told_once_though_its_confirmation_is_lost(loss: str) -> None:
    async def scene(evse: MappedEvse, wire: RegisterWire, bus: Bus) -> None:
        press(wire)
        wire.fails = lambda function, address: loss if address == SEEN else None
        assert await presses(evse, 3) == [StopButton.LOCAL, None, None]

    play(scene)


def test_a_press_while_the_last_one_is_being_confirmed_is_told() -> None:
    async def scene(evse: MappedEvse, wire: RegisterWire, bus: Bus) -> None:
        wire.on_write = lambda address, words: press(wire, 2) if len(wire.writes) == 1 else None
        press(wire)
        assert await presses(evse, 4) == [StopButton.LOCAL, None, StopButton.EMERGENCY, None]

    play(scene)


def test_a_second_press_is_told_too() -> None:
    async def scene(evse: MappedEvse, wire: RegisterWire, bus: Bus) -> None:
        press(wire)
        first = await presses(evse, 2)
        press(wire)
        assert first + await presses(evse, 2) == [StopButton.LOCAL, None] * 2

    play(scene)


def test_a_press_made_while_the_agent_was_down_is_told_at_its_start() -> None:
    async def scene(evse: MappedEvse, wire: RegisterWire, bus: Bus) -> None:
        press(wire)
        again = MappedEvse(bus, 1, "reference")
        assert await presses(again, 1) == [StopButton.LOCAL]

    play(scene)


def test_a_press_that_was_confirmed_is_not_told_after_a_restart() -> None:
    async def scene(evse: MappedEvse, wire: RegisterWire, bus: Bus) -> None:
        press(wire)
        await presses(evse, 2)
        again = MappedEvse(bus, 1, "reference")
        assert await presses(again, 1) == [None]

    play(scene)


def test_a_restarted_board_presses_no_button() -> None:
    async def scene(evse: MappedEvse, wire: RegisterWire, bus: Bus) -> None:
        press(wire)
        await presses(evse, 2)
        holding(wire).update({KIND: 0, COUNT: 0, SEEN: 0})
        assert await presses(evse, 2) == [None, None]
        press(wire)
        assert await presses(evse, 1) == [StopButton.LOCAL]

    play(scene)


def test_a_plain_button_is_told_when_it_goes_down() -> None:
    text = FEEDING + '[stop_button]\nat = 3\nvalues = { 1 = "local" }'

    async def main() -> None:
        wire = RegisterWire()
        evse = MappedEvse(Bus(wire, SerialSettings("x")), 1, parse_evse("x.toml", tomli.loads(text)))
        told = []
        for level in (0, 1, 1, 0, 1):
            holding(wire)[3] = level
            told += await presses(evse, 1)
        assert told == [None, StopButton.LOCAL, None, None, StopButton.LOCAL]

    run(main())


# ---- abilities


def test_the_lock_is_opened() -> None:
    async def scene(evse: MappedEvse, wire: RegisterWire, bus: Bus) -> None:
        holding(wire)[LOCK] = 1

        def motor(address: int, words: list[int]) -> None:
            asyncio.get_running_loop().call_later(1.0, holding(wire).update, {LOCK: 0})

        wire.on_write = motor
        assert await evse.unlock()

    play(scene)


def test_a_lock_that_stays_shut_is_told_in_time() -> None:
    async def scene(evse: MappedEvse, wire: RegisterWire, bus: Bus) -> None:
        holding(wire)[LOCK] = 1
        assert not await evse.unlock()
        assert asyncio.get_running_loop().time() < 7.0

    play(scene)


def test_the_lock_stays_shut_while_the_contactor_is_closed() -> None:
    async def scene(evse: MappedEvse, wire: RegisterWire, bus: Bus) -> None:
        holding(wire).update({LOCK: 1, CONTACTOR: 1})
        assert not await evse.unlock()
        assert wire.writes == []

    play(scene)


def test_unlocking_takes_no_press_of_the_stop_button_away() -> None:
    async def scene(evse: MappedEvse, wire: RegisterWire, bus: Bus) -> None:
        press(wire)
        await evse.unlock()
        assert (await evse.read()).stop_button is StopButton.LOCAL

    play(scene)


def test_a_state_is_shown_by_its_word() -> None:
    async def scene(evse: MappedEvse, wire: RegisterWire, bus: Bus) -> None:
        await evse.show("SuspendedEV")
        assert holding(wire)[LED] == 5

    play(scene)


def test_a_word_that_the_led_does_not_know_changes_nothing() -> None:
    async def scene(evse: MappedEvse, wire: RegisterWire, bus: Bus) -> None:
        await evse.show("dancing")
        assert wire.writes == []

    play(scene)


@pytest.mark.parametrize(("name", "can"), [("reference", True), ("evse_wb", False), ("heidelberg_ec", False)])
def test_a_driver_has_the_abilities_of_its_map(name: str, can: bool) -> None:
    evse = MappedEvse(Bus(RegisterWire(), SerialSettings("x")), 1, name)
    assert isinstance(evse, EvseController)
    assert isinstance(evse, Identifies)
    assert (isinstance(evse, Unlocks), isinstance(evse, ShowsState)) == (can, can)


# ---- phases and waking

TOLD, WANTED, WAKE = 25, 33, 34
HEIDELBERG_LOCK, HEIDELBERG_STATE = 259, 5


def test_phases_are_told_and_switched_while_nothing_is_ordered() -> None:
    async def scene(evse: MappedEvse, wire: RegisterWire, bus: Bus) -> None:
        holding(wire).update({TOLD: 3, PILOT: 2})
        await evse.offer(0.0)
        assert isinstance(evse, SwitchesPhases)
        assert ((await evse.read()).phases, await evse.switch_phases(1)) == (3, True)
        assert wire.writes[-1] == (WANTED, [1])

    play(scene, phases=True)


@pytest.mark.parametrize(("offer_a", "contactor"), [(16.0, 0), (0.0, 1)])
def test_phases_are_never_switched_under_an_order_or_a_closed_contactor(offer_a: float, contactor: int) -> None:
    async def scene(evse: MappedEvse, wire: RegisterWire, bus: Bus) -> None:
        holding(wire).update({TOLD: 3, PILOT: 3, CONTACTOR: contactor})
        await evse.offer(offer_a)
        assert isinstance(evse, SwitchesPhases)
        assert await evse.switch_phases(1) is False
        assert (WANTED, [1]) not in wire.writes

    play(scene, phases=True)


def test_phases_are_none_of_our_business_unless_it_is_configured() -> None:
    async def scene(evse: MappedEvse, wire: RegisterWire, bus: Bus) -> None:
        holding(wire)[TOLD] = 3
        assert (await evse.read()).phases is None
        assert not isinstance(evse, SwitchesPhases)

    play(scene)


def test_a_board_that_cannot_switch_tells_no_phases() -> None:
    async def scene(evse: MappedEvse, wire: RegisterWire, bus: Bus) -> None:
        assert (await evse.read()).phases is None

    play(scene, phases=True)


async def shown(evse: MappedEvse, seconds: int) -> str:
    """The pilot, once a second."""
    found = ""
    for _ in range(seconds):
        found += str((await evse.read()).pilot)
        await asyncio.sleep(1)
    return found


def test_while_a_car_is_woken_its_pilot_is_told_as_it_was() -> None:
    async def scene(evse: MappedEvse, wire: RegisterWire, bus: Bus) -> None:
        holding(wire)[PILOT] = 2
        await evse.read()
        assert isinstance(evse, WakesCars)
        assert await evse.wake()
        assert wire.writes == [(WAKE, [4])]
        holding(wire)[PILOT] = 6  # the board is in state F meanwhile
        assert await shown(evse, 5) == "BBBBB"
        holding(wire)[PILOT] = 3
        assert (await shown(evse, 3))[-1] == "C"
        assert len(wire.writes) == 1

    play(scene)


def test_a_car_that_left_while_it_was_woken_is_noticed_soon_after() -> None:
    async def scene(evse: MappedEvse, wire: RegisterWire, bus: Bus) -> None:
        holding(wire)[PILOT] = 2
        assert isinstance(evse, WakesCars)
        assert await evse.wake()
        holding(wire)[PILOT] = 1
        assert (await shown(evse, 8)).endswith("A")

    play(scene)


@pytest.mark.parametrize("pilot", [1, 3, 5, 6])
def test_nobody_is_woken_who_is_not_there_or_asks_already(pilot: int) -> None:
    async def scene(evse: MappedEvse, wire: RegisterWire, bus: Bus) -> None:
        holding(wire)[PILOT] = pilot
        assert isinstance(evse, WakesCars)
        assert await evse.wake() is False
        assert wire.writes == []

    play(scene)


def test_a_pulse_that_we_have_to_end_is_ended_also_after_lost_answers() -> None:
    async def scene(evse: MappedEvse, wire: RegisterWire, bus: Bus) -> None:
        wire.tables["input"].update({HEIDELBERG_STATE: 4})
        assert isinstance(evse, WakesCars)
        assert await evse.wake()
        assert wire.writes == [(HEIDELBERG_LOCK, [0])]
        wire.fails = lambda function, address: "timeout"
        await asyncio.sleep(11)
        with pytest.raises(DriverError):
            await evse.read()
        wire.fails = lambda function, address: None
        assert (await evse.read()).pilot is Pilot.B
        assert wire.writes[-1] == (HEIDELBERG_LOCK, [1])

    play(scene, "heidelberg_ec")


def test_a_pulse_that_a_crash_has_left_is_ended_before_the_first_order() -> None:
    async def scene(evse: MappedEvse, wire: RegisterWire, bus: Bus) -> None:
        wire.tables["input"].update({HEIDELBERG_STATE: 10})
        await evse.offer(16.0)
        assert (HEIDELBERG_LOCK, [1]) in wire.writes[:-1]

    play(scene, "heidelberg_ec")
