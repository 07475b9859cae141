"""What a review by fresh eyes found: each of these once went wrong, ended the process, or left a charger stuck."""

from __future__ import annotations

import pytest

from agent.core.effects import (
    Ask,
    Authorize,
    Forget,
    MeterReport,
    Note,
    Record,
    Remember,
    Restart,
    StatusAnswer,
    Unlock,
)
from agent.core.events import (
    DeviceFound,
    DeviceLost,
    MeterRead,
    OpenTransaction,
    QueueEmptied,
    QueueFilled,
    Stopping,
    TokenAnswered,
    TokenPresented,
    TransactionAnswered,
)
from agent.core.evse import connector_status
from agent.core.requests import (
    Ref,
    ReportRequested,
    ResetRequested,
    ScheduleRequested,
    StartRequested,
    UnlockRequested,
    VariablesRequested,
)
from agent.core.types import (
    ClockQuality,
    ConnectorStatus,
    Instant,
    ResetKind,
    StopReason,
    TokenInfo,
    TokenStatus,
    Trigger,
    TxKind,
    VariableId,
)
from drivers.api import Fault, IdToken, Measurand, Pilot, Sample
from tests.blocks.helpers import ACCEPTED, CARD, OTHER_CARD, Bench, of, offers

BLOCKED = TokenInfo(TokenStatus.BLOCKED)
REF = Ref("1", "Test")
REGISTER = Measurand.ENERGY_ACTIVE_IMPORT_REGISTER


class Board(Bench):
    """A bench whose board may be powered anew."""

    boot_name = "boot-1"

    @property
    def now(self) -> Instant:
        return Instant(self.mono, self.utc, ClockQuality.SYNCED, self.boot_name)


def kinds(bench: Bench) -> list[TxKind]:
    return [event.kind for event in bench.journal]


def restart(before: Bench, evses: int = 1, **variables: str) -> Board:
    """Another process finds what the first one has remembered."""
    (tx_id,) = before.remembered["open"]
    last = before.journal[-1]
    found = OpenTransaction(tx_id, last.seq + 1, before.remembered["open"][tx_id], None, last.energy_wh)  # type: ignore[arg-type]
    after = Board(evses, **variables)  # type: ignore[arg-type]
    after.mono, after.utc, after.wh = before.mono + 5, before.utc + 5, dict(before.wh)
    after.boot(found, **{table: rows for table, rows in before.remembered.items() if table != "open"})  # type: ignore[arg-type]
    return after


def register(bench: Bench, wh: float) -> None:
    bench.feed(MeterRead(1, (Sample(REGISTER, wh), Sample(Measurand.POWER_ACTIVE_IMPORT, 7000.0))))


# --- transactions -------------------------------------------------------------------------------------------


def test_an_energy_limit_reached_settles_where_only_the_cable_ends_the_transaction() -> None:
    bench = Bench(
        TxCtrlr__TxStopPoint="EVConnected", TxCtrlr__StopTxOnInvalidId="false", TxCtrlr__MaxEnergyOnInvalidId="100"
    ).ready()
    bench.charge()
    bench.feed(TransactionAnswered(bench.journal[0], BLOCKED))
    bench.wait(60)
    bench.meter(5150, power_w=7000.0)
    told = [event for event in bench.journal if event.trigger is Trigger.ENERGY_LIMIT_REACHED]
    assert ([event.kind for event in told], bench.evse.offer_a) == ([TxKind.UPDATED], 0.0)


def test_a_card_charges_again_where_transactions_start_with_the_cable_that_has_stayed() -> None:
    bench = Bench(TxCtrlr__TxStartPoint="EVConnected").ready()
    bench.charge()
    bench.tap()
    bench.read(Pilot.B)
    bench.wait(2)
    bench.meter()
    assert kinds(bench)[-1] is TxKind.ENDED
    bench.tap()
    assert (kinds(bench).count(TxKind.STARTED), bench.evse.offer_a) == (2, 32.0)


def test_an_ev_that_leaves_is_told_as_communication_lost() -> None:
    bench = Bench(attached=True, TxCtrlr__StopTxOnEVSideDisconnect="false").ready()
    bench.charge()
    bench.read(Pilot.A)
    assert bench.journal[-1].trigger is Trigger.EV_COMMUNICATION_LOST


@pytest.mark.parametrize("pilot", [Pilot.E, Pilot.F, Pilot.UNKNOWN])
def test_a_pilot_that_tells_nothing_of_the_car_ends_no_transaction_at_start(pilot: Pilot) -> None:
    before = Bench().ready()
    before.charge()
    after = restart(before)
    after.read(pilot, cable_a=32.0)
    after.meter()
    assert TxKind.ENDED not in kinds(after)
    after.read(Pilot.C)
    after.meter()
    assert after.evse.offer_a == 32.0


def test_readings_for_the_end_are_kept_after_the_board_was_powered_anew() -> None:
    before = Bench(SampledDataCtrlr__TxEndedInterval="60").ready()
    before.charge()
    before.wait(61)
    before.meter(power_w=7000.0)
    before.wait(61)
    after = restart(before, SampledDataCtrlr__TxEndedInterval="60")
    after.mono, after.boot_name = 5.0, "boot-2"
    after.read(Pilot.C)
    after.meter(power_w=7000.0)
    kept = [effect for effect in after.wait(61) if isinstance(effect, Remember) and effect.table == "ended_samples"]
    assert len(kept) == 1


# --- meters -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wh", [float("nan"), float("inf"), -1.0, 1e30])
def test_a_register_that_no_meter_can_have_is_not_believed(wh: float) -> None:
    bench = Bench().ready()
    bench.charge()
    for _ in range(5):
        bench.wait(1)
        register(bench, wh)
    assert (bench.evse.meter and bench.evse.meter.energy_wh, kinds(bench)[-1]) == (5000.0, TxKind.UPDATED)


@pytest.mark.parametrize("bad", [(float("nan"),), (9e8, 5e8), (None,)])
def test_a_meter_whose_values_cannot_be_right_is_a_fault_and_takes_the_power_away(
    bad: tuple[float | None, ...],
) -> None:
    bench = Bench().ready()
    bench.charge()
    for turn in range(12):
        bench.wait(1)
        wh = bad[turn % len(bad)]
        bench.feed(MeterRead(1, () if wh is None else (Sample(REGISTER, wh),)))
    assert (Fault.METER in bench.evse.faults, bench.evse.offer_a) == (True, 0.0)
    bench.meter(5010)
    assert (Fault.METER in bench.evse.faults, bench.evse.offer_a) == (False, 32.0)


def test_a_silent_meter_stays_a_fault_when_the_controller_takes_its_own_word_back() -> None:
    bench = Bench().ready()
    bench.feed(DeviceLost(1, "meter", "no answer"))
    bench.read(Pilot.A, faults=(Fault.METER,))
    bench.read(Pilot.A)
    assert Fault.METER in bench.evse.faults
    bench.feed(DeviceFound(1, "meter"))
    assert Fault.METER not in bench.evse.faults


def test_a_clock_aligned_reading_is_told_once_though_the_clock_lags() -> None:
    bench = Bench(AlignedDataCtrlr__Interval="900").ready()
    bench.utc = 1_800_000_000.0 - 2  # two seconds before a full multiple
    bench.meter()
    bench.utc -= 0.0004  # the clock is slewed
    told = of(bench.wait(5), Ask)
    assert [type(ask.call) for ask in told] == [MeterReport]


# --- the connector ------------------------------------------------------------------------------------------


def test_a_cable_that_goes_while_the_pilot_is_in_error_frees_the_connector() -> None:
    bench = Bench().ready()
    bench.charge()
    bench.tap()
    bench.read(Pilot.A, cable_a=32.0)
    bench.wait(2)
    bench.meter()
    bench.read(Pilot.F, cable_a=0.0)
    bench.read(Pilot.A)
    assert connector_status(bench.evse) is ConnectorStatus.AVAILABLE


@pytest.mark.parametrize("cable_a", [float("nan"), float("inf"), -1.0, 1e30])
def test_a_cable_rating_that_cannot_be_is_a_cable_fault(cable_a: float) -> None:
    bench = Bench().ready()
    bench.tap()
    bench.read(Pilot.B, cable_a=cable_a)
    assert (Fault.CABLE in bench.evse.faults, bench.evse.offer_a) == (True, 0.0)


def test_an_ended_transaction_names_why_the_car_was_lost() -> None:
    bench = Bench().ready()
    bench.charge()
    bench.read(Pilot.A)
    bench.wait(2)
    bench.meter()
    ended = of(bench.effects, Record)[-1].event
    assert (ended.stop_reason, ended.trigger) == (StopReason.EV_DISCONNECTED, Trigger.EV_COMMUNICATION_LOST)


# --- authorization ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("timeout_s", ["0", "20", "300"])
@pytest.mark.parametrize(("away_s", "offer_a"), [(10, 32.0), (31, 0.0)])
def test_a_grant_that_its_car_did_not_use_is_not_the_next_cars(timeout_s: str, away_s: int, offer_a: float) -> None:
    bench = Bench(TxCtrlr__TxStartPoint="EnergyTransfer", TxCtrlr__EVConnectionTimeOut=timeout_s).ready()
    bench.tap()
    bench.read(Pilot.B)
    bench.read(Pilot.A)
    bench.wait(away_s)
    bench.read(Pilot.B)
    assert (bench.evse.grant is not None, bench.evse.offer_a) == (offer_a > 0, offer_a)


@pytest.mark.parametrize(("away_s", "offer_a"), [(10, 32.0), (31, 0.0)])
def test_a_card_accepted_after_its_car_has_left_is_not_the_next_cars(away_s: int, offer_a: float) -> None:
    bench = Bench(TxCtrlr__TxStartPoint="EnergyTransfer", TxCtrlr__EVConnectionTimeOut="300").ready()
    bench.read(Pilot.B)
    [ask] = of(bench.feed(TokenPresented((1,), CARD)), Ask)
    assert isinstance(ask.call, Authorize)
    bench.read(Pilot.A)
    bench.feed(TokenAnswered(ask.call, ACCEPTED))
    bench.wait(away_s)
    bench.read(Pilot.B)
    assert (bench.evse.grant is not None, bench.evse.offer_a) == (offer_a > 0, offer_a)


def test_two_remote_starts_of_one_token_are_two_questions() -> None:
    bench = Bench(evses=2, AuthCtrlr__AuthorizeRemoteStart="true").ready()
    asked = of(bench.feed(StartRequested(REF, CARD, 1), StartRequested(REF, CARD, 2)), Ask)
    for ask in asked:
        assert isinstance(ask.call, Authorize)
        bench.feed(TokenAnswered(ask.call, ACCEPTED))
    assert [evse.grant is not None for evse in bench.station.facts.evses.values()] == [True, True]


def test_two_cards_at_a_shared_reader_are_for_two_cars_in_their_order() -> None:
    bench = Bench(evses=2).ready()
    bench.tap(CARD, evses=(1, 2))
    bench.tap(OTHER_CARD, evses=(1, 2))
    bench.read(Pilot.B, 2)
    bench.read(Pilot.B, 1)
    assert [event.token for event in bench.journal if event.kind is TxKind.STARTED] == [CARD, OTHER_CARD]


def test_a_third_card_at_two_evses_is_refused() -> None:
    bench = Bench(evses=2).ready()
    bench.tap(CARD, evses=(1, 2))
    bench.tap(OTHER_CARD, evses=(1, 2))
    notes = of(bench.tap(IdToken("AABBCCDD"), evses=(1, 2)), Note)
    assert [note.code for note in notes] == ["Denied"]


def test_a_card_that_waits_for_a_plug_lapses_alone() -> None:
    bench = Bench(evses=2).ready()
    bench.tap(CARD, evses=(1, 2))
    bench.wait(60)
    bench.tap(OTHER_CARD, evses=(1, 2))
    bench.wait(61)
    bench.read(Pilot.B, 1)
    assert bench.evse.tx is not None
    assert bench.evse.tx.token == OTHER_CARD


# --- remote control, variables, power -----------------------------------------------------------------------


def test_a_reset_gives_the_end_of_a_transaction_time_to_be_told() -> None:
    bench = Bench().ready()
    bench.charge()
    bench.feed(ResetRequested(REF, ResetKind.SOFT))
    bench.wait(2)
    bench.read(Pilot.B)
    bench.wait(1.5)
    bench.meter()
    assert kinds(bench)[-1] is TxKind.ENDED
    bench.feed(QueueFilled())
    bench.wait(5)
    assert of(bench.effects, Restart) == []
    bench.feed(QueueEmptied())
    assert len(of(bench.effects, Restart)) == 1


def test_an_immediate_reset_overtakes_one_that_waits_for_the_end_of_a_charge() -> None:
    bench = Bench().ready()
    bench.charge()
    bench.feed(ResetRequested(REF, ResetKind.ON_IDLE), ResetRequested(REF, ResetKind.IMMEDIATE))
    assert bench.replies == [StatusAnswer("Scheduled"), StatusAnswer("Accepted")]
    assert bench.evse.offer_a == 0.0


def test_a_cable_without_an_authorized_transaction_may_be_unlocked() -> None:
    bench = Bench(TxCtrlr__TxStartPoint="EVConnected").ready()
    bench.read(Pilot.B)
    assert of(bench.feed(UnlockRequested(REF, 1)), Unlock) == [Unlock(1)]


def test_a_restart_under_pins_forgets_nothing_that_the_csms_has_set() -> None:
    bench = Bench()
    bench.variables.layer("pin", {"TxCtrlr.TxStartPoint": "PowerPathClosed"})
    bench.boot(variables={"TxCtrlr.TxStartPoint": "Authorized"})
    assert of(bench.effects, Forget) == []
    bench.variables.layer("pin", {})
    assert bench.variables.text("TxCtrlr.TxStartPoint") == "Authorized"


def test_sizes_and_units_of_nothing_in_the_configuration_end_no_process() -> None:
    bench = Bench(
        **{"DeviceDataCtrlr__ItemsPerMessage[GetReport]": "0", "SmartChargingCtrlr__RateUnit": ""}  # type: ignore[arg-type]
    ).ready()
    bench.feed(ReportRequested(REF, 1, "SummaryInventory"), ScheduleRequested(REF, 1, 60))
    assert [getattr(answer, "status", "") for answer in bench.replies] == ["Accepted", "Rejected"]


def test_an_agent_that_stops_withholds_power_also_from_what_it_had_not_looked_at_yet() -> None:
    before = Bench().ready()
    before.charge()
    after = restart(before)
    after.read(Pilot.C)
    assert offers(after.effects) == []
    assert offers(after.feed(Stopping("asked to"))) == [0.0]


def test_a_charge_from_before_the_restart_keeps_its_share_of_the_supply() -> None:
    before = Bench(evses=2).ready()
    before.charge()
    after = restart(before, evses=2)
    after.station.facts.station_max_a = 32.0
    after.online()
    after.read(Pilot.B, 2)
    after.meter(evse=2)
    after.tap(OTHER_CARD, evses=(2,))
    assert after.station.facts.evses[2].offer_a == 0.0  # nobody knows yet how much of it the other one holds
    after.read(Pilot.C)
    after.meter(power_w=7000.0)
    assert [evse.offer_a for evse in after.station.facts.evses.values()] == [16.0, 16.0]


def test_the_date_of_a_clock_gone_mad_can_still_be_told() -> None:
    bench = Bench().ready()
    bench.utc = 1e15
    bench.feed(VariablesRequested(REF, (VariableId("ClockCtrlr", "DateTime"),)))
    assert len(bench.replies) == 1
