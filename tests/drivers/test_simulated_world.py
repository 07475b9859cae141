"""The simulated physical world: times of IEC 61851-1, energy as the integral of power, and the same for each seed."""

from __future__ import annotations

import time

import pytest

from drivers.api import Fault, Measurand, Phase
from drivers.simulated.charging_point import ChargingPoint
from drivers.simulated.plan import SimEvse, SimStation
from drivers.simulated.world import World

Log = list[tuple[float, str]]


def station(evse: SimEvse | None = None, seed: int = 1) -> tuple[World, ChargingPoint, Log]:
    log: Log = []
    world = World(SimStation((), (evse or SimEvse(1),), seed=seed), lambda at, _, text: log.append((at, text)))
    return world, world.points[1], log


def offer(point: ChargingPoint, current_a: float) -> None:
    point.controller.order_a = current_a
    point.settle()


def charging(evse: SimEvse | None = None, current_a: float = 16.0) -> tuple[World, ChargingPoint, Log]:
    world, point, log = station(evse)
    point.plug_in("auto")
    offer(point, current_a)
    world.advance(20.0)
    assert point.controller.closed and point.amps == current_a
    return world, point, log


def when(log: Log, text: str) -> float:
    """When it last happened."""
    return next(at for at, told in reversed(log) if told == text)


def test_a_car_waits_in_b_until_it_is_offered_current() -> None:
    world, point, _ = station()
    point.plug_in("auto")
    world.advance(60.0)
    assert (point.pilot, point.controller.closed, point.amps) == ("B", False, 0.0)


def test_a_car_that_holds_stays_in_b_when_offered() -> None:
    world, point, _ = station()
    point.plug_in("hold")
    offer(point, 16.0)
    world.advance(60.0)
    assert point.pilot == "B"


def test_a_cable_without_a_car_shows_its_rating_and_pilot_a() -> None:
    _, point, _ = station(SimEvse(1, cable_a=20.0))
    assert point.cable_a == 0.0
    point.plug_in("none")
    assert (point.pilot, point.cable_a) == ("A", 20.0)


def test_an_offered_car_draws_no_more_than_offered() -> None:
    _, point, _ = charging(current_a=13.0)
    assert point.amps == 13.0


def test_the_contactor_closes_within_three_seconds_of_c() -> None:
    _, _, log = charging()
    assert 0.1 < when(log, "contactor closed") - when(log, "pilot C") < 3.0


@pytest.mark.parametrize("step_s", [0.01, 1.0, 60.0])
def test_the_contactor_opens_within_100_ms_of_leaving_c_however_coarse_the_clock(step_s: float) -> None:
    world, point, log = charging()
    point.unplug()
    world.advance(world.now_s + step_s)
    world.advance(world.now_s + 60.0)
    assert 0.0 < when(log, "contactor open") - when(log, "pilot A") <= 0.1


def test_a_car_stops_drawing_within_three_seconds_of_the_pwm_going_off() -> None:
    world, point, _ = charging(current_a=32.0)
    offer(point, 0.0)
    world.advance(world.now_s + 3.0)
    assert point.amps == 0.0


def test_a_car_that_does_not_let_go_is_forced_off_after_six_seconds() -> None:
    world, point, log = charging()
    point.fault(Fault.OVER_CURRENT, True)
    world.advance(30.0)
    offer(point, 0.0)
    world.advance(35.9)
    assert point.controller.closed and point.amps > 16.0
    world.advance(40.0)
    assert 6.0 <= when(log, "contactor open") - 30.0 <= 6.1


def test_a_car_follows_a_lowered_offer_within_five_seconds() -> None:
    world, point, _ = charging(current_a=32.0)
    offer(point, 6.0)
    world.advance(world.now_s + 5.0)
    assert point.amps == 6.0


def test_a_car_follows_a_raised_offer_within_five_seconds() -> None:
    world, point, _ = charging(current_a=6.0)
    offer(point, 32.0)
    world.advance(world.now_s + 5.0)
    assert point.amps == 32.0


def test_the_offer_is_never_above_the_cable() -> None:
    _, point, _ = charging(SimEvse(1, cable_a=13.0), current_a=13.0)
    offer(point, 32.0)
    assert point.controller.pwm_a == 13.0


def test_an_order_below_six_ampere_withholds_power() -> None:
    _, point, _ = charging()
    offer(point, 5.9)
    assert point.controller.pwm_a == 0.0


def test_a_nearly_full_car_tapers_and_then_lets_go() -> None:
    world, point, _ = charging()
    point.draw(16.0, 3, 99.0)
    world.advance(world.now_s + 60.0)
    assert 1.0 <= point.amps < 16.0
    world.advance(world.now_s + 24 * 3600.0)
    assert (point.pilot, point.amps) == ("B", 0.0)


def test_a_two_phase_car_draws_on_two_phases() -> None:
    world, point, _ = charging()
    point.draw(16.0, 2, None)
    world.advance(world.now_s + 1.0)
    shown = point.shown()
    amps = [shown.value(Measurand.CURRENT_IMPORT, phase) or 0.0 for phase in (Phase.L1, Phase.L2, Phase.L3)]
    assert amps[0] > 15.0 and amps[1] > 15.0 and amps[2] == 0.0


def test_energy_is_the_integral_of_power() -> None:
    world, point, _ = station()
    point.plug_in("auto")
    before_wh = point.meter.energy_wh
    integral_wh = 0.0
    for order_a, until_s in ((16.0, 12.0), (32.0, 20.0), (6.0, 28.0), (0.0, 36.0)):
        offer(point, order_a)
        while world.now_s < until_s:
            end_s = min(until_s, world.now_s + 0.01, max(world.now_s + 1e-6, world.next_deadline()))
            from_s, from_w = world.now_s, point.power_w
            world.advance((from_s + end_s) / 2)
            middle_w = point.power_w
            world.advance(end_s)
            integral_wh += (from_w + 4 * middle_w + point.power_w) / 6 * (end_s - from_s) / 3600
    counted_wh = point.meter.energy_wh - before_wh
    assert counted_wh > 50.0
    assert counted_wh == pytest.approx(integral_wh, rel=1e-6)


@pytest.mark.parametrize("step_s", [0.05, 0.7, 13.0, 3600.0])
def test_energy_is_the_same_however_coarse_the_clock(step_s: float) -> None:
    def run(step_s: float) -> float:
        world, point, _ = station()
        point.plug_in("auto")
        point.draw(20.0, 3, 40.0)
        offer(point, 32.0)
        while world.now_s < 600.0:
            world.advance(min(600.0, world.now_s + step_s))
        return point.meter.energy_wh - point.meter.start_wh

    assert run(step_s) == pytest.approx(run(0.01), rel=1e-6)


def test_energy_of_the_phases_adds_up_to_the_total() -> None:
    world, point, _ = charging()
    world.advance(3600.0)
    assert sum(point.meter.phase_wh) == pytest.approx(point.meter.energy_wh, rel=1e-9)


def test_a_forced_power_is_shown_and_counted_exactly() -> None:
    world, point, _ = station()
    point.meter.rate_w = 7200.0
    world.advance(1800.0)
    assert point.meter.energy_wh - point.meter.start_wh == pytest.approx(3600.0, abs=1e-6)
    assert point.shown().value(Measurand.POWER_ACTIVE_IMPORT, None) == pytest.approx(7200.0)


def test_noise_is_within_one_percent_and_never_on_nothing() -> None:
    world, point, _ = station()
    for second in range(200):
        world.advance(float(second))
        assert point.shown().value(Measurand.CURRENT_IMPORT, None) == 0.0
        volts = point.shown().value(Measurand.VOLTAGE, Phase.L1_N)
        assert volts == pytest.approx(230.0, rel=0.0101)


def test_voltage_sags_under_load() -> None:
    world, point, _ = station()
    idle_v = point.shown().volts[0]
    point.plug_in("auto")
    offer(point, 32.0)
    point.meter.seed, seed = 0, point.meter.seed
    world.advance(20.0)
    point.meter.seed = seed
    assert idle_v - point.shown().volts[0] == pytest.approx(0.2 * 32.0, abs=2 * 2.3)


def test_the_same_seed_gives_the_same_world() -> None:
    def run(seed: int) -> tuple[Log, list[float]]:
        world, point, log = station(seed=seed)
        point.plug_in("auto")
        offer(point, 16.0)
        values = []
        for second in range(60):
            world.advance(float(second))
            values.append(point.shown().value(Measurand.POWER_ACTIVE_IMPORT, None) or 0.0)
        return log, values

    assert run(7) == run(7)
    assert run(7)[1] != run(8)[1]


def test_a_welded_contactor_stays_closed_after_the_car_has_gone() -> None:
    world, point, _ = charging()
    point.fault(Fault.CONTACTOR, True)
    point.unplug()
    world.advance(world.now_s + 10.0)
    assert point.controller.closed
    point.fault(Fault.CONTACTOR, False)
    assert not point.controller.closed


def test_a_stopping_fault_makes_state_f_and_opens() -> None:
    world, point, _ = station()
    point.senses = frozenset({Fault.GROUND})
    point.plug_in("auto")
    offer(point, 16.0)
    world.advance(20.0)
    point.fault(Fault.GROUND, True)
    assert point.pilot == "F"
    world.advance(20.5)
    assert (point.pilot in "BC", point.controller.closed) == (True, False)


def test_a_planned_fault_comes_at_its_time() -> None:
    world, point, log = station()
    point.plug_in("auto")
    point.plan_fault(Fault.METER, 12.5)
    world.advance(100.0)
    assert when(log, "fault meter present") == 12.5


def test_the_watchdog_takes_the_power_away_by_itself() -> None:
    world, point, log = charging()
    point.controller.watchdog_s = 15.0
    point.controller.touched(world.now_s)
    world.advance(34.9)
    assert point.controller.closed
    world.advance(60.0)
    assert point.amps == 0.0
    assert 35.0 < when(log, "contactor open") < 41.1


def test_a_touched_watchdog_lets_charging_go_on() -> None:
    world, point, _ = charging()
    point.controller.watchdog_s = 15.0
    for now_s in range(21, 120):
        world.advance(float(now_s))
        point.controller.touched(world.now_s)
    assert point.controller.closed


def test_power_failure_drops_the_contactor_and_forgets_the_order_but_not_the_energy() -> None:
    world, point, log = charging()
    world.power(False)
    before_wh = point.meter.energy_wh
    world.advance(world.now_s + 60.0)
    world.power(True)
    world.advance(world.now_s + 60.0)
    assert when(log, "contactor open") - when(log, "mains gone") < 0.1
    assert (point.controller.order_a, point.amps, point.meter.energy_wh) == (0.0, 0.0, before_wh)


def test_a_socket_locks_the_plug_while_a_car_is_there() -> None:
    _, point, _ = station()
    point.plug_in("auto")
    assert point.controller.locked
    point.unplug_car()
    assert not point.controller.locked


def test_an_attached_cable_has_no_lock() -> None:
    _, point, _ = station(SimEvse(1, attached_cable=True))
    point.plug_in("auto")
    assert not point.controller.locked


def test_a_stuck_lock_holds_the_plug() -> None:
    _, point, _ = station()
    point.senses = frozenset({Fault.UNLOCK_FAILURE})
    point.plug_in("auto")
    point.fault(Fault.UNLOCK_FAILURE, True)
    with pytest.raises(ValueError, match="held by the lock"):
        point.unplug()
    assert (point.pilot, point.controller.locked) == ("A", True)


def test_the_lock_does_not_open_under_load() -> None:
    _, point, _ = charging()
    assert not point.controller.unlock()


def test_each_closing_is_counted() -> None:
    world, point, _ = charging()
    point.force("B")
    world.advance(world.now_s + 5.0)
    point.force("C")
    world.advance(world.now_s + 5.0)
    assert (point.controller.relay_count, point.controller.closed) == (2, True)


def test_the_box_warms_under_load() -> None:
    world, point, _ = charging(current_a=32.0)
    world.advance(world.now_s + 1200.0)
    assert 60.0 < point.temperature_c < 95.0


def test_reset_brings_everything_back() -> None:
    world, point, _ = charging()
    point.fault(Fault.METER, True)
    world.reset()
    world.advance(world.now_s + 1.0)
    state = (point.pilot, point.controller.closed, point.faults, point.meter.silent, point.meter.energy_wh)
    assert state == ("A", False, {}, False, point.meter.start_wh)


def test_a_second_of_simulation_takes_microseconds() -> None:
    world, _, _ = charging()
    start, started_s = time.process_time(), world.now_s
    for second in range(2000):
        world.advance(started_s + second)
    assert (time.process_time() - start) / 2000 < 0.0005  # some 10 us; the limit leaves room for a slow machine


def test_a_switch_of_phases_under_load_is_counted_and_one_without_is_not() -> None:
    world, point, _ = charging()
    point.controller.feed(1)
    world.advance(30.0)
    assert (point.phases, point.controller.live_switches) == (1, 1)
    offer(point, 0.0)
    world.advance(60.0)
    point.controller.feed(3)
    assert point.controller.live_switches == 1


def test_a_sleepy_car_hears_no_offer_until_its_pilot_was_away() -> None:
    world, point, _ = station()
    point.plug_in("sleepy")
    world.advance(30.0)
    offer(point, 16.0)
    world.advance(90.0)
    assert point.pilot == "B"
    point.controller.hold_off(93.0)
    point.settle()
    world.advance(120.0)
    assert (point.pilot, point.amps) == ("C", 16.0)


def test_a_relay_outside_that_opens_before_the_controller_does_it_by_itself_lets_time_go_on() -> None:
    world, point, _ = charging()
    point.controller.gate = True
    point.fault(Fault.OVER_CURRENT, True)  # a car that does not let go
    offer(point, 0.0)
    world.advance(21.0)
    point.controller.gate = False
    point.settle()
    world.advance(40.0)
    assert (world.now_s, point.controller.closed) == (40.0, False)
