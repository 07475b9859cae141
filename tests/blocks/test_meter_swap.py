"""A meter that is exchanged for another one never puts its own past on a bill: while the agent was down, and while the
meter was silent; by what the supply could deliver, and by the meter's number where it tells one."""

from __future__ import annotations

from typing import Any

import pytest

from agent.core.effects import Remember
from agent.core.events import DeviceFound, DeviceLost, MeterNamed, OpenTransaction
from agent.core.faults import Own
from agent.core.types import ClockQuality, Instant, StopReason, TransactionEvent, TxKind
from drivers.api import Fault, Pilot
from tests.blocks.helpers import Bench, of

HOUR_S = 3600.0


class Board(Bench):
    """A bench whose board may be powered anew, and may not know what time it is."""

    boot_name, quality = "boot-1", ClockQuality.SYNCED

    @property
    def now(self) -> Instant:
        return Instant(self.mono, self.utc, self.quality, self.boot_name)


def charging(hours: float, **variables: Any) -> Board:
    """Charges 1 kWh, then the car is full; for so long the transaction stays open."""
    bench = Board(**variables)
    bench.ready()
    bench.charge()
    for n in range(int(hours * 60)):
        bench.wait(60)
        bench.meter(min(5000.0 + 20 * n, 6000.0), power_w=0.0)
    return bench


def restart(
    before: Board, away_s: float, quality: ClockQuality = ClockQuality.SYNCED, power_lost: bool = True
) -> Board:
    """Another process, with what the store tells of the first one."""
    (tx_id,) = before.remembered["open"]
    last = before.journal[-1]
    found = OpenTransaction(tx_id, last.seq + 1, before.remembered["open"][tx_id], None, last.energy_wh)  # type: ignore[arg-type]
    after = Board()
    after.utc, after.mono, after.wh = before.utc + away_s, before.mono + away_s, dict(before.wh)
    if power_lost:
        after.mono, after.boot_name, after.quality = 20.0, "boot-2", quality
    if quality is ClockQuality.UNKNOWN:
        after.utc = 60.0
    kept = {table: rows for table, rows in before.remembered.items() if table != "open"}
    after.boot(found, power_lost=power_lost, **kept)
    after.read(Pilot.B)
    return after


def read(bench: Board, wh: float, times: int = 4) -> None:
    for _ in range(times):
        bench.meter(wh)
        bench.wait(1)


def ended(bench: Board) -> TransactionEvent | None:
    return next((event for event in bench.journal if event.kind is TxKind.ENDED), None)


@pytest.mark.parametrize("power_lost", [False, True])
def test_a_meter_swapped_during_a_restart_puts_nothing_of_its_past_on_a_long_transaction(power_lost: bool) -> None:
    after = restart(charging(8.0), 600.0, power_lost=power_lost)
    read(after, 6000.0 + 50_000.0)  # less than could have flowed since the transaction began
    end = ended(after)
    assert end is not None
    assert (end.energy_wh, end.stop_reason) == (6000, StopReason.OTHER)


@pytest.mark.parametrize("power_lost", [False, True])
def test_what_flowed_while_the_agent_was_down_is_billed(power_lost: bool) -> None:
    after = restart(charging(1.0), HOUR_S, power_lost=power_lost)
    after.meter(6000.0 + 22_000.0)
    assert ended(after) is None
    assert after.evse.tx is not None
    assert after.evse.tx.last_wh == 28_000


def test_a_board_that_wakes_up_long_ago_bills_no_more_than_flows_between_two_stored_registers() -> None:
    after = restart(charging(8.0), 600.0, ClockQuality.UNKNOWN)
    read(after, 6000.0 + 50_000.0)
    assert ended(after) is not None
    after = restart(charging(1.0), 30.0, ClockQuality.UNKNOWN)
    after.meter(6000.0 + 1800.0)  # at full power since the register was stored for the last time
    assert ended(after) is None


def test_the_register_is_stored_from_time_to_time_though_no_sample_is_told() -> None:
    bench = charging(1.0, SampledDataCtrlr__TxUpdatedInterval="0")
    stored = [e for e in of(bench.effects, Remember) if e.table == "open"]
    assert 10 <= len(stored) <= 13
    after = restart(bench, 60.0)
    assert after.evse.tx is not None
    assert after.evse.tx.last_wh > 5900  # though no row of the journal tells so


def test_a_meter_swapped_while_it_was_silent_and_no_energy_could_flow_is_another_one() -> None:
    bench = charging(0.1)
    bench.feed(DeviceLost(1, "meter", "no answer"))
    bench.wait(4 * HOUR_S)
    bench.feed(DeviceFound(1, "meter"))
    read(bench, bench.wh[1] + 40_000.0)
    end = ended(bench)
    assert end is not None
    assert end.energy_wh < 5200


# --- the number of the meter ----------------------------------------------------------------------------------


def named(bench: Board, number: str) -> None:
    bench.feed(MeterNamed(1, number))


def test_another_number_ends_the_transaction_however_near_its_register_is() -> None:
    before = charging(1.0)
    named(before, "A1")
    after = restart(before, 60.0)
    named(after, "B2")
    after.meter(6100.0)
    end = ended(after)
    assert end is not None
    assert (end.energy_wh, end.stop_reason) == (6000, StopReason.OTHER)
    assert "B2" in after.evse.faults[Own.METER_REPLACED]
    assert after.evse.meter is not None


def test_another_number_after_a_silence_ends_the_transaction_with_the_last_value_of_the_old_meter() -> None:
    bench = charging(0.1)
    named(bench, "A1")
    bench.meter(5150.0)
    bench.feed(DeviceLost(1, "meter", "no answer"), DeviceFound(1, "meter"))
    named(bench, "B2")
    bench.meter(5160.0)
    end = ended(bench)
    assert end is not None
    assert end.energy_wh == 5150
    assert bench.evse.meter is not None
    assert bench.evse.meter.energy_wh == 5160.0


def test_the_same_number_is_believed_where_no_clock_tells_how_long_the_board_was_away() -> None:
    before = charging(1.0)
    named(before, "A1")
    after = restart(before, 2 * HOUR_S, ClockQuality.UNKNOWN)
    named(after, "A1")
    read(after, 6000.0 + 30_000.0)
    assert ended(after) is None
    assert after.evse.tx is not None
    assert after.evse.tx.last_wh == 36_000
    assert Own.METER_REPLACED not in after.evse.faults


def test_the_same_number_does_not_make_a_register_believed_that_goes_back() -> None:
    before = charging(1.0)
    named(before, "A1")
    after = restart(before, 60.0)
    named(after, "A1")
    read(after, 10.0)
    end = ended(after)
    assert end is not None
    assert end.energy_wh == 6000


def test_a_first_reading_that_was_wrong_is_no_new_meter() -> None:
    bench = Board()
    bench.boot()
    bench.read(Pilot.A)
    bench.meter(2500.0)
    read(bench, 5000.0, 6)
    assert bench.evse.meter is not None
    assert bench.evse.meter.energy_wh == 5000.0
    assert not bench.evse.faults
    read(bench, 99_000.0)
    assert [*bench.evse.faults] == [Own.METER_REPLACED]


def test_a_new_meter_of_an_idle_charger_is_told_as_a_warning_for_a_day() -> None:
    before = Board()
    before.ready()
    named(before, "A1")
    after = Board()
    after.restart(before)
    after.read(Pilot.A)
    named(after, "B2")
    assert [*after.evse.faults] == [Own.METER_REPLACED]
    assert not after.evse.stopped_by_fault
    again = Board()
    again.restart(after)
    again.read(Pilot.A)
    named(again, "B2")
    assert not again.evse.faults
    after.wait(25 * HOUR_S)
    assert Own.METER_REPLACED not in after.evse.faults
    assert Fault.METER not in after.evse.faults
