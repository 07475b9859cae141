"""Less and less current as it gets hotter, a fault when it is too hot, and no flicker on the way back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.blocks.heat import Heat, allowed
from agent.core.derating import Curve
from agent.core.effects import Note
from agent.core.events import MeterRead
from agent.core.record import replace
from drivers.api import Fault, Measurand, Pilot, Sample
from tests.blocks.helpers import Bench, of, offers

CURVE = Curve(60.0, 73.0, 80.0)  # 2 A for each degree


def hot(bench: Bench, celsius: float) -> list[float]:
    """The meter tells this temperature; what is offered for it."""
    bench.wait(1)
    samples = (
        Sample(Measurand.ENERGY_ACTIVE_IMPORT_REGISTER, bench.wh[1]),
        Sample(Measurand.POWER_ACTIVE_IMPORT, 7000.0 + bench.mono % 7),
        Sample(Measurand.TEMPERATURE, celsius),
    )
    return offers(bench.feed(MeterRead(1, samples)))


def charging(curve: Curve | None = CURVE) -> Bench:
    bench = Bench()
    bench.evse.limits = replace(bench.evse.limits, derating=curve)
    bench.ready()
    bench.charge()
    return bench


@pytest.mark.parametrize(
    ("celsius", "limit_a"),
    [(-20.0, None), (60.0, None), (60.5, 31.0), (61.0, 30.0), (66.5, 19.0), (72.9, 6.0), (73.0, 6.0), (79.0, 6.0)],
)
def test_the_curve(celsius: float, limit_a: float | None) -> None:
    assert allowed(CURVE, 32.0, celsius) == limit_a


@given(st.floats(-60, 200), st.floats(-60, 200), st.floats(6, 80))
def test_hotter_is_never_more_and_never_between_nothing_and_six(one_c: float, other_c: float, max_a: float) -> None:
    cool, warm = (allowed(CURVE, max_a, c) for c in sorted((one_c, other_c)))
    assert (max_a if warm is None else warm) <= (max_a if cool is None else cool)
    assert warm is None or 6.0 <= warm <= max_a


def test_the_offer_falls_with_the_heat_and_says_why() -> None:
    bench = charging()
    assert hot(bench, 66.5) == [19.0]
    assert bench.evse.explanation == "19 A: the temperature (below the hardware's limit 32 A, the cable's rating 32 A)"


def test_it_rises_only_when_it_is_two_degrees_cooler() -> None:
    bench = charging()
    hot(bench, 66.5)
    assert [hot(bench, celsius) for celsius in (66.0, 65.5, 65.0, 66.5, 64.6)] == [[], [], [], [], []]
    assert hot(bench, 63.5) == [21.0]


def test_too_hot_is_a_fault_until_it_has_cooled_down() -> None:
    bench = charging()
    assert hot(bench, 80.0) == [0.0]
    assert list(bench.evse.faults) == [Fault.OVER_TEMPERATURE]
    hot(bench, 74.0)
    assert list(bench.evse.faults) == [Fault.OVER_TEMPERATURE]
    hot(bench, 73.0)
    assert bench.evse.faults == {}
    assert offers(bench.wait(31)) == [6.0]
    hot(bench, 20.0)
    assert bench.evse.offer_a == 32.0


@pytest.mark.parametrize("nonsense", [850.0, -273.0, float("nan"), float("inf")])
def test_what_no_sensor_can_tell_counts_for_nothing(nonsense: float) -> None:
    bench = charging()
    assert hot(bench, nonsense) == []
    assert bench.evse.faults == {}


def test_what_is_felt_is_kept_between_the_readings_that_tell_it() -> None:
    bench = charging()
    hot(bench, 66.5)
    bench.wait(1)
    bench.meter(power_w=7000.0)
    assert bench.station.block(Heat).felt(1) == (66.5, 19.0)


def test_without_a_curve_the_heat_is_the_controllers_own_affair() -> None:
    bench = charging(None)
    assert hot(bench, 120.0) == []
    assert bench.evse.faults == {}


def test_a_curve_without_a_thermometer_is_told_once() -> None:
    bench = charging()
    for _ in range(60):
        bench.wait(1)
        bench.meter(power_w=7000.0)
    assert len([note for note in of(bench.effects, Note) if note.code == "DeratingBlind"]) == 1


def test_a_sensor_that_fails_is_told_once_and_what_it_told_last_goes_on_counting() -> None:
    bench = charging()
    hot(bench, 66.5)
    for _ in range(130):
        bench.wait(10)
        bench.meter(power_w=7000.0)
    assert [note.text for note in of(bench.effects, Note) if note.code == "DeratingBlind"] == [
        "EVSE 1: its meter tells no temperature any more; 66 C was the last"
    ]
    assert bench.evse.offer_a == 19.0
    hot(bench, 40.0)
    assert bench.evse.offer_a == 32.0


def test_the_hotter_of_controller_and_meter_counts() -> None:
    bench = charging()
    hot(bench, 61.0)
    bench.read(Pilot.C, temperature_c=70.0)
    assert bench.evse.offer_a == 12.0
    hot(bench, 72.0)
    assert bench.evse.offer_a == 8.0
