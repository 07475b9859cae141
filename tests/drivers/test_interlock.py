"""When a contactor may close and when it must open: each rule alone, then all of them under any story."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.api import Fault, Pilot
from drivers.interlock import Facts, Interlock, Rules

CAR = Facts(Pilot.C, locked=True, cable_a=32.0)
LOCKS = Rules(locks=True)


class Bench:
    """An interlock whose contactor does what it is told."""

    def __init__(self, rules: Rules = LOCKS, order_a: float | None = 16.0) -> None:
        self.lock = Interlock(rules)
        self.lock.order_a = order_a
        self.now = 100.0

    def step(self, after_s: float = 0.5, **facts: Any) -> tuple[float | None, bool, bool | None]:
        self.now += after_s
        return self.lock.step((CAR._replace(coil=self.lock.closed))._replace(**facts), self.now)

    def charging(self) -> Bench:
        assert self.step() == (16.0, True, True)
        return self


def test_it_closes_for_a_car_that_asks_with_an_order() -> None:
    assert Bench().step() == (16.0, True, True)


@pytest.mark.parametrize("pilot", [p for p in Pilot if p is not Pilot.C])
def test_it_never_closes_in_another_state_of_the_pilot(pilot: Pilot) -> None:
    assert not Bench().step(pilot=pilot)[1]


def test_a_car_that_wants_air_gets_power_where_there_is_a_fan() -> None:
    assert Bench(Rules(ventilation=True)).step(pilot=Pilot.D)[1]


@pytest.mark.parametrize("order_a", [0.0, 5.9, float("nan")])
def test_less_than_6_a_is_no_order(order_a: float) -> None:
    assert Bench(order_a=order_a).step() == (0.0, False, True)


@pytest.mark.parametrize(
    ("wrong", "fault"),
    [
        ({"residual": True}, Fault.GROUND),
        ({"dc_residual": True}, Fault.DC_RESIDUAL),
        ({"emergency": True}, Fault.EMERGENCY_STOP),
        ({"cable_bad": True, "cable_a": 0.0}, Fault.CABLE),
        ({"faults": (Fault.DIODE,)}, Fault.DIODE),
        ({"pilot": Pilot.UNKNOWN}, Fault.PILOT),
    ],
)
def test_a_fault_is_told_and_opens_at_once(wrong: dict[str, Any], fault: Fault) -> None:
    bench = Bench().charging()
    assert bench.step(**wrong)[:2] == (0.0, False)
    assert fault in bench.lock.faults(CAR._replace(**wrong))


def test_an_open_cover_is_told_and_stops_nothing() -> None:
    bench = Bench().charging()
    assert bench.step(cover=True) == (16.0, True, True)
    assert bench.lock.faults(CAR._replace(cover=True)) == (Fault.COVER,)


@pytest.mark.parametrize("wrong", [{"residual": True}, {"emergency": True}, {"locked": False}, {"cable_a": 0.0}])
def test_it_never_closes_on_a_fault(wrong: dict[str, Any]) -> None:
    assert Bench().step(**wrong)[:2] == (0.0, False)


def test_after_a_fault_it_stays_open_for_a_while() -> None:
    bench = Bench().charging()
    bench.step(residual=True)
    assert not bench.step(29.9)[1]
    assert bench.step(0.2)[1]


def test_a_car_that_lets_go_opens_it_at_once_and_keeps_its_offer() -> None:
    assert Bench().charging().step(pilot=Pilot.B) == (16.0, False, True)


def test_it_does_not_flutter_when_the_car_does() -> None:
    bench = Bench().charging()
    bench.step(pilot=Pilot.B)
    assert not bench.step(4.9)[1]
    assert bench.step(0.2)[1]


def test_when_the_order_ends_the_car_has_6_s_to_let_go() -> None:
    bench = Bench().charging()
    bench.lock.order_a = 0.0
    assert bench.step() == (0.0, True, True)
    assert bench.step(5.9)[1]
    assert not bench.step(0.2)[1]


def test_an_order_that_returns_in_time_goes_on_without_opening() -> None:
    bench = Bench().charging()
    bench.lock.order_a = 0.0
    bench.step()
    bench.lock.order_a = 10.0
    bench.step()
    bench.lock.order_a = 0.0
    assert bench.step(5.9) == (0.0, True, True)


def test_a_welded_contactor_is_never_trusted_again() -> None:
    bench = Bench().charging()
    bench.lock.did_not_open(bench.now)
    for pilot in (Pilot.B, Pilot.A, Pilot.C):
        assert bench.step(1000.0, pilot=pilot)[:2] == (0.0, False)
    assert Fault.CONTACTOR in bench.lock.faults(CAR)


def test_a_contactor_that_did_not_close_may_try_with_the_next_car() -> None:
    bench = Bench().charging()
    bench.lock.did_not_close(bench.now)
    assert not bench.step(1000.0)[1]
    bench.step(pilot=Pilot.A)
    assert bench.step(31.0)[1]


def test_a_lock_that_did_not_close_is_not_driven_again_until_the_plug_was_out() -> None:
    bench = Bench()
    bench.lock.lock_moved(True, False)
    assert bench.step(locked=False) == (0.0, False, None)
    bench.step(pilot=Pilot.A, locked=False)
    assert bench.step(locked=False, pilot=Pilot.B)[2] is True


def test_a_lock_that_opens_under_load_opens_the_contactor_at_once() -> None:
    assert Bench().charging().step(locked=False)[:2] == (0.0, False)


def test_a_cable_that_becomes_unreadable_is_a_fault_until_the_plug_was_out() -> None:
    bench = Bench().charging()
    bench.step(cable_a=0.0)
    assert not bench.step(1000.0)[1]
    bench.step(pilot=Pilot.A, cable_a=0.0)
    assert bench.step(31.0)[1]


@pytest.mark.parametrize("live", [{"coil": True}, {"mirror": True}])
def test_the_lock_stays_while_the_contactor_is_closed_by_any_sign(live: dict[str, Any]) -> None:
    bench = Bench(order_a=0.0)
    assert bench.step(pilot=Pilot.A, **live)[2] is None


def test_the_lock_of_a_welded_contactor_stays() -> None:
    bench = Bench(order_a=0.0)
    bench.lock.did_not_open(bench.now)
    assert bench.step(pilot=Pilot.A)[2] is None


def test_in_state_e_the_plug_is_let_go_at_once_and_in_state_f_after_five_seconds() -> None:
    assert Bench(order_a=0.0).step(pilot=Pilot.E)[2] is False
    bench = Bench(order_a=0.0)
    assert [bench.step(after_s, pilot=Pilot.F)[2] for after_s in (0.5, 4.9, 0.2)] == [None, None, False]


def test_a_moment_in_state_f_lets_nothing_go() -> None:
    bench = Bench(order_a=0.0)
    states = [bench.step(0.3, pilot=pilot)[2] for pilot in (Pilot.F, Pilot.B, Pilot.F, Pilot.B)]
    assert states == [None, True, None, True]


def test_a_lock_opened_by_hand_stays_open_until_the_plug_was_out() -> None:
    bench = Bench(order_a=0.0)
    bench.lock.unlock()
    assert [bench.step(pilot=p, locked=False)[2] for p in (Pilot.B, Pilot.A, Pilot.B)] == [False, False, True]


def test_a_contactor_found_closed_has_6_s_for_an_order_to_come() -> None:
    bench = Bench(order_a=None)
    bench.lock.adopt(True, bench.now)
    assert bench.step() == (None, True, True)
    bench.lock.order_a = 16.0
    assert bench.step(5.0) == (16.0, True, True)


def test_a_contactor_found_closed_opens_when_no_order_comes() -> None:
    bench = Bench(order_a=None)
    bench.lock.adopt(True, bench.now)
    bench.step()
    assert bench.step(6.1) == (0.0, False, True)


STORY = st.fixed_dictionaries(
    {
        "after_s": st.sampled_from([0.1, 0.5, 3.0, 40.0]),
        "order_a": st.sampled_from([0.0, 3.0, 6.0, 16.0]),
        "pilot": st.sampled_from(list(Pilot)),
        "residual": st.booleans(),
        "emergency": st.booleans(),
        "locked": st.sampled_from([True, True, False]),
        "mirror": st.booleans(),
        "cable_a": st.sampled_from([32.0, 32.0, 0.0]),
        "happens": st.sampled_from(["", "", "", "fell_off", "did_not_open", "did_not_close"]),
    }
)


@settings(max_examples=200)
@given(st.lists(STORY, max_size=30))
def test_whatever_happens_it_never_closes_wrongly_and_never_unlocks_a_live_plug(story: list[dict[str, Any]]) -> None:
    bench, was, opened_at = Bench(), False, 0.0
    for scene in story:
        happens = scene.pop("happens")
        bench.lock.order_a = scene.pop("order_a")
        if happens:
            getattr(bench.lock, happens)(bench.now)
            was, opened_at = False, bench.now if was else opened_at
        offer_a, closed, locked = bench.step(**scene)
        if closed and not was:
            assert scene["pilot"] is Pilot.C
            assert scene["locked"] and scene["cable_a"] and offer_a and offer_a >= 6.0
            assert not scene["residual"] and not scene["emergency"] and not bench.lock.welded
            assert not opened_at or bench.now - opened_at >= 5.0
        if locked is False:
            assert not closed and not scene["mirror"]
        opened_at = bench.now if was and not closed else opened_at
        was = closed
