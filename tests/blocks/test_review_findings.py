"""What a review by fresh eyes found: each of these once went wrong, ended the process, or left a charger stuck."""

from __future__ import annotations

import pytest

from agent.core.effects import Ask, MeterReport, Record, Remember
from agent.core.events import DeviceFound, DeviceLost, MeterRead, OpenTransaction, TransactionAnswered
from agent.core.evse import connector_status
from agent.core.types import (
    ClockQuality,
    ConnectorStatus,
    Instant,
    StopReason,
    TokenInfo,
    TokenStatus,
    Trigger,
    TxKind,
)
from drivers.api import Fault, Measurand, Pilot, Sample
from tests.blocks.helpers import Bench, of

BLOCKED = TokenInfo(TokenStatus.BLOCKED)
REGISTER = Measurand.ENERGY_ACTIVE_IMPORT_REGISTER


class Board(Bench):
    """A bench whose board may be powered anew."""

    boot_name = "boot-1"

    @property
    def now(self) -> Instant:
        return Instant(self.mono, self.utc, ClockQuality.SYNCED, self.boot_name)


def kinds(bench: Bench) -> list[TxKind]:
    return [event.kind for event in bench.journal]


def restart(before: Bench, **variables: str) -> Board:
    """Another process finds what the first one has remembered."""
    (tx_id,) = before.remembered["open"]
    last = before.journal[-1]
    found = OpenTransaction(tx_id, last.seq + 1, before.remembered["open"][tx_id], None, last.energy_wh)  # type: ignore[arg-type]
    after = Board(**variables)  # type: ignore[arg-type]
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
