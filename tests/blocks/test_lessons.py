"""Complaints about charge points in the field, each with the test that ours cannot earn it. The table is in
tests/conformance/README.md; most lessons are tested where their part is.
"""

from __future__ import annotations

import pytest

from agent.core.effects import Ask, Effect, MeterReport, Reply, Status, Unlock
from agent.core.events import DeviceLost
from agent.core.requests import Ref, TriggerRequested, UnlockRequested
from agent.core.types import ClockQuality, Instant, Trigger, TxKind
from drivers.api import Pilot
from tests.blocks.helpers import Bench, of

REF = Ref("1", "x")


def statuses(effects: list[Effect], evse: int = 1) -> list[str]:
    return [str(a.call.status) for a in of(effects, Ask) if isinstance(a.call, Status) and a.call.evse == evse]


class Dateless(Bench):
    """A board whose clock nobody has set yet."""

    known = False

    @property
    def now(self) -> Instant:
        quality = ClockQuality.SYNCED if self.known else ClockQuality.UNKNOWN
        return Instant(self.mono, self.utc if self.known else self.mono, quality, "boot-1")


def test_lesson_14_without_a_clock_nothing_is_aligned_and_with_one_it_is() -> None:
    bench = Dateless(AlignedDataCtrlr__Interval="60")
    bench.ready()
    assert not any(isinstance(ask.call, MeterReport) for ask in of(bench.wait(600), Ask))
    bench.known = True
    bench.meter()
    told = [ask.call for ask in of(bench.wait(60), Ask) if isinstance(ask.call, MeterReport)]
    assert len(told) == 1


@pytest.mark.parametrize("pilot", [Pilot.A, Pilot.B, Pilot.F])
def test_lesson_16_nothing_is_told_before_the_hardware_was_read(pilot: Pilot) -> None:
    bench = Bench()
    bench.boot()
    bench.online()
    bench.wait(5)
    assert statuses(bench.effects, 0) + statuses(bench.effects) == []
    told = statuses(bench.read(pilot))
    assert told == [{Pilot.A: "Available", Pilot.B: "Preparing", Pilot.F: "Faulted"}[pilot]]


def test_lesson_16_out_of_service_and_a_dead_controller_are_never_told_available() -> None:
    bench = Bench(2)
    bench.boot(availability={"1": False})
    bench.online()
    bench.feed(DeviceLost(2, "controller", "no answer"))
    bench.read(Pilot.A, 1)
    bench.wait(5)
    assert statuses(bench.effects, 1) == ["Unavailable"]
    assert statuses(bench.effects, 2) == ["Faulted"]


def test_lesson_24_a_reading_keeps_its_time_and_an_old_one_is_not_told() -> None:
    bench = Bench(SampledDataCtrlr__TxUpdatedInterval="10").ready()
    bench.charge()
    bench.wait(1)
    bench.meter(5010, 7000.0)
    read_at = bench.mono
    bench.wait(60)  # the meter says nothing more
    told = [event for event in bench.journal if event.trigger is Trigger.METER_VALUE_PERIODIC]
    assert [event.readings[0].at.mono for event in told] == [read_at]


def test_lesson_24_a_triggered_reading_keeps_its_time() -> None:
    bench = Bench().ready()
    read_at = bench.mono
    bench.wait(100)
    (ask,) = of(bench.feed(TriggerRequested(REF, "SampledValues", 1)), Ask)
    assert isinstance(ask.call, MeterReport)
    assert ask.call.readings[0].at.mono == read_at


def test_lesson_25_both_ends_tell_the_lifetime_register() -> None:
    bench = Bench().ready()
    bench.wh[1] = 123_456.0
    bench.wait(10_000_000)  # so much may have flowed since the meter was read last
    bench.meter()
    bench.charge()
    bench.wait(60)
    bench.meter(123_500, 7000.0)
    bench.read(Pilot.A)
    bench.wait(1.5)
    bench.meter()
    first, last = bench.journal[0], bench.journal[-1]
    assert (first.kind, first.energy_wh, last.kind, last.energy_wh) == (TxKind.STARTED, 123_456, TxKind.ENDED, 123_500)


def test_lesson_30_the_cable_is_freed_only_after_the_power_is_off() -> None:
    bench = Bench(TxCtrlr__StopTxOnUnlock="true").ready()
    bench.charge()
    asked = bench.feed(UnlockRequested(REF, 1))
    assert (of(asked, Unlock), of(asked, Reply)) == ([], [])
    assert of(bench.read(Pilot.C, contactor=True), Unlock) == []
    bench.read(Pilot.B, contactor=False)
    bench.wait(1.5)
    assert of(bench.meter(), Unlock) == [Unlock(1)]
