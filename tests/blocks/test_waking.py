"""Cars that sleep through an offer are woken, a few times; those that have their reasons are left alone."""

from __future__ import annotations

import pytest

from agent.core.effects import WakeCar
from agent.core.phases import WakeUp
from agent.core.requests import AvailabilityRequested, Ref
from drivers.api import Pilot
from tests.blocks.helpers import Bench, of

REF = Ref("1", "x")


def bench(rule: WakeUp | None = WakeUp(90.0, 2)) -> Bench:  # noqa: B008  frozen
    return Bench(wake_up=rule).ready()


def limit(b: Bench, amps: float) -> None:
    b.station.facts.station_max_a = amps
    b.wait(0.1)
    b.meter()


def paused(b: Bench, seconds: float = 60.0) -> None:
    """The car charges, and has to stop for the sake of the supply."""
    b.charge()
    limit(b, 0.0)
    b.read(Pilot.B)
    b.wait(seconds)
    limit(b, 16.0)
    assert b.evse.offer_a == 16.0


def woken(b: Bench, seconds: float) -> int:
    return len(of(b.wait(seconds), WakeCar))


def test_a_car_that_does_not_notice_the_end_of_a_pause_is_woken_after_its_time() -> None:
    b = bench()
    paused(b)
    assert [woken(b, 89), woken(b, 2)] == [0, 1]


def test_it_is_tried_again_and_then_given_up() -> None:
    b = bench()
    paused(b)
    assert [woken(b, 91), woken(b, 90), woken(b, 3600)] == [1, 1, 0]


def test_a_car_that_asks_again_is_awake() -> None:
    b = bench()
    paused(b)
    b.wait(60)
    b.read(Pilot.C)
    assert woken(b, 600) == 0


def test_a_car_that_waited_long_for_its_first_offer_is_woken() -> None:
    b = bench()
    b.read(Pilot.B)
    b.wait(3600)
    b.tap()
    assert woken(b, 91) == 1


def test_a_car_that_gets_its_offer_at_once_has_its_own_reasons_to_wait() -> None:
    b = bench()
    b.read(Pilot.B)
    b.wait(20)
    b.tap()
    assert woken(b, 3600) == 0


def test_a_full_car_is_left_alone() -> None:
    b = bench()
    b.charge()
    b.read(Pilot.B)
    b.wait(60)
    limit(b, 0.0)
    b.wait(60)
    limit(b, 16.0)
    assert woken(b, 3600) == 0


def test_an_offer_that_is_taken_back_wakes_nobody() -> None:
    b = bench()
    paused(b)
    b.wait(60)
    limit(b, 0.0)
    assert woken(b, 3600) == 0


def test_a_car_that_leaves_is_not_woken() -> None:
    b = bench()
    paused(b)
    b.read(Pilot.A)
    assert woken(b, 3600) == 0


def test_one_car_is_woken_ten_times_at_most() -> None:
    b = bench(WakeUp(30.0, 5))
    b.charge()
    count = 0
    for _ in range(6):
        limit(b, 0.0)
        b.read(Pilot.B)
        b.wait(60)
        limit(b, 16.0)
        count += woken(b, 300)
        b.read(Pilot.C)
    assert count == 10


@pytest.mark.parametrize("rule", [None])
def test_without_its_table_nobody_is_woken(rule: WakeUp | None) -> None:
    b = bench(rule)
    paused(b)
    assert woken(b, 3600) == 0


def test_out_of_service_wakes_nobody() -> None:
    b = bench()
    paused(b)
    b.feed(AvailabilityRequested(REF, False))
    b.tap()
    b.meter()
    assert woken(b, 3600) == 0
