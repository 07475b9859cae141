"""Energy against power: what a wrong meter shows within a quarter of an hour, and what a right one never does."""

from __future__ import annotations

import math

import pytest

from agent.core.events import MeterRead, MeterReplaced
from agent.core.faults import Own
from drivers.api import Measurand, Sample
from tests.blocks.helpers import Bench


def charging() -> Bench:
    bench = Bench().ready()
    bench.charge()
    return bench


STEP_S = 5


def run(bench: Bench, seconds: int, power_w: float, counts: float = 1.0, coarse_wh: float = 0.1) -> None:
    """Readings every five seconds; the register counts this part of what the power makes."""
    true_wh = bench.wh[1]
    for _ in range(0, seconds, STEP_S):
        bench.wait(STEP_S)
        true_wh += power_w * counts * STEP_S / 3600
        bench.wh[1] = true_wh
        shown_wh = math.floor(true_wh / coarse_wh) * coarse_wh
        energy = Sample(Measurand.ENERGY_ACTIVE_IMPORT_REGISTER, max(shown_wh, 5000.0))
        bench.feed(MeterRead(1, (energy, Sample(Measurand.POWER_ACTIVE_IMPORT, power_w))))


@pytest.mark.parametrize("counts", [0.0, 0.5, 1.5])
def test_a_register_that_does_not_count_what_flows_is_told_and_stops_nothing(counts: float) -> None:
    bench = charging()
    run(bench, 1900, 11_000.0, counts)
    assert list(bench.evse.faults) == [Own.METER_IMPLAUSIBLE]
    assert bench.evse.offer_a == 32.0


def test_it_is_over_with_a_quarter_of_an_hour_that_fits() -> None:
    bench = charging()
    run(bench, 1900, 11_000.0, 0.0)
    run(bench, 1900, 11_000.0)
    assert bench.evse.faults == {}


@pytest.mark.parametrize("coarse_wh", [0.1, 1.0, 10.0, 100.0])
@pytest.mark.parametrize("power_w", [50.0, 1400.0, 11_000.0, 22_000.0])
def test_an_honest_meter_is_believed_however_coarse_it_is(power_w: float, coarse_wh: float) -> None:
    bench = charging()
    run(bench, 7200, power_w, coarse_wh=coarse_wh)
    assert bench.evse.faults == {}


def test_a_pause_of_the_readings_is_not_judged() -> None:
    bench = charging()
    for _ in range(40):
        run(bench, 60, 11_000.0)
        bench.wait(60)
        bench.wh[1] += 11_000.0 / 60
    assert bench.evse.faults == {}


def test_a_new_meter_begins_anew() -> None:
    bench = charging()
    run(bench, 600, 11_000.0, 0.0)
    bench.feed(MeterReplaced(1))
    run(bench, 600, 11_000.0)
    assert Own.METER_IMPLAUSIBLE not in bench.evse.faults
