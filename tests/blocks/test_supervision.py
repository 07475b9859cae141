"""Each rule of the supervision: broken long enough it is a fault, a moment less it is none; and how the fault goes."""

from __future__ import annotations

import pytest

from agent.blocks.supervision import RULES
from agent.core.derating import Derated
from agent.core.effects import Note
from agent.core.events import DeviceFound, DeviceLost, MeterRead
from agent.core.faults import ROWS, FaultRow, Own
from agent.core.record import replace
from agent.core.types import StopReason
from drivers.api import Fault, Measurand, Phase, Pilot, Sample
from tests.blocks.helpers import Bench, of, offers

SILENT_S = 10.0  # Bench has the default
WELDED_S = SILENT_S + 10.0
OPEN_S = SILENT_S + 5.0
LINES = ((Phase.L1, Phase.L1_N), (Phase.L2, Phase.L2_N), (Phase.L3, Phase.L3_N))


def charging() -> Bench:
    bench = Bench().ready()
    bench.charge()
    return bench


def meter(bench: Bench, amps: float, seconds: float = 1.0, power: float = 1.0, volts: float = 230.0) -> None:
    """Seconds of readings, one each second, each a little different; `power` is a factor."""
    for _ in range(round(seconds)):
        bench.wait(1)
        watts = 3 * amps * volts * power
        bench.wh[1] += watts / 3600
        noise = 1.0 + 0.0001 * (bench.mono % 7)
        samples = [
            Sample(Measurand.ENERGY_ACTIVE_IMPORT_REGISTER, bench.wh[1]),
            Sample(Measurand.POWER_ACTIVE_IMPORT, watts),
        ]
        for line, neutral in LINES:
            samples += [
                Sample(Measurand.CURRENT_IMPORT, amps * noise, line),
                Sample(Measurand.VOLTAGE, volts, neutral),
            ]
        bench.feed(MeterRead(1, tuple(samples)))


def frozen(bench: Bench, amps: float, seconds: float) -> None:
    samples = [Sample(Measurand.ENERGY_ACTIVE_IMPORT_REGISTER, bench.wh[1])]
    samples += [Sample(Measurand.CURRENT_IMPORT, amps, line) for line, _ in LINES]
    for _ in range(round(seconds)):
        bench.wait(1)
        bench.feed(MeterRead(1, tuple(samples)))


# --- welded ---


def withheld(contactor: bool | None) -> Bench:
    """A charge has ended by a card, and this is what the auxiliary contact says."""
    bench = charging()
    bench.tap()
    bench.read(Pilot.B, contactor=contactor)
    return bench


def test_a_contactor_that_stays_closed_is_welded_after_its_time() -> None:
    bench = withheld(True)
    bench.wait(WELDED_S - 1)
    assert bench.evse.faults == {}
    bench.wait(2)
    assert list(bench.evse.faults) == [Own.CONTACTOR_WELDED]


def test_a_contactor_that_opens_late_is_none() -> None:
    bench = withheld(True)
    bench.wait(WELDED_S - 1)
    bench.read(Pilot.B, contactor=False)
    bench.wait(60)
    assert bench.evse.faults == {}


def test_a_welded_contactor_stands_until_somebody_has_looked() -> None:
    bench = withheld(True)
    bench.wait(WELDED_S + 1)
    bench.read(Pilot.A, contactor=False)
    bench.wait(3600)
    assert list(bench.evse.faults) == [Own.CONTACTOR_WELDED]
    again = Bench()
    again.restart(bench)
    again.read()
    again.wait(60)
    assert again.evse.faults == {}


def test_a_welded_contactor_is_found_again_after_a_restart() -> None:
    bench = Bench().ready()
    bench.read(Pilot.A, contactor=True)
    bench.wait(WELDED_S + 1)
    assert list(bench.evse.faults) == [Own.CONTACTOR_WELDED]


def test_a_controller_that_cannot_be_reached_welds_nothing() -> None:
    bench = withheld(True)
    bench.wait(9)
    bench.feed(DeviceLost(1, "controller", "no answer"))
    bench.wait(600)
    bench.feed(DeviceFound(1, "controller"))
    bench.read(Pilot.B, contactor=True)  # only now it hears the order
    bench.wait(WELDED_S - 1)
    assert list(bench.evse.faults) == []


@pytest.mark.parametrize("contactor", [None, False])
def test_current_after_the_end_is_a_welded_contactor_whatever_its_contact_says(
    contactor: bool | None,
) -> None:
    bench = withheld(contactor)
    meter(bench, 16.0, 40)
    assert Own.CONTACTOR_WELDED in bench.evse.faults
    assert "sees 16.0 A" in bench.evse.faults[Own.CONTACTOR_WELDED]


def test_a_frozen_current_proves_nothing() -> None:
    bench = withheld(None)
    frozen(bench, 16.0, 300)
    assert bench.evse.faults == {}


def test_what_the_charger_takes_for_itself_is_no_load() -> None:
    bench = withheld(None)
    meter(bench, 0.4, 300)
    assert bench.evse.faults == {}


# --- not closing ---


def test_a_contactor_that_does_not_close_is_a_fault_after_its_time() -> None:
    bench = Bench().ready()
    bench.tap()
    bench.read(Pilot.B)
    bench.read(Pilot.C, contactor=False)
    bench.wait(OPEN_S - 1)
    assert bench.evse.faults == {}
    found = bench.wait(2)
    assert list(bench.evse.faults) == [Own.CONTACTOR_OPEN]
    assert offers(found) == [0.0]


def test_a_contactor_that_does_not_close_gets_its_next_try_with_the_next_car() -> None:
    bench = Bench().ready()
    bench.tap()
    bench.read(Pilot.B)
    bench.read(Pilot.C, contactor=False)
    bench.wait(600)
    assert list(bench.evse.faults) == [Own.CONTACTOR_OPEN]
    bench.read(Pilot.A)
    assert bench.evse.faults == {}


def test_without_an_auxiliary_contact_no_voltage_says_it() -> None:
    bench = Bench().ready()
    bench.tap()
    bench.read(Pilot.B, contactor=None)
    bench.read(Pilot.C, contactor=None)
    meter(bench, 0.0, 40, volts=3.0)
    assert list(bench.evse.faults) == [Own.CONTACTOR_OPEN]


def test_a_car_that_does_not_ask_for_power_is_no_fault() -> None:
    bench = Bench().ready()
    bench.tap()
    bench.read(Pilot.B, contactor=False)
    meter(bench, 0.0, 600)
    assert bench.evse.faults == {}


# --- overdraw ---


def test_ten_percent_and_half_an_ampere_more_is_allowed() -> None:
    bench = charging()
    meter(bench, 32.0 * 1.1 + 0.4, 60)
    assert bench.evse.faults == {}


def test_more_than_that_for_seven_seconds_ends_the_charge() -> None:
    bench = charging()
    meter(bench, 32.0, 30)
    meter(bench, 37.0, 7)
    assert bench.evse.faults == {}
    meter(bench, 37.0, 2)
    assert list(bench.evse.faults) == [Fault.OVER_CURRENT]
    assert bench.evse.tx is not None
    assert bench.evse.tx.stop is not None
    assert bench.evse.tx.stop.reason is StopReason.OVERCURRENT_FAULT


def test_a_moment_within_the_limit_starts_the_seven_seconds_anew() -> None:
    bench = charging()
    meter(bench, 32.0, 30)
    for _ in range(10):
        meter(bench, 37.0, 6)
        meter(bench, 32.0, 1)
    assert bench.evse.faults == {}


def test_a_car_has_time_to_follow_a_lower_offer() -> None:
    bench = charging()
    meter(bench, 32.0, 30)
    bench.read(Pilot.C, cable_a=20.0)
    assert bench.evse.offer_a == 20.0
    meter(bench, 32.0, 5)
    meter(bench, 20.0, 60)
    assert bench.evse.faults == {}


def test_a_car_that_does_not_follow_a_lower_offer_is_found_out() -> None:
    bench = charging()
    meter(bench, 32.0, 30)
    bench.read(Pilot.C, cable_a=20.0)
    meter(bench, 32.0, 30)
    assert list(bench.evse.faults) == [Fault.OVER_CURRENT]


def test_an_overcurrent_is_over_half_a_minute_after_power_was_taken_away() -> None:
    bench = charging()
    meter(bench, 32.0, 30)
    meter(bench, 40.0, 9)
    bench.read(Pilot.B)
    meter(bench, 0.0, 27)
    assert list(bench.evse.faults) == [Fault.OVER_CURRENT]
    meter(bench, 0.0, 5)
    assert bench.evse.faults == {}


def test_a_frozen_reading_ends_no_charge() -> None:
    bench = charging()
    frozen(bench, 40.0, 120)
    assert bench.evse.faults == {}


# --- the meter against itself ---


@pytest.mark.parametrize("factor", [0.1, 1.4])
def test_power_that_currents_and_voltages_cannot_make_is_told_and_stops_nothing(factor: float) -> None:
    bench = charging()
    meter(bench, 16.0, 40, power=factor)
    assert list(bench.evse.faults) == [Own.METER_IMPLAUSIBLE]
    assert bench.evse.offer_a == 32.0
    meter(bench, 16.0, 2)
    assert bench.evse.faults == {}


@pytest.mark.parametrize("factor", [0.6, 0.9, 1.0])
def test_a_poor_power_factor_is_no_fault(factor: float) -> None:
    bench = charging()
    meter(bench, 6.0, 120, power=factor)
    assert bench.evse.faults == {}


# --- how faults stand and go ---


def test_a_missing_diode_stands_until_the_car_has_left() -> None:
    """It shows only while the pilot swings; without power the controller finds it no more."""
    bench = charging()
    bench.read(Pilot.C, faults=(Fault.DIODE,))
    bench.read(Pilot.B)
    bench.wait(600)
    assert list(bench.evse.faults) == [Fault.DIODE]
    bench.read(Pilot.A)
    assert bench.evse.faults == {}


def test_what_two_find_stands_until_both_find_it_no_more() -> None:
    bench = charging()
    meter(bench, 32.0, 30)
    bench.read(Pilot.C, faults=(Fault.OVER_CURRENT,))
    meter(bench, 40.0, 9)
    bench.read(Pilot.C, faults=(Fault.OVER_CURRENT,), contactor=False)
    meter(bench, 0.0, 60)
    assert list(bench.evse.faults) == [Fault.OVER_CURRENT]
    bench.read(Pilot.B)
    bench.wait(31)
    assert bench.evse.faults == {}


def test_a_fault_is_named_in_the_journal_when_it_comes_and_when_it_goes() -> None:
    bench = charging()
    bench.read(Pilot.C, faults=(Fault.INTERNAL,))
    bench.read(Pilot.C)
    lines = [note for note in of(bench.effects, Note) if note.code.startswith("Fault")]
    assert [(note.code, dict(note.fields)["FAULT"]) for note in lines] == [
        ("FaultRaised", "internal"),
        ("FaultCleared", "internal"),
    ]
    assert "no longer reports" in lines[1].text


def test_a_long_ordinary_charge_breaks_no_rule() -> None:
    bench = charging()
    for amps in (6.0, 10.0, 16.0, 24.0, 32.0, 3.0, 0.5):
        meter(bench, amps, 120)
    bench.tap()
    bench.read(Pilot.B)
    meter(bench, 0.0, 120)
    bench.read(Pilot.A)
    meter(bench, 0.0, 600)
    assert not [note for note in of(bench.effects, Note) if note.code == "FaultRaised"]


def test_no_two_rules_share_a_name() -> None:
    assert len({rule.source for rule in RULES}) == len(RULES)


# --- the rest after a fault ---


@pytest.mark.parametrize("pilot", [Pilot.E, Pilot.F, Pilot.UNKNOWN, Pilot.D])
def test_after_a_failure_of_the_pilot_the_same_car_waits_half_a_minute(pilot: Pilot) -> None:
    bench = charging()
    bench.read(pilot)
    bench.wait(5)
    bench.read(Pilot.B)
    assert (bench.evse.faults, bench.evse.explanation) == ({}, "0 A: a rest after a fault")
    bench.wait(29)
    assert bench.evse.offer_a == 0.0
    bench.wait(2)
    assert bench.evse.offer_a == 32.0


def test_the_next_car_waits_for_nothing() -> None:
    bench = charging()
    bench.read(Pilot.E)
    bench.read(Pilot.A)
    bench.wait(3)
    bench.meter()
    bench.tap()
    bench.read(Pilot.B)
    assert bench.evse.offer_a == 32.0


def test_a_pilot_that_flickers_while_the_plug_goes_in_delays_nothing() -> None:
    bench = Bench().ready()
    bench.tap()
    bench.read(Pilot.E)
    bench.read(Pilot.B)
    assert bench.evse.offer_a == 32.0


# --- offers that change all the time ---


def limited(bench: Bench, limit_a: float) -> None:
    """A home energy manager, say."""
    bench.feed(Derated(1, "the sun", limit_a))


def test_who_never_follows_is_found_out_though_the_offer_is_lowered_again_and_again() -> None:
    bench = charging()
    meter(bench, 32.0, 30)
    for step in range(6):
        limited(bench, 16.0 - step)
        meter(bench, 32.0, 4)
    assert list(bench.evse.faults) == [Fault.OVER_CURRENT]


def test_who_follows_late_is_never_blamed_while_the_offer_goes_up_and_down() -> None:
    bench = charging()
    meter(bench, 32.0, 30)
    for limit_a in (6.0, 32.0, 20.0, 24.0, 6.0, 10.0, 8.0, 32.0, 6.0) * 3:
        before_a = bench.evse.offer_a
        limited(bench, limit_a)
        meter(bench, max(before_a, limit_a), 5)
        meter(bench, limit_a, 3)
    assert not [note for note in of(bench.effects, Note) if note.code == "FaultRaised"]


# --- controllers that may take longer ---


def slow(**times: float) -> Bench:
    bench = Bench()
    bench.evse.limits = replace(bench.evse.limits, **times)
    return bench.ready()


def test_a_car_gets_as_long_to_let_go_as_its_controller_gives_it() -> None:
    bench = slow(opens_s=30.0)
    bench.charge()
    bench.tap()
    bench.read(Pilot.C, contactor=True)
    bench.wait(WELDED_S + 20)
    assert bench.evse.faults == {}
    bench.wait(10)
    assert list(bench.evse.faults) == [Own.CONTACTOR_WELDED]


def test_a_contactor_that_rests_between_two_charges_is_none_that_does_not_close() -> None:
    bench = slow(closes_s=60.0)
    bench.tap()
    bench.read(Pilot.B)
    bench.read(Pilot.C, contactor=False)
    bench.wait(60 + SILENT_S)
    assert bench.evse.faults == {}
    bench.wait(5)
    assert list(bench.evse.faults) == [Own.CONTACTOR_OPEN]


# --- faults that come back as soon as power flows ---


SEEN = [fault for fault in Fault if fault is not Fault.METER]  # a device is lost after a time only, and seldom


@pytest.mark.parametrize("row", [row for row in ROWS if row.stops and not row.ends and row.id in SEEN])
def test_what_comes_back_whenever_power_flows_does_not_switch_the_contactor_all_the_time(row: FaultRow) -> None:
    bench = charging()
    begun = len(offers(bench.effects))
    for _ in range(60):
        flows = bench.evse.offer_a > 0
        bench.read(Pilot.C, faults=(Fault(row.id),) if flows else ())
        bench.wait(1)
    assert len(offers(bench.effects)) - begun <= 4


# --- two who doubt the meter ---


def test_a_meter_that_is_found_again_and_tells_no_register_stays_a_fault_all_the_time() -> None:
    bench = charging()
    for _ in range(12):
        bench.wait(1)
        bench.feed(MeterRead(1, (Sample(Measurand.POWER_ACTIVE_IMPORT, 7000.0),)))
    assert list(bench.evse.faults) == [Fault.METER]
    bench.feed(DeviceLost(1, "meter", "no answer"))
    assert offers(bench.feed(DeviceFound(1, "meter"))) == []
    assert list(bench.evse.faults) == [Fault.METER]
    bench.meter(bench.wh[1])
    assert bench.evse.faults == {}
