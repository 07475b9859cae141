"""Which readings are believed, and which are told."""

from __future__ import annotations

import pytest

from agent.blocks.sampling import Sampling
from agent.core.effects import Ask, MeterReport, Note, Remember
from agent.core.events import MeterRead
from agent.core.faults import Own
from agent.core.requests import Ref, VariablesSetRequested, VariableWrite
from agent.core.types import Context, StopReason, Trigger, TxKind, VariableId
from drivers.api import Measurand, Pilot, Sample
from tests.blocks.helpers import Bench, of


def periodic(bench: Bench) -> list[float]:
    """When periodic samples were told."""
    return [event.at.mono for event in bench.journal if event.trigger is Trigger.METER_VALUE_PERIODIC]


def run(bench: Bench, seconds: int, step_wh: float = 2.0) -> None:
    """Charge for that long with a reading a second."""
    for _ in range(seconds):
        bench.wait(1)
        bench.meter(bench.wh[1] + step_wh, 7000.0)


def test_samples_follow_the_interval_from_the_start() -> None:
    bench = Bench(SampledDataCtrlr__TxUpdatedInterval="10").ready()
    bench.charge()
    began = bench.journal[0].at.mono
    run(bench, 35)
    assert [at - began for at in periodic(bench)] == [10, 20, 30]


def test_a_sample_carries_the_time_of_its_reading_and_is_told_once() -> None:
    bench = Bench(SampledDataCtrlr__TxUpdatedInterval="10").ready()
    bench.charge()
    run(bench, 4)
    read_at = bench.mono
    bench.wait(30)
    told = [event for event in bench.journal if event.trigger is Trigger.METER_VALUE_PERIODIC]
    assert [event.readings[0].at.mono for event in told] == [read_at]


def test_only_the_chosen_measurands_are_told() -> None:
    bench = Bench(
        SampledDataCtrlr__TxUpdatedInterval="5", SampledDataCtrlr__TxUpdatedMeasurands="Power.Active.Import"
    ).ready()
    bench.charge()
    run(bench, 6)
    (told,) = [event for event in bench.journal if event.trigger is Trigger.METER_VALUE_PERIODIC]
    assert {sample.measurand for sample in told.readings[0].samples} == {Measurand.POWER_ACTIVE_IMPORT}


def test_the_current_on_offer_can_be_told_though_no_meter_knows_it() -> None:
    bench = Bench(
        SampledDataCtrlr__TxUpdatedInterval="5", SampledDataCtrlr__TxUpdatedMeasurands="Current.Offered"
    ).ready()
    bench.charge()
    run(bench, 6)
    (told,) = [event for event in bench.journal if event.trigger is Trigger.METER_VALUE_PERIODIC]
    assert told.readings[0].samples == (Sample(Measurand.CURRENT_OFFERED, 32.0),)


def test_an_interval_of_zero_tells_nothing() -> None:
    bench = Bench(SampledDataCtrlr__TxUpdatedInterval="0").ready()
    bench.charge()
    run(bench, 200)
    assert periodic(bench) == []


def test_a_new_interval_counts_from_now() -> None:
    bench = Bench(SampledDataCtrlr__TxUpdatedInterval="600").ready()
    bench.charge()
    interval = VariableId("SampledDataCtrlr", "TxUpdatedInterval")
    bench.feed(VariablesSetRequested(Ref("1", "x"), (VariableWrite(interval, "5"),)))
    run(bench, 11)
    assert len(periodic(bench)) == 2


def test_aligned_values_come_at_full_multiples_of_their_interval() -> None:
    bench = Bench(AlignedDataCtrlr__Interval="900", SampledDataCtrlr__TxUpdatedInterval="0").ready()
    bench.utc += 100
    bench.charge()
    run(bench, 1000, 0.1)
    aligned = [event for event in bench.journal if event.trigger is Trigger.METER_VALUE_CLOCK]
    assert [round(event.at.utc) % 900 for event in aligned] == [0]
    assert aligned[0].readings[0].context is Context.CLOCK


@pytest.mark.parametrize(("interval_s", "seconds"), [(7000, [7000, 84000]), (3600, [3600, 7200]), (86400, [86400])])
def test_aligned_intervals_begin_at_midnight_each_day(interval_s: int, seconds: list[int]) -> None:
    bench = Bench(AlignedDataCtrlr__Interval=str(interval_s)).ready()
    bench.utc -= bench.utc % 86400  # midnight
    midnight = bench.utc
    told: list[int] = []
    while bench.utc < midnight + 2 * 86400 - 1:
        bench.meter()
        at = bench.station.next_deadline()
        assert at is not None
        if any(isinstance(ask.call, MeterReport) for ask in of(bench.wait(at - bench.mono), Ask)):
            told.append(round(bench.utc - midnight))
    expected = [day * 86400 + n for day in (0, 1) for n in (*range(interval_s, 86400, interval_s), 86400)]
    assert set(seconds) <= set(told)
    assert told == expected


def test_aligned_values_of_an_idle_evse_are_a_message_of_their_own() -> None:
    bench = Bench(AlignedDataCtrlr__Interval="900").ready()
    bench.wait(900)
    bench.meter()
    bench.wait(900)
    reports = [ask.call for ask in of(bench.effects, Ask) if isinstance(ask.call, MeterReport)]
    assert [report.evse for report in reports] == [1, 1]


def test_the_end_tells_begin_kept_and_end_readings() -> None:
    bench = Bench(SampledDataCtrlr__TxEndedInterval="10", SampledDataCtrlr__TxUpdatedInterval="0").ready()
    bench.charge()
    run(bench, 25)
    bench.read(Pilot.A)
    run(bench, 2, 0.0)
    ended = bench.journal[-1]
    assert [reading.context for reading in ended.readings] == [
        Context.BEGIN,
        Context.PERIODIC,
        Context.PERIODIC,
        Context.END,
    ]


@pytest.mark.parametrize("key", ["SampledDataCtrlr", "AlignedDataCtrlr"])
def test_all_that_is_kept_is_told_at_both_ends_and_the_current_on_offer_too(key: str) -> None:
    """Errata 3.14."""
    variables = {"SampledDataCtrlr__TxEndedMeasurands": "", "AlignedDataCtrlr__TxEndedMeasurands": ""}
    variables |= {f"{key}__TxEndedMeasurands": "Current.Offered", f"{key}__TxEndedInterval": "10"}
    bench = Bench(**variables).ready()  # type: ignore[arg-type]
    bench.charge()
    run(bench, 15)
    bench.read(Pilot.A)
    run(bench, 2, 0.0)
    told = [(reading.context, [s.value for s in reading.samples]) for reading in bench.journal[-1].readings]
    kept = Context.PERIODIC if key == "SampledDataCtrlr" else Context.CLOCK
    assert told[0] == (Context.BEGIN, [0.0]) and told[-1] == (Context.END, [0.0])
    assert set(map(str, told[1:-1])) == {str((kept, [32.0]))}


def test_a_reading_that_is_both_periodic_and_aligned_is_kept_as_both() -> None:
    bench = Bench(
        SampledDataCtrlr__TxEndedInterval="10",
        AlignedDataCtrlr__TxEndedInterval="10",
        AlignedDataCtrlr__TxEndedMeasurands="Energy.Active.Import.Register",
    ).ready()
    bench.charge()
    tx = bench.evse.tx
    assert tx is not None and tx.started_at.utc % 10 == 0
    run(bench, 25)
    kept = [(reading.at.utc - tx.started_at.utc, reading.context) for _number, reading in tx.kept]
    both = (Context.CLOCK, Context.PERIODIC)
    assert sorted(kept) == [(moment, context) for moment in (9.0, 19.0) for context in both]


def test_kept_readings_survive_a_restart_and_are_forgotten_with_the_transaction() -> None:
    bench = Bench(SampledDataCtrlr__TxEndedInterval="10").ready()
    bench.charge()
    run(bench, 25)
    kept = [effect.key for effect in of(bench.effects, Remember) if effect.table == "ended_samples"]
    assert kept == ["t-1-1/1", "t-1-1/2"]


def test_kept_readings_are_thinned_but_never_the_first_or_last() -> None:
    bench = Bench(SampledDataCtrlr__TxEndedInterval="1", SampledDataCtrlr__TxUpdatedInterval="0").ready()
    bench.charge()
    first = bench.mono
    run(bench, 1200)
    last = bench.mono
    bench.read(Pilot.A)
    run(bench, 3, 0.0)
    ended = bench.journal[-1]
    assert len(ended.readings) <= 500
    assert ended.readings[1].at.mono <= first + 2
    assert ended.readings[-2].at.mono >= last - 1


def test_a_register_that_leaps_once_is_not_believed() -> None:
    bench = Bench().ready()
    bench.charge()
    bench.meter(900_000.0)
    bench.wait(1)
    bench.meter(5002.0)
    assert bench.evse.meter is not None
    assert bench.evse.meter.energy_wh == 5002.0


def test_a_register_that_goes_back_once_is_not_believed() -> None:
    bench = Bench().ready()
    bench.charge()
    bench.meter(0.0)
    assert bench.evse.meter is not None
    assert bench.evse.meter.energy_wh == 5000.0
    assert [note.code for note in of(bench.effects, Note) if note.level == "warning"] == ["MeterDoubted"]


def test_a_register_that_creeps_backwards_is_found_out_however_often_it_is_read() -> None:
    bench = Bench().ready()
    bench.charge()
    for read in range(1, 11):
        bench.wait(0.25)
        bench.meter(5000.0 - 0.3 * read)
    assert bench.evse.tx is None or bench.evse.tx.stop is not None
    assert bench.evse.faults == {Own.METER_REPLACED: "its register went back for good"}


@pytest.mark.parametrize("step_wh", [-0.3, -2.0, 3000.0])
def test_a_register_that_leaps_all_day_is_warned_of_three_times(step_wh: float) -> None:
    bench = Bench().ready()
    for read in range(300):
        bench.wait(1)
        bench.meter(5000.0 + step_wh * read)
    warnings = [note.code for note in of(bench.effects, Note) if note.level == "warning"]
    assert len([code for code in warnings if code.startswith("Meter")]) == 3
    assert warnings.count("FaultRaised") == 1


def test_a_new_meter_ends_the_transaction_with_the_old_ones_last_value() -> None:
    bench = Bench().ready()
    bench.charge()
    run(bench, 5)
    for _ in range(3):
        bench.wait(1)
        bench.meter(17.0)
    ended = bench.journal[-1]
    assert (ended.kind, ended.energy_wh, ended.stop_reason) == (TxKind.ENDED, 5010, StopReason.OTHER)
    assert bench.evse.meter is not None
    assert bench.evse.meter.energy_wh == 17.0


def test_a_reading_without_the_register_is_no_reading() -> None:
    bench = Bench().ready()
    bench.feed(MeterRead(1, (Sample(Measurand.VOLTAGE, 230.0),)))
    assert bench.evse.meter is not None
    assert bench.evse.meter.energy_wh == 5000.0


def test_an_ev_that_draws_nothing_for_ten_seconds_has_paused() -> None:
    bench = Bench().ready()
    bench.charge()
    for _ in range(11):
        bench.wait(1)
        bench.meter(power_w=5.0)
    assert bench.journal[-1].charging_state == "SuspendedEV"


def test_a_sample_is_the_first_reading_from_its_moment_on() -> None:
    bench = Bench(SampledDataCtrlr__TxUpdatedInterval="10").ready()
    bench.charge()
    began = bench.journal[0].at.mono
    bench.wait(0.4)
    run(bench, 22)
    told = [event for event in bench.journal if event.trigger is Trigger.METER_VALUE_PERIODIC]
    assert [event.at.mono - began for event in told] == pytest.approx([10.4, 20.4])
    assert all(event.readings[0].at == event.at for event in told)


def test_all_that_a_meter_has_is_wanted_in_time_for_a_sample_and_not_every_second() -> None:
    bench = Bench(SampledDataCtrlr__TxUpdatedInterval="60").ready()
    sampling = bench.station.block(Sampling)
    assert not sampling.wants_all(1, bench.mono)
    bench.charge()
    began, wanted = bench.journal[0].at.mono, []
    for _ in range(121):
        wanted += [bench.mono - began] if sampling.wants_all(1, bench.mono) else []
        run(bench, 1)
    assert wanted == [59, 119]


def test_of_samples_each_second_one_in_ten_holds_all_that_a_meter_has() -> None:
    bench = Bench(SampledDataCtrlr__TxUpdatedInterval="1").ready()
    sampling = bench.station.block(Sampling)
    bench.charge()
    wanted = 0
    for _ in range(100):
        wanted += sampling.wants_all(1, bench.mono)
        run(bench, 1)
    assert 9 <= wanted <= 12
