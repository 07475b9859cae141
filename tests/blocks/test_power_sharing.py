"""What is offered where several limits meet: shares of a supply, derating, pauses that last, and the words for it."""

from __future__ import annotations

import pytest

from agent.blocks.shares import divide, offer
from agent.core.derating import Derated
from agent.core.effects import Offer
from agent.core.events import DeviceFound, DeviceLost
from agent.core.faults import Own
from agent.core.profile import Kind, Period, Profile, Purpose
from agent.core.record import replace
from agent.core.requests import ProfileClearRequested, ProfileSetRequested, Ref
from drivers.api import Fault, IdToken, Pilot
from tests.blocks.helpers import Bench, of, offers

REF = Ref("1", "any")
START = 1_800_000_000.0
STATION = Profile(3, 0, Purpose.STATION_MAX, Kind.ABSOLUTE, "A", (Period(0, 32.0),), start=START)
DEFAULT = replace(STATION, id=7, stack_level=3, purpose=Purpose.TX_DEFAULT, periods=(Period(0, 13.0),))


def charging(evses: int = 1, **variables: str) -> Bench:
    """A car at each EVSE, that came in the order of their numbers."""
    bench = Bench(evses=evses, **variables).ready()  # type: ignore[arg-type]
    for n in range(1, evses + 1):
        bench.mono += 60
        bench.utc += 60
        bench.tap(IdToken(f"CARD{n}"), evses=(n,))
        bench.read(Pilot.B, n)
        bench.read(Pilot.C, n)
        bench.meter(evse=n, power_w=7000.0)
    bench.effects.clear()
    return bench


def limit_all(bench: Bench, amps: float) -> None:
    bench.feed(ProfileSetRequested(REF, 0, replace(STATION, periods=(Period(0, amps),))))


def limit_one(bench: Bench, amps: float, evse: int = 1) -> None:
    bench.feed(ProfileSetRequested(REF, evse, replace(DEFAULT, id=6 + evse, periods=(Period(0, amps),))))


def offered(bench: Bench) -> list[float]:
    return [evse.offer_a for evse in bench.station.facts.evses.values()]


# --- shares ---


@pytest.mark.parametrize(
    ("total_a", "wants", "shares"),
    [
        (32, [32], [32]),
        (32, [32, 32], [16, 16]),
        (32, [10, 32], [10, 22]),
        (32, [32, 10], [22, 10]),
        (10, [32, 32], [10, 0]),
        (12, [32, 32], [6, 6]),
        (20, [32, 32, 32, 32], [20 / 3, 20 / 3, 20 / 3, 0]),
        (5, [32, 32], [5, 0]),
        (0, [32, 32], [0, 0]),
        (32, [5, 32], [5, 32]),  # who may not even take 6 A takes nothing
        (40, [], []),
    ],
)
def test_a_supply_is_divided_by_rule(total_a: float, wants: list[float], shares: list[float]) -> None:
    assert divide(total_a, wants) == pytest.approx(shares)


def test_a_station_profile_is_shared_by_those_who_charge() -> None:
    bench = charging(2)
    limit_all(bench, 32)
    assert offered(bench) == [16, 16]


def test_a_station_profile_too_small_for_two_lets_the_first_charge() -> None:
    bench = charging(2)
    limit_all(bench, 10)
    assert offered(bench) == [10, 0]


def test_who_came_first_is_who_was_authorized_first_whatever_the_number() -> None:
    bench = Bench(evses=2).ready()
    for n in (2, 1):
        bench.mono += 60
        bench.tap(IdToken(f"CARD{n}"), evses=(n,))
        bench.read(Pilot.B, n)
    limit_all(bench, 10)
    assert offered(bench) == [0, 10]


def test_when_the_first_leaves_the_one_who_waits_charges() -> None:
    bench = charging(2, SmartChargingCtrlr__PauseMinimum="0")
    limit_all(bench, 10)
    bench.read(Pilot.A, 1)
    assert offered(bench) == [0, 10]


def test_a_full_car_keeps_a_supply_that_is_too_small_for_two_for_ten_minutes_and_no_longer() -> None:
    bench = charging(2, SmartChargingCtrlr__PauseMinimum="0")
    limit_all(bench, 10)
    bench.read(Pilot.B, 1)
    bench.wait(599)
    assert offered(bench) == [10, 0]
    bench.wait(1)
    assert offered(bench) == [0, 10]


def test_a_car_that_draws_keeps_its_turn_for_as_long_as_it_draws() -> None:
    bench = charging(2)
    limit_all(bench, 10)
    bench.wait(7200)
    assert offered(bench) == [10, 0]


def test_two_full_cars_take_turns_until_one_draws() -> None:
    bench = charging(2, SmartChargingCtrlr__PauseMinimum="0")
    limit_all(bench, 10)
    for n in (1, 2):
        bench.read(Pilot.B, n)
    seen = []
    for _ in range(4):
        seen.append(offered(bench))
        bench.wait(600)
    assert seen == [[10, 0], [0, 10], [10, 0], [0, 10]]
    bench.read(Pilot.C, 1)
    bench.wait(7200)
    assert offered(bench) == [10, 0]


def test_nobody_takes_turns_where_there_is_enough_for_all() -> None:
    bench = charging(2)
    limit_all(bench, 12)
    bench.read(Pilot.B, 1)
    assert offers(bench.wait(7200)) == []
    assert offered(bench) == [6, 6]


def test_what_one_may_not_take_is_offered_to_the_other() -> None:
    bench = charging(2)
    limit_all(bench, 32)
    limit_one(bench, 8)
    bench.wait(5)
    assert offered(bench) == [8, 24]


def test_supply_and_station_profile_limit_together_by_the_lower() -> None:
    bench = charging(2)
    bench.station.facts.station_max_a = 20.0
    limit_all(bench, 32)
    assert offered(bench) == [10, 10]


def test_what_becomes_less_is_ordered_before_what_becomes_more() -> None:
    bench = charging(2)
    limit_all(bench, 32)
    limit_one(bench, 24, 1)
    limit_one(bench, 8, 2)
    bench.wait(5)
    assert offered(bench) == [24, 8]
    bench.effects.clear()
    limit_one(bench, 20, 2)
    bench.wait(5)
    assert [(order.evse, order.current_a) for order in of(bench.effects, Offer)] == [(1, 16.0), (2, 16.0)]


def followed(amps: float = 20.0) -> Bench:
    """Two share 40 A and draw it all; then the first one may take no more than this."""
    bench = charging(2)
    limit_all(bench, 40)
    bench.wait(6)
    for n in (1, 2):
        bench.meter(power_w=13_000.0, evse=n)
    assert offered(bench) == [20, 20]
    limit_one(bench, amps)
    return bench


def test_nobody_gets_more_before_the_car_that_gets_less_has_had_its_time_to_follow() -> None:
    bench = followed(8)
    assert offered(bench) == [8, 20]
    words = bench.station.facts.evses[2].explanation
    assert words.startswith("20 A: the supply, until another car has followed its lower offer")
    bench.wait(4.9)
    assert offered(bench) == [8, 20]
    bench.wait(0.1)
    assert offered(bench) == [8, 32]


@pytest.mark.parametrize(("power_w", "second_a"), [(13_000.0, 20.0), (1_700.0, 32.0)])
def test_a_meter_that_sees_the_lower_offer_ends_the_waiting(power_w: float, second_a: float) -> None:
    bench = followed(8)
    bench.wait(1)
    bench.meter(power_w=power_w)
    assert offered(bench) == [8, second_a]


def test_a_car_that_ignores_its_lower_offer_keeps_its_share_until_it_obeys() -> None:
    bench = followed(8)
    for power_w, second_a in [(13_000.0, 20.0)] * 8 + [(5_500.0, 32.0)]:
        bench.wait(1)
        bench.meter(power_w=power_w)
        assert offered(bench) == [8, second_a]


def test_a_car_that_never_obeys_loses_its_power_before_another_gets_its_share() -> None:
    bench = followed(8)
    for second in range(30):
        bench.wait(1)
        bench.meter(power_w=13_000.0 + second % 2)
        assert offered(bench)[1] == 20
    assert (offered(bench)[0], *bench.evse.faults) == (0, Fault.OVER_CURRENT)
    bench.read(Pilot.C, contactor=False)
    bench.meter(power_w=0.0)
    assert offered(bench)[1] == 32


def test_an_open_contactor_ends_the_waiting() -> None:
    bench = followed(0)
    bench.wait(1)
    assert offered(bench) == [0, 20]
    bench.read(Pilot.C, contactor=False)
    assert offered(bench) == [0, 32]


def test_a_car_that_has_gone_behind_a_welded_contactor_holds_nothing_until_current_flows() -> None:
    bench = followed(0)
    bench.read(Pilot.A, contactor=True)
    bench.wait(20)
    bench.meter(power_w=0.0)
    assert offered(bench) == [0, 32]
    bench.meter(power_w=4_000.0)
    assert offered(bench) == [0, 20]


def test_the_share_of_a_contactor_that_stays_closed_with_current_is_nobody_elses() -> None:
    bench = followed(20)
    for _ in range(60):
        bench.read(Pilot.A, contactor=True)
        bench.meter(power_w=13_000.0)
        bench.wait(1)
    assert Own.CONTACTOR_WELDED in bench.evse.faults
    assert offered(bench) == [0, 20]
    assert "20 A of it held for a contactor that does not open" in bench.station.facts.evses[2].explanation


def test_who_is_lowered_and_may_have_more_at_once_waits_for_the_others_too() -> None:
    bench = charging(2)
    limit_all(bench, 32)
    limit_one(bench, 8, 2)
    bench.wait(4.9)
    assert offered(bench) == [16, 8]


def test_a_supply_that_is_shared_no_more_leaves_no_deadline_behind() -> None:
    bench = followed(8)
    bench.feed(ProfileClearRequested(REF, STATION.id))
    assert offered(bench) == [8, 32]
    bench.wait(6)
    assert (bench.station.next_deadline() or bench.mono + 1) > bench.mono


def test_where_nothing_is_shared_nobody_waits() -> None:
    bench = charging(2)
    limit_one(bench, 16, 2)
    limit_one(bench, 8, 1)
    limit_one(bench, 32, 2)
    assert offered(bench) == [8, 32]


def silent(seconds: float, power_w: float) -> Bench:
    """Two share 32 A, then the first one's controller answers no more, and its meter sees this power."""
    bench = charging(2)
    limit_all(bench, 32)
    bench.feed(DeviceLost(1, "controller", "no answer"))
    for _ in range(int(seconds)):
        bench.wait(1)
        bench.meter(power_w=power_w)
    return bench


@pytest.mark.parametrize(
    ("seconds", "power_w", "second_a"), [(1, 0.0, 16.0), (59, 0.0, 16.0), (61, 0.0, 32.0), (300, 3600.0, 16.0)]
)
def test_what_a_silent_controller_may_still_give_is_nobody_elses(seconds: int, power_w: float, second_a: float) -> None:
    bench = silent(seconds, power_w)
    assert offered(bench) == [0.0, second_a]
    held = "16 A of it held for a controller that does not answer" in bench.station.facts.evses[2].explanation
    assert held == (second_a < 32.0)


def test_a_controller_that_answers_again_shares_again() -> None:
    bench = silent(61, 3600.0)
    bench.feed(DeviceFound(1, "controller"))
    bench.read(Pilot.C)
    assert offered(bench) == [16.0, 16.0]


def test_a_car_gets_its_share_at_the_moment_the_station_profile_changes() -> None:
    bench = charging(2)
    steps = (Period(0, 32.0), Period(600, 20.0))
    bench.feed(ProfileSetRequested(REF, 0, replace(STATION, start=bench.utc, periods=steps)))
    bench.wait(599.9)
    assert offered(bench) == [16, 16]
    bench.wait(0.1)
    assert offered(bench) == [10, 10]


# --- derating, and other limits beside the CSMS's ---


def test_a_derating_lowers_the_offer_and_says_so() -> None:
    bench = charging()
    bench.feed(Derated(1, "heat in the cabinet", 16.0))
    assert (
        bench.evse.explanation == "16 A: heat in the cabinet (below the hardware's limit 32 A, the cable's rating 32 A)"
    )


def test_a_derating_taken_back_limits_no_more() -> None:
    bench = charging()
    bench.feed(Derated(1, "heat in the cabinet", 16.0), Derated(1, "heat in the cabinet", None))
    assert offered(bench) == [32]


def test_lesson_27_of_two_masters_the_lower_limit_wins_and_is_named() -> None:
    """Lesson 27: a home energy manager beside the CSMS."""
    bench = charging()
    limit_one(bench, 13)
    bench.feed(Derated(1, "the energy manager", 10.0))
    assert bench.evse.explanation.startswith("10 A: the energy manager (below default profile 7 at stack level 3 13 A")
    bench.feed(Derated(1, "the energy manager", 20.0))
    assert bench.evse.explanation.startswith("13 A: default profile 7 at stack level 3 (below the energy manager 20 A")


def test_a_derating_of_the_station_is_shared() -> None:
    bench = charging(2)
    bench.feed(Derated(0, "the energy manager", 20.0))
    assert offered(bench) == [10, 10]


# --- in words ---


def test_the_lowest_limit_wins_and_the_words_name_all_others_in_order() -> None:
    """Lesson 26: one limit, explained."""
    caps = [(20.0, "the cable's rating"), (13.0, "transaction profile 7 at stack level 3"), (16.0, "heat")]
    assert offer(caps) == (
        13.0,
        "13 A: transaction profile 7 at stack level 3 (below heat 16 A, the cable's rating 20 A)",
    )


def test_limits_that_are_alike_are_named_together_and_none_is_below_the_other() -> None:
    caps = [(32.0, "the hardware's limit"), (32.0, "the cable's rating"), (63.0, "the supply")]
    assert offer(caps) == (32.0, "32 A: the hardware's limit and the cable's rating (below the supply 63 A)")


def test_the_words_name_the_supply_and_how_many_share_it() -> None:
    bench = charging(2)
    limit_all(bench, 32)
    assert bench.evse.explanation.startswith("16 A: station profile 3 at stack level 0 of 32 A, shared by 2 (below")


def test_who_waits_for_a_share_is_told_why() -> None:
    bench = charging(2)
    limit_all(bench, 10)
    second = bench.station.facts.evses[2].explanation
    assert second.startswith("0 A, a pause: station profile 3 at stack level 0 of 10 A, shared by 2 0 A")


@pytest.mark.parametrize(
    ("least_a", "offer_a"), [(5.999999999, 6.0), (5.9, 0.0), (16.19, 16.1), (6.0, 6.0), (0.0, 0.0)]
)
def test_an_offer_has_tenths_and_is_never_between_nought_and_six(least_a: float, offer_a: float) -> None:
    assert offer([(least_a, "x")])[0] == offer_a


# --- pauses ---


def test_a_pause_begins_at_once() -> None:
    bench = charging()
    limit_one(bench, 5)
    assert offers(bench.effects) == [0.0]


def test_a_pause_lasts_its_least_time_though_power_is_allowed_again() -> None:
    bench = charging()
    limit_one(bench, 5)
    bench.feed(ProfileClearRequested(REF))
    bench.wait(29.9)
    assert offered(bench) == [0]
    bench.wait(0.1)
    assert offered(bench) == [32]


def test_the_rest_of_a_pause_is_told_in_words() -> None:
    bench = charging()
    limit_one(bench, 5)
    bench.feed(ProfileClearRequested(REF))
    assert bench.evse.explanation.startswith("0 A, the rest of a pause; then 32 A: ")


def test_a_limit_that_flickers_about_six_amperes_switches_the_car_twice_a_minute_at_most() -> None:
    bench = charging()
    for _ in range(120):
        limit_one(bench, 5)
        bench.wait(0.5)
        limit_one(bench, 16)
        bench.wait(0.5)
    resumed = [order for order in offers(bench.effects) if order > 0]
    assert len(resumed) <= 4


def test_without_a_least_time_a_pause_ends_at_once() -> None:
    bench = charging(SmartChargingCtrlr__PauseMinimum="0")
    limit_one(bench, 5)
    bench.feed(ProfileClearRequested(REF))
    assert offered(bench) == [32]


def test_the_next_car_does_not_wait_for_the_pause_of_the_one_before() -> None:
    bench = charging()
    limit_one(bench, 5)
    bench.feed(ProfileClearRequested(REF))
    bench.read(Pilot.A)
    bench.wait(1)
    bench.meter()
    bench.tap(IdToken("NEXT"))
    bench.read(Pilot.B)
    assert offered(bench) == [32]


def test_a_lower_limit_is_followed_at_once_while_nobody_pauses() -> None:
    bench = charging()
    for amps in (16, 10, 8, 20):
        limit_one(bench, amps)
    assert offers(bench.effects) == [16, 10, 8, 20]


# --- offline ---


def test_offline_all_profiles_go_on_and_their_periods_change_in_time() -> None:
    """1.6 section 3.13.5, lesson 26."""
    from agent.core.events import LinkDown

    bench = charging()
    limit_one(bench, 20)
    steps = (Period(0, 25.0), Period(3600, 10.0))
    bench.feed(ProfileSetRequested(REF, 0, replace(STATION, start=bench.utc, periods=steps)))
    bench.feed(LinkDown("cut"))
    bench.wait(3600)
    assert offered(bench) == [10]
