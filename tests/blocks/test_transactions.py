"""The life of a transaction, event by event."""

from __future__ import annotations

import pytest

from agent.core.effects import Offer
from agent.core.events import DeviceLost, OpenTransaction, TransactionAnswered
from agent.core.requests import Ref, StopRequested, UnlockRequested
from agent.core.types import ChargingState, ClockQuality, StopReason, TokenInfo, TokenStatus, Trigger, TxKind
from drivers.api import Fault, Pilot, StopButton
from tests.blocks.helpers import ACCEPTED, CARD, OTHER_CARD, Bench, of, offers

GROUP_INFO = TokenInfo(TokenStatus.ACCEPTED, OTHER_CARD)


def kinds(bench: Bench) -> list[TxKind]:
    return [event.kind for event in bench.journal]


def stop(bench: Bench) -> None:
    """The EV obeys, the contactor opens, the meter is read once more."""
    bench.wait(1)
    bench.read(Pilot.B)
    bench.wait(1.5)
    bench.meter()


def test_card_then_plug_starts_with_the_meter_of_that_moment() -> None:
    bench = Bench().ready()
    bench.tap()
    assert bench.journal == []
    bench.wait(5)
    bench.read(Pilot.B)
    started = bench.journal[0]
    assert (started.kind, started.started_wh, started.token) == (TxKind.STARTED, 5000, CARD)
    assert started.trigger is Trigger.CABLE_PLUGGED_IN
    assert started.at == bench.now


def test_plug_then_card_starts_with_the_card() -> None:
    bench = Bench().ready()
    bench.read(Pilot.B)
    assert offers(bench.effects) == []
    bench.tap()
    assert bench.journal[0].trigger is Trigger.AUTHORIZED


def test_power_is_offered_only_after_the_transaction_was_recorded() -> None:
    bench = Bench().ready()
    bench.tap()
    effects = bench.read(Pilot.B)
    order = [type(e).__name__ for e in effects if type(e).__name__ in ("Record", "Offer")]
    assert order[0] == "Record"
    assert offers(effects) == [32.0]


def test_no_start_before_the_meter_is_known() -> None:
    bench = Bench()
    bench.boot()
    bench.online()
    bench.read(Pilot.B)
    bench.tap()
    assert bench.journal == []
    bench.meter()
    assert kinds(bench)[0] is TxKind.STARTED


def test_the_same_card_stops_and_the_end_waits_for_the_open_contactor() -> None:
    bench = Bench().ready()
    bench.charge()
    bench.effects.clear()
    assert offers(bench.tap()) == [0.0]
    bench.meter(5100)
    assert TxKind.ENDED not in kinds(bench)
    bench.read(Pilot.B)
    bench.wait(1.5)
    bench.meter(5103)
    ended = bench.journal[-1]
    assert (ended.kind, ended.energy_wh, ended.stop_reason, ended.token) == (TxKind.ENDED, 5103, StopReason.LOCAL, CARD)


def test_an_ev_that_never_opens_is_waited_for_twelve_seconds() -> None:
    bench = Bench().ready()
    bench.charge()
    bench.tap()
    bench.wait(11.9)
    assert TxKind.ENDED not in kinds(bench)
    bench.meter(5190)
    bench.wait(0.2)
    assert bench.journal[-1].energy_wh == 5190


def test_a_silent_meter_is_waited_for_a_minute_then_the_last_value_counts() -> None:
    bench = Bench().ready()
    bench.charge()
    bench.meter(5140)
    bench.feed(DeviceLost(1, "meter", "silent"))
    bench.read(Pilot.A)
    bench.wait(59)
    assert TxKind.ENDED not in kinds(bench)
    bench.wait(2)
    assert bench.journal[-1].energy_wh == 5140


def test_unplugging_ends_with_ev_disconnected() -> None:
    bench = Bench().ready()
    bench.charge()
    bench.read(Pilot.A)
    bench.wait(1.5)
    bench.meter(5200)
    ended = bench.journal[-1]
    assert (ended.stop_reason, ended.trigger, ended.energy_wh) == (
        StopReason.EV_DISCONNECTED,
        Trigger.EV_COMMUNICATION_LOST,
        5200,
    )


def test_ev_side_disconnect_only_suspends_when_told_so() -> None:
    bench = Bench(TxCtrlr__StopTxOnEVSideDisconnect="false").ready()
    bench.charge()
    effects = bench.read(Pilot.A, cable_a=32.0)
    assert offers(effects) == [0.0]
    bench.wait(5)
    assert TxKind.ENDED not in kinds(bench)
    assert offers(bench.read(Pilot.B)) == [32.0]


def test_the_whole_cable_gone_ends_it_all_the_same() -> None:
    bench = Bench(TxCtrlr__StopTxOnEVSideDisconnect="false").ready()
    bench.charge()
    bench.read(Pilot.A, cable_a=0.0)
    bench.wait(1.5)
    bench.meter()
    assert bench.journal[-1].stop_reason is StopReason.EV_DISCONNECTED


def test_remote_stop_by_the_name_that_the_csms_gave() -> None:
    bench = Bench().ready()
    bench.charge()
    bench.feed(TransactionAnswered(bench.journal[0], ACCEPTED, "4711"))
    bench.feed(StopRequested(Ref("1", "x"), "4711"))
    stop(bench)
    assert bench.journal[-1].stop_reason is StopReason.REMOTE


def test_a_card_refused_afterwards_ends_the_transaction() -> None:
    bench = Bench().ready()
    bench.charge()
    bench.feed(TransactionAnswered(bench.journal[0], TokenInfo(TokenStatus.BLOCKED), "1"))
    stop(bench)
    ended = bench.journal[-1]
    assert (ended.stop_reason, ended.trigger) == (StopReason.DE_AUTHORIZED, Trigger.DEAUTHORIZED)


def test_a_card_refused_afterwards_only_withholds_power_when_told_so() -> None:
    bench = Bench(TxCtrlr__StopTxOnInvalidId="false").ready()
    bench.charge()
    effects = bench.feed(TransactionAnswered(bench.journal[0], TokenInfo(TokenStatus.BLOCKED), "1"))
    assert offers(effects) == [0.0]
    assert TxKind.ENDED not in kinds(bench)


def test_max_energy_on_invalid_id_lets_that_much_flow() -> None:
    bench = Bench(TxCtrlr__StopTxOnInvalidId="false", TxCtrlr__MaxEnergyOnInvalidId="300").ready()
    bench.charge()
    effects = bench.feed(TransactionAnswered(bench.journal[0], TokenInfo(TokenStatus.BLOCKED), "1"))
    assert offers(effects) == []
    bench.wait(60)
    bench.meter(5290, 7000)
    assert bench.evse.offer_a == 32.0
    bench.wait(5)
    bench.meter(5301, 7000)
    assert bench.evse.offer_a == 0.0


@pytest.mark.parametrize(
    ("button", "reason"),
    [
        (StopButton.LOCAL, StopReason.LOCAL),
        (StopButton.EMERGENCY, StopReason.EMERGENCY_STOP),
        (StopButton.OTHER, StopReason.OTHER),
    ],
)
def test_the_stop_button_has_three_reasons(button: StopButton, reason: StopReason) -> None:
    bench = Bench().ready()
    bench.charge()
    bench.read(Pilot.C, stop_button=button)
    stop(bench)
    assert bench.journal[-1].stop_reason is reason


def test_an_earth_fault_takes_power_away_and_ends_the_transaction() -> None:
    bench = Bench().ready()
    bench.charge()
    assert offers(bench.read(Pilot.C, faults=(Fault.GROUND,))) == [0.0]
    stop(bench)
    assert bench.journal[-1].stop_reason is StopReason.GROUND_FAULT


def test_a_passing_fault_only_suspends() -> None:
    bench = Bench().ready()
    bench.charge()
    assert offers(bench.read(Pilot.C, faults=(Fault.OVER_TEMPERATURE,))) == [0.0]
    assert bench.journal[-1].charging_state is ChargingState.SUSPENDED_EVSE
    bench.read(Pilot.C)
    assert offers(bench.wait(31)) == [32.0]


def test_events_are_numbered_without_gaps() -> None:
    bench = Bench().ready()
    bench.charge()
    for _ in range(3):
        bench.wait(60)
        bench.meter(power_w=7000)
    bench.tap()
    stop(bench)
    assert [event.seq for event in bench.journal] == list(range(len(bench.journal)))


def test_every_transaction_has_an_id_of_its_own() -> None:
    bench = Bench().ready()
    for _ in range(2):
        bench.charge()
        bench.read(Pilot.A)
        bench.wait(1.5)
        bench.meter()
    assert len({event.transaction for event in bench.journal}) == 2


def test_a_finished_ev_that_stays_starts_nothing_new() -> None:
    bench = Bench(TxCtrlr__TxStartPoint="EVConnected").ready()
    bench.read(Pilot.B)
    bench.tap()
    bench.tap()
    stop(bench)
    bench.wait(100)
    assert kinds(bench).count(TxKind.STARTED) == 1


def test_start_point_ev_connected_starts_without_a_card_and_tells_it_later() -> None:
    bench = Bench(TxCtrlr__TxStartPoint="EVConnected").ready()
    bench.read(Pilot.B)
    assert bench.journal[0].token is None
    assert offers(bench.effects) == []
    bench.tap()
    told = next(event for event in bench.journal if event.token is not None)
    assert (told.kind, told.trigger) == (TxKind.UPDATED, Trigger.AUTHORIZED)
    assert bench.evse.offer_a == 32.0


def test_start_point_authorized_starts_before_the_plug_and_times_out() -> None:
    bench = Bench(TxCtrlr__TxStartPoint="Authorized").ready()
    bench.tap()
    assert kinds(bench) == [TxKind.STARTED]
    bench.wait(121)
    bench.meter()
    ended = bench.journal[-1]
    assert (ended.stop_reason, ended.trigger) == (StopReason.TIMEOUT, Trigger.EV_CONNECT_TIMEOUT)


def test_start_point_energy_transfer_starts_when_energy_flows() -> None:
    bench = Bench(TxCtrlr__TxStartPoint="EnergyTransfer").ready()
    bench.tap()
    bench.read(Pilot.B)
    assert bench.evse.offer_a == 32.0
    assert bench.journal == []
    bench.read(Pilot.C)
    bench.meter(power_w=5000.0)
    assert [(e.kind, e.charging_state) for e in bench.journal] == [(TxKind.STARTED, ChargingState.CHARGING)]


def restart(bench: Bench, resume: str = "if-still-plugged", power_lost: bool = False) -> Bench:
    """A new process with what the old one remembered."""
    (tx_id,) = bench.remembered["open"]
    last = bench.journal[-1]
    found = OpenTransaction(tx_id, last.seq + 1, bench.remembered["open"][tx_id], None, last.energy_wh)  # type: ignore[arg-type]
    again = Bench(resume=resume)
    again.mono, again.utc, again.wh = bench.mono + 5, bench.utc + 5, dict(bench.wh)
    again.boot(found, power_lost=power_lost, counters={"transactions": 1})
    return again


def test_after_a_restart_the_transaction_goes_on_with_the_car() -> None:
    bench = Bench().ready()
    bench.charge()
    again = restart(bench)
    again.read(Pilot.C)
    assert offers(again.effects) == []  # what the controller held before the restart is not interrupted
    assert offers(again.meter(5200)) == [32.0]
    assert again.journal[0].seq == bench.journal[-1].seq + 1
    assert again.journal[0].transaction == bench.journal[0].transaction


def test_after_a_restart_without_the_car_it_ends_with_the_true_register() -> None:
    bench = Bench().ready()
    bench.charge()
    again = restart(bench)
    again.read(Pilot.A)
    again.wait(1)
    again.meter(5177)
    ended = again.journal[-1]
    assert (ended.kind, ended.energy_wh, ended.stop_reason) == (TxKind.ENDED, 5177, StopReason.EV_DISCONNECTED)


def test_a_meter_that_was_swapped_during_a_restart_puts_nothing_of_its_past_on_the_bill() -> None:
    bench = Bench().ready()
    bench.charge()
    again = restart(bench)
    again.read(Pilot.C)
    for _ in range(4):
        again.wait(1)
        again.meter(55_000)
    ended = again.journal[-1]
    assert (ended.kind, ended.energy_wh, ended.stop_reason) == (TxKind.ENDED, 5000, StopReason.OTHER)


def test_what_flowed_during_hours_without_the_agent_is_on_the_bill() -> None:
    bench = Bench().ready()
    bench.charge()
    bench.mono, bench.utc = bench.mono + 7200, bench.utc + 7200
    again = restart(bench)
    again.read(Pilot.A)
    again.wait(1)
    again.meter(45_000)
    ended = again.journal[-1]
    assert (ended.energy_wh, ended.stop_reason) == (45_000, StopReason.EV_DISCONNECTED)


def test_resume_never_ends_with_reboot_and_after_a_power_cut_with_power_loss() -> None:
    for power_lost, reason in ((False, StopReason.REBOOT), (True, StopReason.POWER_LOSS)):
        bench = Bench().ready()
        bench.charge()
        again = restart(bench, "never", power_lost)
        again.read(Pilot.B)
        again.wait(1)
        again.meter(5100)
        again.wait(1)
        again.meter(5100)
        assert again.journal[-1].stop_reason is reason


def test_an_ending_interrupted_by_a_restart_keeps_its_reason() -> None:
    bench = Bench().ready()
    bench.charge()
    bench.tap()
    again = restart(bench)
    again.read(Pilot.B)
    again.wait(1)
    again.meter(5050)
    assert again.journal[-1].stop_reason is StopReason.LOCAL


def test_after_a_restart_with_dead_hardware_the_last_stored_value_closes_it() -> None:
    bench = Bench().ready()
    bench.charge()
    again = restart(bench)
    again.wait(61)
    ended = again.journal[-1]
    assert (ended.kind, ended.energy_wh) == (TxKind.ENDED, 5000)


def test_unlock_during_a_transaction_ends_it_first_when_told_so() -> None:
    bench = Bench(TxCtrlr__StopTxOnUnlock="true").ready()
    bench.charge()
    bench.feed(UnlockRequested(Ref("7", "UnlockConnector"), 1))
    stop(bench)
    assert bench.journal[-1].stop_reason is StopReason.UNLOCK_COMMAND
    assert of(bench.effects, Offer)[-1].current_a == 0


def test_a_start_tells_no_state_that_lasted_for_no_time() -> None:
    bench = Bench().ready()
    bench.read(Pilot.B)
    bench.tap()
    assert [event.charging_state for event in bench.journal] == [ChargingState.EV_CONNECTED, ChargingState.SUSPENDED_EV]


def test_with_the_cable_as_only_stop_point_a_card_only_takes_the_power() -> None:
    bench = Bench(TxCtrlr__TxStopPoint="EVConnected").ready()
    bench.charge()
    assert offers(bench.tap()) == [0.0]
    stop(bench)
    assert TxKind.ENDED not in kinds(bench)
    told = next(event for event in bench.journal if event.trigger is Trigger.STOP_AUTHORIZED)
    assert (told.kind, told.token) == (TxKind.UPDATED, CARD)
    again = restart(bench)
    again.read(Pilot.B)
    again.meter()
    assert again.evse.offer_a == 0.0
    again.read(Pilot.A)
    again.wait(1.5)
    again.meter()
    ended = again.journal[-1]
    assert (ended.stop_reason, ended.trigger, ended.token) == (StopReason.LOCAL, Trigger.EV_COMMUNICATION_LOST, CARD)


def test_a_card_right_after_a_restart_stops_what_it_had_started() -> None:
    bench = Bench().ready()
    bench.charge()
    again = restart(bench)
    again.tap()
    again.read(Pilot.C)
    again.meter()
    assert again.evse.offer_a == 0.0
    stop(again)
    assert again.journal[-1].stop_reason is StopReason.LOCAL


@pytest.mark.parametrize("waits_s", [2, 7200])
def test_what_flowed_before_the_meter_told_so_belongs_to_the_transaction_that_begins_with_energy(waits_s: int) -> None:
    bench = Bench(TxCtrlr__TxStartPoint="EnergyTransfer").ready()
    bench.meter(5001.0)
    bench.tap()
    bench.read(Pilot.B)
    bench.wait(waits_s)
    bench.meter(5001.0)
    read_at = bench.mono
    bench.wait(1)
    bench.read(Pilot.C)
    bench.wait(1)
    bench.meter(5003.0, power_w=90.0)
    assert bench.journal == []
    bench.wait(1)
    bench.meter(5009.0, power_w=5000.0)
    started = bench.journal[0]
    assert (started.kind, started.started_wh, started.energy_wh) == (TxKind.STARTED, 5001, 5001)
    assert bench.evse.tx is not None
    assert bench.evse.tx.begin is not None
    assert bench.evse.tx.begin.at.mono == read_at
    bench.wait(1)
    bench.meter(5010.0, power_w=5000.0)
    assert bench.evse.tx.last_wh == 5010


def test_a_transaction_that_no_car_has_come_to_ends_with_the_restart_and_not_with_a_cars_leaving() -> None:
    bench = Bench(TxCtrlr__TxStartPoint="Authorized").ready()
    bench.tap()
    again = restart(bench)
    again.read(Pilot.A)
    again.meter()
    again.wait(1.5)
    again.meter()
    (ended,) = again.journal
    assert (ended.stop_reason, ended.trigger) == (StopReason.REBOOT, Trigger.ABNORMAL_CONDITION)


def test_a_charge_whose_card_is_accepted_goes_on_whatever_its_date() -> None:
    bench = Bench().ready()
    bench.charge()
    late = TokenInfo(TokenStatus.ACCEPTED, OTHER_CARD, bench.utc - 3600)
    bench.feed(TransactionAnswered(bench.journal[0], late))
    assert bench.evse.tx is not None
    assert (bench.evse.tx.stop, bench.evse.tx.group) == (None, OTHER_CARD)


@pytest.mark.parametrize("leap_s", [-7200.0, 7200.0])
def test_a_clock_that_leaps_in_mid_charge_changes_neither_the_order_nor_the_length_of_what_is_told(
    leap_s: float,
) -> None:
    bench = Bench(SampledDataCtrlr__TxUpdatedInterval="60", SampledDataCtrlr__TxEndedInterval="60").ready()
    bench.charge()
    bench.wait(200)
    bench.meter(5100.0, 7000.0)
    bench.utc += leap_s
    bench.wait(100)
    bench.meter(5200.0, 7000.0)
    bench.tap()
    stop(bench)
    told = [event for event in bench.journal if event.kind is not TxKind.STARTED]
    began, ended = bench.journal[0].at, told[-1].at
    assert told[-1].kind is TxKind.ENDED
    assert ended.utc - began.utc == ended.mono - began.mono
    times = [reading.at for event in told for reading in event.readings] + [event.at for event in told]
    assert {at.utc - began.utc == at.mono - began.mono for at in times} == {True}


def test_a_better_clock_counts_from_the_moment_when_it_is_known() -> None:
    bench = Bench().ready()
    bench.quality = ClockQuality.SYSTEM
    bench.charge()
    bench.quality = ClockQuality.SYNCED
    bench.utc += 7200
    bench.tap()
    stop(bench)
    assert bench.journal[-1].at == bench.now
