"""What is offered and what is told, from facts that all must hold."""

from __future__ import annotations

import pytest

from agent.core.effects import Ask, Offer, Status, StatusAnswer
from agent.core.events import (
    CallFailed,
    DeviceFound,
    DeviceLost,
    LinkDown,
    LinkUp,
    Stopping,
    StorageFailed,
)
from agent.core.evse import charging_state
from agent.core.record import replace
from agent.core.requests import AvailabilityRequested, Ref
from agent.core.types import ChargingState, ConnectorStatus
from drivers.api import Fault, Pilot
from tests.blocks.helpers import OTHER_CARD, Bench, of, offers

REF = Ref("1", "x")


def told(bench: Bench, evse: int = 1) -> list[ConnectorStatus]:
    calls = [ask.call for ask in of(bench.effects, Ask)]
    return [call.status for call in calls if isinstance(call, Status) and call.evse == evse]


def test_nothing_is_written_before_the_hardware_was_read() -> None:
    bench = Bench()
    bench.boot()
    bench.online()
    assert of(bench.effects, Offer) == []
    assert told(bench) == []
    assert offers(bench.read()) == [0.0]


def test_the_offer_is_the_least_of_cable_hardware_and_supply() -> None:
    bench = Bench().ready()
    bench.tap()
    bench.read(Pilot.B, cable_a=20.0)
    assert bench.evse.offer_a == 20.0
    assert bench.evse.explanation == "20 A: the cable's rating (below the hardware's limit 32 A)"


def test_two_evses_share_the_supply() -> None:
    bench = Bench(evses=2)
    bench.station.facts.station_max_a = 32.0
    bench.ready()
    bench.tap(evses=(1,))
    bench.read(Pilot.B, 1)
    assert bench.evse.offer_a == 32.0
    bench.tap(OTHER_CARD, evses=(2,))
    bench.read(Pilot.B, 2)
    assert [evse.offer_a for evse in bench.station.facts.evses.values()] == [16.0, 16.0]


def test_less_than_six_amperes_is_a_pause() -> None:
    bench = Bench()
    bench.station.facts.station_max_a = 5.5
    bench.ready()
    bench.tap()
    bench.read(Pilot.B)
    assert bench.evse.offer_a == 0.0
    assert "pause" in bench.evse.explanation


@pytest.mark.parametrize("pilot", [Pilot.E, Pilot.F, Pilot.UNKNOWN])
def test_an_unknown_or_faulty_pilot_takes_power_away(pilot: Pilot) -> None:
    bench = Bench().ready()
    bench.charge()
    assert offers(bench.read(pilot)) == [0.0]
    assert told(bench)[-1] is ConnectorStatus.FAULTED


def test_where_there_is_a_fan_a_car_that_wants_air_charges_as_any_other() -> None:
    bench = Bench()
    bench.evse.limits = replace(bench.evse.limits, ventilation=True)
    bench.ready()
    bench.charge()
    assert offers(bench.read(Pilot.D)) == []
    bench.meter(power_w=7000.0)
    assert (bench.evse.faults, charging_state(bench.evse)) == ({}, ChargingState.CHARGING)


def test_a_car_that_stops_wanting_air_charges_on_after_a_rest() -> None:
    bench = Bench().ready()
    bench.charge()
    bench.read(Pilot.D)
    assert list(bench.evse.faults) == [Fault.VENTILATION]
    bench.read(Pilot.C)
    bench.wait(31)
    assert (bench.evse.faults, bench.evse.offer_a) == ({}, 32.0)


def test_ventilation_that_is_not_there_is_a_fault() -> None:
    bench = Bench().ready()
    bench.charge()
    assert offers(bench.read(Pilot.D)) == [0.0]


@pytest.mark.parametrize("device", ["controller", "meter"])
def test_a_silent_device_takes_power_away_and_it_comes_back(device: str) -> None:
    bench = Bench().ready()
    bench.charge()
    assert offers(bench.feed(DeviceLost(1, device, "no answer"))) == [0.0]
    assert offers(bench.feed(DeviceFound(1, device))) == [32.0]


def test_a_silent_card_reader_harms_nothing() -> None:
    bench = Bench().ready()
    bench.charge()
    assert offers(bench.feed(DeviceLost(1, "reader", "gone"))) == []
    assert told(bench)[-1] is ConnectorStatus.CHARGING


def test_losing_the_csms_never_interrupts_a_charge() -> None:
    bench = Bench().ready()
    bench.charge()
    assert offers(bench.feed(LinkDown("cut"))) == []


def test_a_stop_of_the_process_withholds_power_and_keeps_the_transaction() -> None:
    bench = Bench().ready()
    bench.charge()
    assert offers(bench.feed(Stopping("SIGTERM"))) == [0.0]
    assert bench.evse.tx is not None


def test_no_new_transaction_while_nothing_can_be_stored_and_a_running_one_goes_on() -> None:
    bench = Bench().ready()
    bench.charge()
    assert offers(bench.feed(StorageFailed("full"))) == []
    bench.read(Pilot.A)
    bench.wait(2)
    bench.meter()
    bench.effects.clear()
    bench.tap()
    bench.read(Pilot.B)
    assert bench.journal == []


def test_statuses_follow_the_hardware() -> None:
    bench = Bench()
    bench.boot()
    bench.online()
    bench.read()
    bench.meter()
    bench.charge()
    bench.tap()
    bench.read(Pilot.B)
    bench.wait(2)
    bench.meter()
    bench.read(Pilot.A)
    assert told(bench) == [
        ConnectorStatus.AVAILABLE,
        ConnectorStatus.PREPARING,
        ConnectorStatus.SUSPENDED_EV,
        ConnectorStatus.CHARGING,
        ConnectorStatus.FINISHING,
        ConnectorStatus.AVAILABLE,
    ]


@pytest.mark.parametrize(("ends", "word"), [("false", "SuspendedEV"), ("true", "Finishing")])
@pytest.mark.parametrize("attached", [False, True])
def test_a_cable_that_has_lost_its_car_is_told_with_the_status_and_once(ends: str, word: str, attached: bool) -> None:
    """Section 4.9, in its own words."""
    bench = Bench(attached=attached, TxCtrlr__StopTxOnEVSideDisconnect=ends).ready()
    bench.charge()
    bench.read(Pilot.A, cable_a=32.0)
    bench.wait(2)
    bench.meter()
    bench.wait(120)
    told = [ask.call for ask in of(bench.effects, Ask) if isinstance(ask.call, Status) and ask.call.evse]
    said = [(str(call.status), call.info) for call in told]
    assert said[:3] == [("Preparing", ""), ("SuspendedEV", ""), ("Charging", "")]
    assert said[3:] == [(word, "EV side disconnected")] + ([("Available", "")] if attached and ends == "true" else [])


def test_a_stop_by_card_says_nothing_of_the_cars_side() -> None:
    bench = Bench().ready()
    bench.charge()
    bench.tap()
    bench.read(Pilot.A, cable_a=32.0)
    assert not any(ask.call.info for ask in of(bench.effects, Ask) if isinstance(ask.call, Status))


def test_a_short_status_is_not_told_when_it_must_last() -> None:
    bench = Bench(ChargingStation__StatusMinimumDuration="10").ready()
    bench.read(Pilot.B)
    bench.wait(5)
    bench.read(Pilot.A)
    bench.wait(60)
    assert told(bench) == []
    bench.read(Pilot.B)
    bench.wait(11)
    assert told(bench) == [ConnectorStatus.PREPARING]


def test_after_long_offline_every_status_is_told_anew() -> None:
    bench = Bench().ready()
    bench.feed(LinkDown("cut"))
    bench.wait(61)
    bench.feed(LinkUp(False))
    assert told(bench) == [ConnectorStatus.AVAILABLE]
    assert told(bench, 0) == [ConnectorStatus.AVAILABLE]


def test_after_a_short_cut_only_what_changed_is_told() -> None:
    bench = Bench().ready()
    bench.feed(LinkDown("cut"))
    bench.wait(10)
    bench.feed(LinkUp(False))
    assert told(bench) == []


def test_out_of_service_is_remembered_and_told() -> None:
    bench = Bench().ready()
    bench.feed(AvailabilityRequested(REF, False, 1))
    assert bench.replies == [StatusAnswer("Accepted")]
    assert told(bench) == [ConnectorStatus.UNAVAILABLE]
    again = Bench()
    again.restart(bench)
    again.read()
    assert not again.evse.operative


def test_out_of_service_waits_for_the_transaction() -> None:
    bench = Bench().ready()
    bench.charge()
    bench.feed(AvailabilityRequested(REF, False))
    assert bench.replies == [StatusAnswer("Scheduled")]
    assert bench.evse.offer_a == 32.0
    bench.read(Pilot.A)
    bench.wait(2)
    bench.meter()
    assert told(bench)[-1] is ConnectorStatus.UNAVAILABLE


def test_an_unknown_evse_is_refused() -> None:
    bench = Bench().ready()
    bench.feed(AvailabilityRequested(REF, False, 9))
    assert bench.replies == [StatusAnswer("Rejected", reason="UnknownEvse")]


def test_a_fault_names_itself_in_the_status() -> None:
    bench = Bench().ready()
    bench.read(Pilot.A, faults=(Fault.GROUND,))
    status = [ask.call for ask in of(bench.effects, Ask) if isinstance(ask.call, Status)][-1]
    assert (status.status, status.error) == (ConnectorStatus.FAULTED, "ground")


def test_a_status_that_the_csms_did_not_take_is_told_again_after_a_while() -> None:
    bench = Bench().ready()
    bench.read(Pilot.B)
    status = [ask.call for ask in of(bench.effects, Ask) if isinstance(ask.call, Status)][-1]
    bench.feed(CallFailed(status, "InternalError"))
    bench.wait(59)
    assert told(bench) == [ConnectorStatus.PREPARING]
    bench.wait(2)
    assert told(bench) == [ConnectorStatus.PREPARING, ConnectorStatus.PREPARING]
