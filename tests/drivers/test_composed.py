"""A controller made of parts: a charge, and every fault of its parts."""

from __future__ import annotations

import asyncio

import pytest

from drivers.api import (
    DriverError,
    EvseController,
    Fault,
    Guard,
    Pilot,
    ShowsState,
    StopButton,
    SwitchesPhases,
    Unlocks,
)
from drivers.composed import ComposedEvse, Contactor
from drivers.interlock import Rules
from drivers.io.channel import Channel
from drivers.io.resistor import Divider, rating_a, resistance_ohm
from tests.drivers.composed_bench import (
    COIL,
    CUT,
    GREEN,
    LOCK,
    LOCKED,
    MIRROR,
    RED,
    THREE,
    UNLOCK,
    Board,
    Rig,
    play,
)


def test_a_car_charges_with_its_plug_locked() -> None:
    async def scene(rig: Rig) -> None:
        reading = await rig.charge()
        assert (reading.pilot, reading.contactor, reading.offered_a, reading.cable_a, reading.locked) == (
            Pilot.C, True, 16.0, 32.0, True,
        )  # fmt: skip
        assert reading.faults == ()

    play(scene)


def test_nothing_is_offered_before_the_plug_is_locked() -> None:
    async def scene(rig: Rig) -> None:
        rig.pilot.plugged = True
        rig.board.jammed = True
        await rig.evse.offer(16.0)
        assert (rig.pilot.offered_a, rig.board.closed) == (0.0, False)

    play(scene)


def test_at_the_end_the_pilot_is_told_first_and_the_contactor_opens_without_load() -> None:
    async def scene(rig: Rig) -> None:
        await rig.charge()
        rig.board.orders.clear()
        await rig.evse.offer(0.0)
        assert (rig.pilot.offered_a, rig.board.closed) == (0.0, True)
        assert (await rig.step(2)).contactor is False
        assert rig.board.orders == [(COIL, False)]

    play(scene)


def test_a_car_that_does_not_let_go_loses_its_power_after_6_s() -> None:
    async def scene(rig: Rig) -> None:
        await rig.charge()
        rig.pilot.stubborn = True
        await rig.evse.offer(0.0)
        await rig.step(20, 0.25)
        assert rig.board.closed
        await rig.step(8, 0.25)
        assert not rig.board.closed

    play(scene)


def test_the_plug_is_free_when_the_car_has_gone() -> None:
    async def scene(rig: Rig) -> None:
        await rig.charge()
        rig.pilot.plugged = False
        reading = await rig.step(3)
        assert (rig.board.closed, rig.board.locked, reading.locked) == (False, False, False)
        assert not rig.board.both_ways

    play(scene)


def test_a_pulse_ends() -> None:
    async def scene(rig: Rig) -> None:
        await rig.charge()
        assert not rig.board.outputs[LOCK] and not rig.board.outputs[UNLOCK]

    play(scene)


def test_a_pulse_ends_when_its_poll_is_cancelled() -> None:
    async def scene(rig: Rig) -> None:
        await rig.step(2)
        rig.pilot.plugged = True
        poll = asyncio.create_task(rig.evse.read())
        while not rig.board.outputs[LOCK]:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        poll.cancel()
        with pytest.raises(asyncio.CancelledError):
            await poll
        assert not rig.board.outputs[LOCK]

    play(scene)


def test_a_pulse_whose_end_was_lost_ends_when_the_board_answers_again() -> None:
    async def scene(rig: Rig) -> None:
        await rig.step(2)
        rig.pilot.plugged = True
        poll = asyncio.create_task(rig.evse.read())
        while not rig.board.locked:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        rig.board.lost = True
        with pytest.raises(DriverError):
            await poll
        assert rig.board.outputs[LOCK]
        rig.board.lost = False
        await rig.step()
        assert not rig.board.outputs[LOCK]

    play(scene)


# --- faults -----------------------------------------------------------------------------------------------------


def test_a_welded_contactor_is_told_and_its_plug_stays_locked() -> None:
    async def scene(rig: Rig) -> None:
        await rig.charge()
        rig.board.welded = True
        await rig.evse.offer(0.0)
        rig.pilot.plugged = False
        reading = await rig.step(8)
        assert (reading.faults, reading.contactor, reading.locked) == ((Fault.CONTACTOR,), True, True)
        assert await rig.evse.unlock() is False
        rig.board.welded = False  # it came loose by itself: that is no repair
        assert Fault.CONTACTOR in (await rig.step(200)).faults

    play(scene)


def test_a_contactor_that_is_found_welded_at_the_start_is_told() -> None:
    async def scene(rig: Rig) -> None:
        rig.board.welded = True
        assert Fault.CONTACTOR in (await rig.step(2)).faults

    play(scene)


def test_a_contactor_that_does_not_close_is_told_and_its_coil_let_go() -> None:
    async def scene(rig: Rig) -> None:
        rig.board.stuck = True
        await rig.step(30)
        rig.pilot.plugged = True
        await rig.step(2)
        await rig.evse.offer(16.0)
        reading = await rig.step(3)
        assert (reading.faults, reading.contactor, rig.board.outputs[COIL]) == ((Fault.CONTACTOR,), False, False)
        assert rig.pilot.offered_a == 0.0

    play(scene)


def test_the_judgement_takes_a_quarter_of_a_second_and_three_samples() -> None:
    async def scene(rig: Rig) -> None:
        await rig.charge()
        rig.board.stuck = True
        began = asyncio.get_running_loop().time()
        assert Fault.CONTACTOR in (await rig.evse.read()).faults
        assert 0.25 <= asyncio.get_running_loop().time() - began < 0.6

    play(scene)


def test_a_relay_that_does_not_take_the_order_is_told_without_any_mirror_contact() -> None:
    async def scene(rig: Rig) -> None:
        channel = Channel(rig.board, COIL, "relays.1")
        rig.evse._contactor = Contactor(channel)
        rig.board.deaf_relay = True
        await rig.step(30)
        rig.pilot.plugged = True
        await rig.step(2)
        await rig.evse.offer(16.0)
        assert Fault.CONTACTOR in (await rig.step(3)).faults

    play(scene)


def test_a_lost_board_means_no_offer_and_an_open_contactor_when_it_is_back() -> None:
    async def scene(rig: Rig) -> None:
        await rig.charge()
        rig.board.lost = True
        assert await rig.silent_step() == "relays on /dev/ttyS1: no answer in 0.5 s"
        assert rig.pilot.offered_a == 0.0
        rig.board.lost = False
        await rig.step()
        assert not rig.board.closed
        await rig.evse.offer(16.0)
        assert (await rig.step(40)).contactor is True

    play(scene)


def test_a_lost_pilot_means_an_open_contactor() -> None:
    async def scene(rig: Rig) -> None:
        await rig.charge()
        rig.pilot.lost = True
        await rig.silent_step()
        await asyncio.sleep(0.1)
        assert not rig.board.closed

    play(scene)


def test_a_board_that_restarted_is_told_anew_only_after_a_rest() -> None:
    async def scene(rig: Rig) -> None:
        await rig.charge()
        rig.board.outputs[COIL] = False
        reading = await rig.step()
        assert (reading.contactor, reading.faults, rig.board.outputs[COIL]) == (False, (), False)
        assert (await rig.step(30)).contactor is True

    play(scene)


def test_a_coil_that_somebody_else_switched_on_is_switched_off() -> None:
    async def scene(rig: Rig) -> None:
        await rig.step(2)
        rig.board.outputs[COIL] = True
        await rig.step()
        assert not rig.board.outputs[COIL]

    play(scene)


def test_residual_current_opens_the_contactor_and_is_told_as_long_as_it_lasts() -> None:
    async def scene(rig: Rig) -> None:
        await rig.charge()
        rig.board.residual = True
        reading = await rig.step()
        assert (reading.faults, rig.pilot.offered_a) == ((Fault.GROUND,), 0.0)
        assert not rig.board.closed
        rig.board.residual = False
        assert (await rig.step()).faults == ()
        assert not rig.board.closed

    play(scene)


def test_an_emergency_stop_is_told_once_as_a_press_and_as_a_fault_while_it_is_held() -> None:
    async def scene(rig: Rig) -> None:
        await rig.charge()
        rig.board.emergency = True
        presses = [(await rig.step()).stop_button for _ in range(3)]
        assert presses == [StopButton.EMERGENCY, None, None]
        assert (await rig.step()).faults == (Fault.EMERGENCY_STOP,)
        assert not rig.board.closed

    play(scene)


def test_a_lock_that_jams_is_driven_three_times_and_told() -> None:
    async def scene(rig: Rig) -> None:
        await rig.step(2)
        rig.board.jammed = True
        rig.pilot.plugged = True
        rig.board.orders.clear()
        reading = await rig.step(5)
        assert reading.faults == (Fault.LOCK_FAILURE,)
        assert rig.board.orders.count((LOCK, True)) == 3

    play(scene)


def test_a_lock_that_does_not_open_is_told_and_tried_again_when_somebody_asks() -> None:
    async def scene(rig: Rig) -> None:
        await rig.charge()
        await rig.evse.offer(0.0)
        await rig.step(3)
        rig.board.jammed = True
        assert await rig.evse.unlock() is False
        assert (await rig.step()).faults == (Fault.UNLOCK_FAILURE,)
        rig.board.jammed = False
        assert await rig.evse.unlock() is True
        assert (await rig.step()).faults == ()

    play(scene)


def test_no_plug_is_let_go_while_it_charges() -> None:
    async def scene(rig: Rig) -> None:
        await rig.charge()
        assert await rig.evse.unlock() is False
        assert rig.board.locked and rig.board.closed

    play(scene)


@pytest.mark.parametrize("ohm", [10.0, 70.0, 2700.0])
def test_a_resistor_that_means_nothing_is_a_fault(ohm: float) -> None:
    async def scene(rig: Rig) -> None:
        rig.board.ohm = ohm
        rig.pilot.plugged = True
        assert (await rig.step(2)).faults == (Fault.CABLE,)

    play(scene)


@pytest.mark.parametrize(
    ("ohm", "rating"),
    [(1500, 13), (680, 20), (220, 32), (100, 63), (1e6, 0), (59, None), (79, None), (2999, None), (0, None)],
)
def test_the_resistor_is_the_cables_rating(ohm: float, rating: float | None) -> None:
    divider = Divider(330.0, 5.0)
    assert rating_a(resistance_ohm(5.0 * ohm / (ohm + 330.0), divider)) == rating


def test_an_open_divider_is_no_plug() -> None:
    assert rating_a(resistance_ohm(5.0, Divider(330.0, 5.0))) == 0.0


# --- the rest of the contract -----------------------------------------------------------------------------------


def test_a_contactor_found_closed_at_the_start_is_not_dropped_under_the_car() -> None:
    async def scene(rig: Rig) -> None:
        rig.board.outputs[COIL], rig.board.locked = True, True
        rig.pilot.plugged, rig.pilot.offered_a = True, 16.0
        await rig.step()
        await rig.evse.offer(16.0)
        await rig.step(8)
        assert rig.board.closed and (COIL, False) not in rig.board.orders

    play(scene)


def test_lights_show_the_words_that_they_know() -> None:
    async def scene(rig: Rig) -> None:
        await rig.evse.show("Charging")
        await rig.evse.show("Reserved")
        assert (rig.board.outputs[GREEN], rig.board.outputs[RED]) == (True, False)
        await rig.evse.show("Faulted")
        assert (rig.board.outputs[GREEN], rig.board.outputs[RED]) == (False, True)

    play(scene)


def test_an_order_that_the_pilot_lost_is_given_again_when_it_is_repeated() -> None:
    async def scene(rig: Rig) -> None:
        await rig.charge()
        rig.pilot.offered_a = 0.0
        await rig.evse.offer(16.0)
        assert rig.pilot.offered_a == 16.0

    play(scene)


def test_abilities_are_those_of_the_parts() -> None:
    whole, bare = Rig().evse, Rig(lock=None, lights=None).evse
    assert isinstance(whole, EvseController) and isinstance(whole, Unlocks) and isinstance(whole, ShowsState)
    assert isinstance(bare, EvseController)
    assert not isinstance(bare, Unlocks) and not isinstance(bare, ShowsState)


def test_a_channel_that_the_board_does_not_have_is_an_error() -> None:
    async def scene(rig: Rig) -> None:
        rig.evse._contactor = Contactor(Channel(Board(), 99, "relays.99"))
        with pytest.raises(DriverError, match=r"relays\.99: the board has no such output"):
            await rig.step()

    play(scene)


def test_the_board_at_the_coil_is_the_guard() -> None:
    rig = Rig()
    assert rig.evse.guard() == Guard(2.0, 0.0)
    rig.board.guard_s = None
    assert rig.evse.guard() is None


def pilot_first(rig: Rig) -> None:
    """The pilot controller has a relay of its own in the coil's circuit, as it should, and is quicker than we are."""
    rig.board.in_series = lambda: rig.pilot.plugged and bool(rig.pilot.offered_a) and rig.pilot.forced is None


@pytest.mark.parametrize("ends", ["order", "car"])
def test_a_pilot_controller_that_opens_first_is_no_fault(ends: str) -> None:
    async def scene(rig: Rig) -> None:
        await rig.charge()
        pilot_first(rig)
        if ends == "order":
            await rig.evse.offer(0.0)
        else:
            rig.pilot.forced = Pilot.B
        readings = [await rig.step() for _ in range(8)]
        assert [reading.faults for reading in readings] == [()] * 8
        assert not rig.board.outputs[COIL]

    play(scene)


def test_a_car_that_lets_go_while_the_contactor_closes_is_no_fault() -> None:
    async def scene(rig: Rig) -> None:
        await rig.step(30)
        rig.pilot.plugged = True
        await rig.step(2)
        pilot_first(rig)
        closing = asyncio.ensure_future(rig.evse.offer(16.0))
        while not rig.board.outputs[COIL]:
            if closing.done():
                closing = asyncio.ensure_future(rig.evse.read())
            await asyncio.sleep(0.005)
        rig.pilot.forced = Pilot.B
        await closing
        assert (await rig.step()).faults == ()
        assert not rig.board.outputs[COIL]

    play(scene)


# ---- phases and waking


def test_the_second_contactor_moves_only_while_the_first_is_open() -> None:
    async def scene(rig: Rig) -> None:
        assert (await rig.step()).phases == 1
        assert await rig.evse.switch_phases(3)
        assert (await rig.charge()).phases == 3
        assert await rig.evse.switch_phases(1) is False
        await rig.evse.offer(0.0)
        assert await rig.evse.switch_phases(1) is (not rig.board.closed)
        await rig.step(40)
        assert await rig.evse.switch_phases(1)
        assert (await rig.step()).phases == 1

    play(scene)


def test_nothing_is_switched_under_an_order_that_waits_for_its_car() -> None:
    async def scene(rig: Rig) -> None:
        await rig.step(30)
        await rig.evse.offer(16.0)
        assert await rig.evse.switch_phases(3) is False
        assert not rig.board.outputs[THREE]

    play(scene)


def test_a_second_contactor_that_does_not_move_is_told_by_its_mirror() -> None:
    async def scene(rig: Rig) -> None:
        contactor = Contactor(rig.at(COIL), rig.at(MIRROR, True), 0.25, rig.at(THREE), rig.at(LOCKED))
        evse = ComposedEvse(rig.pilot, contactor)
        await evse.read()
        assert isinstance(evse, SwitchesPhases)
        assert await evse.switch_phases(3) is False
        assert (await evse.read()).phases == 1

    play(scene)


async def asleep(rig: Rig) -> None:
    """A car in B that has an offer and does nothing."""
    await rig.step(30)
    rig.pilot.plugged, rig.pilot.forced = True, Pilot.B
    await rig.step(2)
    await rig.evse.offer(16.0)


def test_the_pilots_line_is_cut_for_four_seconds_and_the_car_is_not_taken_for_gone() -> None:
    async def scene(rig: Rig) -> None:
        await asleep(rig)
        assert await rig.evse.wake()
        rig.pilot.forced = None
        seen = [(await rig.step(after_s=0.5)).pilot for _ in range(7)]
        assert rig.board.outputs[CUT]
        assert seen == [Pilot.B] * 7
        assert rig.board.locked
        await rig.step(12)
        assert not rig.board.outputs[CUT]
        assert (await rig.step(3)).pilot is Pilot.C

    play(scene)


def test_the_fan_runs_before_a_car_that_wants_air_gets_power_and_as_long_as_it_does() -> None:
    async def scene(rig: Rig) -> None:
        await rig.step(30)
        rig.pilot.plugged, rig.pilot.forced = True, Pilot.D
        rig.board.orders.clear()
        await rig.step(2)
        await rig.evse.offer(16.0)
        await rig.step(3)
        assert rig.board.closed
        assert rig.board.orders.index((GREEN, True)) < rig.board.orders.index((COIL, True))
        rig.pilot.forced = Pilot.B
        await rig.step(2)
        assert not rig.board.outputs[GREEN] and not rig.board.closed

    play(scene, fan=GREEN, rules=Rules(ventilation=True))


def test_the_line_of_a_car_that_charges_is_not_cut() -> None:
    async def scene(rig: Rig) -> None:
        await rig.charge()
        assert await rig.evse.wake() is False
        assert not rig.board.outputs[CUT]

    play(scene)


def test_a_line_that_a_crash_has_left_cut_is_made_whole_at_the_first_contact() -> None:
    async def scene(rig: Rig) -> None:
        rig.board.outputs[CUT] = True
        await rig.step()
        assert not rig.board.outputs[CUT]

    play(scene)
