"""What charging profiles allow at a moment: the rules one by one."""

from __future__ import annotations

import pytest

from agent.blocks.composite import MAX_CHANGES, MAX_PERIODS, Installed, Limit, Place, limit, next_change, schedule
from agent.core.profile import Kind, Period, Profile, Purpose, Recurrency
from agent.core.record import replace

NOON = 1_800_014_400.0
HOUR = 3600
HERE = Place(evse=1, transaction="t", began=NOON, cap_a=32.0)


def profile(amps: float = 10.0, **changes: object) -> Profile:
    plain = Profile(1, 0, Purpose.TX_DEFAULT, Kind.ABSOLUTE, "A", (Period(0, amps),), start=NOON)
    return replace(plain, **changes)


def default(amps: float = 10.0, evse: int = 0, **changes: object) -> Installed:
    return Installed(profile(amps, **changes), evse)


def station(amps: float = 10.0, **changes: object) -> Installed:
    return Installed(profile(amps, purpose=Purpose.STATION_MAX, **changes), 0)


def tx(amps: float = 10.0, transaction: str = "t", **changes: object) -> Installed:
    return Installed(profile(amps, purpose=Purpose.TX, **changes), 1, transaction)


def amps(*installed: Installed, at: float = NOON, place: Place = HERE) -> float | None:
    return limit(installed, place, at).amps


def test_without_profiles_nothing_limits() -> None:
    assert limit([], HERE, NOON) == Limit(None)


def test_a_default_profile_limits() -> None:
    assert amps(default(12)) == 12


def test_a_transaction_profile_precedes_a_default_one_that_is_lower() -> None:
    assert amps(default(8, stack_level=9), tx(20)) == 20


def test_a_transaction_profile_of_another_transaction_does_not_count() -> None:
    assert amps(default(8), tx(20, "other")) == 8


def test_a_transaction_profile_of_another_evse_does_not_count() -> None:
    assert amps(tx(20), place=replace(HERE, evse=2)) is None


def test_a_default_profile_of_another_evse_does_not_count() -> None:
    assert amps(default(8, evse=2)) is None


def test_the_highest_stack_level_governs_even_when_it_allows_more() -> None:
    assert amps(default(8, stack_level=1), default(20, stack_level=2)) == 20


def test_at_the_same_level_the_profile_of_the_evse_precedes_that_for_all() -> None:
    assert amps(default(20, evse=1), default(8, evse=0)) == 20


def test_the_station_maximum_counts_beside_the_transaction_profile() -> None:
    assert amps(tx(20), station(16)) == 16


def test_an_external_constraint_counts_beside_the_station_maximum() -> None:
    external = Installed(profile(9, purpose=Purpose.STATION_EXTERNAL), 0)
    assert amps(tx(20), station(16), external) == 9


def test_evses_that_draw_share_the_station_maximum() -> None:
    assert amps(station(30), place=replace(HERE, sharers=3)) == 10


def test_evses_do_not_share_what_is_meant_for_each() -> None:
    assert amps(default(30), place=replace(HERE, sharers=3)) == 30


def test_a_profile_counts_from_the_moment_it_is_valid() -> None:
    one = default(valid_from=NOON + 10)
    assert [amps(one, at=NOON + 9.9), amps(one, at=NOON + 10)] == [None, 10]


def test_a_profile_counts_until_the_moment_its_validity_ends() -> None:
    one = default(valid_to=NOON + 10)
    assert [amps(one, at=NOON + 9.9), amps(one, at=NOON + 10)] == [10, None]


def test_after_its_duration_the_next_lower_level_governs() -> None:
    short = default(20, stack_level=2, duration_s=60)
    assert [amps(default(8), short, at=NOON + s) for s in (59, 60)] == [20, 8]


def test_before_its_start_an_absolute_schedule_does_not_count() -> None:
    assert amps(default(start=NOON + 1)) is None


def test_the_last_period_goes_on_without_end() -> None:
    assert amps(default(periods=(Period(0, 10), Period(60, 20))), at=NOON + 1e6) == 20


def test_a_daily_schedule_begins_again_each_day() -> None:
    day = default(kind=Kind.RECURRING, recurrency=Recurrency.DAILY, periods=(Period(0, 10), Period(HOUR, 20)))
    assert [amps(day, at=NOON + 24 * HOUR + s) for s in (-1, 0, HOUR)] == [20, 10, 20]


def test_a_weekly_schedule_begins_again_each_week() -> None:
    week = default(kind=Kind.RECURRING, recurrency=Recurrency.WEEKLY, duration_s=HOUR)
    assert [amps(week, at=NOON + s) for s in (0, 24 * HOUR, 7 * 24 * HOUR)] == [10, None, 10]


def test_a_recurring_schedule_does_not_count_before_its_first_start() -> None:
    assert amps(default(kind=Kind.RECURRING, recurrency=Recurrency.DAILY), at=NOON - 1) is None


def test_a_recurrency_without_its_kind_means_nothing() -> None:
    odd = default(recurrency=Recurrency.DAILY, duration_s=60)
    assert amps(odd, at=NOON + 24 * HOUR) is None


def test_a_relative_schedule_runs_from_when_the_ev_was_ready() -> None:
    one = default(kind=Kind.RELATIVE, start=None, periods=(Period(0, 10), Period(60, 20)))
    assert [amps(one, place=replace(HERE, began=NOON - s)) for s in (59, 60)] == [10, 20]


def test_a_relative_schedule_waits_with_its_first_period_for_an_ev() -> None:
    one = default(kind=Kind.RELATIVE, start=None, periods=(Period(0, 10), Period(60, 20)))
    assert amps(one, place=replace(HERE, began=None)) == 10


def test_an_absolute_schedule_without_start_runs_from_when_the_ev_was_ready() -> None:
    one = default(start=None, duration_s=60)
    assert amps(one, place=replace(HERE, began=NOON - 60)) is None


@pytest.mark.parametrize(
    ("watts", "phases", "expected"), [(4140, None, 6.0), (11040, 3, 16.0), (3680, 1, 16.0), (7360, 2, 16.0)]
)
def test_watts_are_amperes_by_230_volts_and_phases(watts: float, phases: int | None, expected: float) -> None:
    assert amps(default(unit="W", periods=(Period(0, watts, phases),))) == expected


def test_an_evse_of_one_phase_takes_all_watts_on_it() -> None:
    assert amps(default(3680, unit="W"), place=replace(HERE, phases=1)) == 16


def test_watts_shared_by_three_stay_exact() -> None:
    assert amps(station(12420, unit="W"), place=replace(HERE, sharers=3)) == 6


def test_amperes_are_each_phases_own() -> None:
    assert amps(default(periods=(Period(0, 16, 1),))) == 16


def test_less_than_the_minimum_rate_is_nothing() -> None:
    assert amps(tx(20, minimum_rate=10), station(9)) == 0


def test_the_minimum_rate_itself_is_enough() -> None:
    assert amps(tx(20, minimum_rate=9), station(9)) == 9


# --- in words ---


def test_the_words_name_the_profile_that_limits() -> None:
    assert limit([tx(20, id=7, stack_level=2)], HERE, NOON).why == "transaction profile 7 at stack level 2"


def test_the_words_name_also_what_would_have_allowed_more() -> None:
    why = limit([tx(20, id=7), station(16, id=3)], HERE, NOON).why
    assert why == "station profile 3 at stack level 0 (transaction profile 7 at stack level 0 allows 20 A)"


def test_the_words_show_how_watts_became_amperes() -> None:
    assert limit([default(11040, unit="W")], HERE, NOON).why.endswith("level 0, 11040 W on 3 phases")


def test_the_words_say_who_shares() -> None:
    assert limit([station(30)], replace(HERE, sharers=2), NOON).why.endswith("level 0, shared by 2")


def test_the_words_say_that_the_minimum_rate_made_it_a_pause() -> None:
    why = limit([tx(8, id=7, minimum_rate=10)], HERE, NOON).why
    assert "8 A is below the minimum rate of transaction profile 7 at stack level 0, 10 A" in why


# --- nobody knows the time ---

NO_CLOCK = replace(HERE, dated=False)
STEPS = (Period(0, 16), Period(60, 0), Period(120, 8))


def test_without_a_clock_a_station_profile_counts_with_its_least_period() -> None:
    assert amps(station(periods=STEPS), place=NO_CLOCK) == 0


def test_without_a_clock_the_least_station_profile_counts_whatever_its_level() -> None:
    assert amps(station(20, stack_level=5, id=2), station(7), place=NO_CLOCK) == 7


def test_without_a_clock_a_transaction_goes_on_with_the_least_that_is_no_pause() -> None:
    assert amps(tx(periods=STEPS), place=NO_CLOCK) == 8


def test_without_a_clock_a_profile_that_only_pauses_still_pauses() -> None:
    assert amps(tx(0), place=NO_CLOCK) == 0


def test_without_a_clock_a_relative_schedule_runs_as_ever() -> None:
    one = tx(kind=Kind.RELATIVE, start=None, periods=STEPS)
    assert amps(one, place=NO_CLOCK, at=NOON + 60) == 0


def test_without_a_clock_a_profile_that_has_expired_still_counts() -> None:
    assert amps(station(7, valid_to=NOON - HOUR), place=NO_CLOCK) == 7


def test_without_a_clock_the_words_say_so() -> None:
    assert "the time is not known" in limit([station(7)], NO_CLOCK, NOON).why


# --- the next change ---


def test_the_next_period_is_the_next_change() -> None:
    assert next_change([default(periods=STEPS)], HERE, NOON + 60) == NOON + 120


def test_the_end_of_a_duration_is_a_change() -> None:
    assert next_change([default(duration_s=90)], HERE, NOON) == NOON + 90


def test_the_edges_of_validity_are_changes() -> None:
    one = default(valid_from=NOON + 5, valid_to=NOON + 50)
    assert [next_change([one], HERE, NOON + s) for s in (0, 5, 50)] == [NOON + 5, NOON + 50, None]


def test_a_schedule_to_come_changes_at_its_start() -> None:
    assert next_change([default(start=NOON + 7)], HERE, NOON) == NOON + 7


def test_the_next_day_of_a_daily_schedule_is_a_change() -> None:
    day = default(kind=Kind.RECURRING, recurrency=Recurrency.DAILY)
    assert next_change([day], HERE, NOON + 1) == NOON + 24 * HOUR


@pytest.mark.parametrize("thousandths", range(0, 1000, 37))
def test_at_the_edge_itself_the_new_period_counts_however_old_and_odd_the_start_is(thousandths: int) -> None:
    start = 777 + thousandths / 1000  # in 1970
    day = default(start=start, kind=Kind.RECURRING, recurrency=Recurrency.DAILY, periods=(Period(0, 8), Period(61, 9)))
    seen, at = [], NOON
    for _ in range(6):
        change = next_change([day], HERE, at)
        assert change is not None
        at = change
        seen.append(amps(day, at=at))
    assert seen == [8, 9, 8, 9, 8, 9]


def test_a_profile_that_does_not_concern_this_evse_changes_nothing() -> None:
    assert next_change([default(evse=2, duration_s=5)], HERE, NOON) is None


def test_without_a_clock_no_dated_profile_has_a_next_change() -> None:
    assert next_change([default(periods=STEPS, valid_to=NOON + 9)], NO_CLOCK, NOON) is None


# --- the composite schedule ---


def test_a_schedule_without_profiles_is_what_the_hardware_allows() -> None:
    assert schedule([], [HERE], NOON, HOUR, "A") == ([(0, 32.0, 3)], HOUR)


def test_a_schedule_shows_each_change_once() -> None:
    found = schedule([default(periods=(Period(0, 10), Period(60, 10), Period(120, 20)))], [HERE], NOON, HOUR, "A")
    assert found == ([(0, 10.0, 3), (120, 20.0, 3)], HOUR)


def test_a_schedule_ends_with_its_duration() -> None:
    assert schedule([default(periods=STEPS)], [HERE], NOON, 120, "A")[0] == [(0, 16.0, 3), (60, 0.0, 3)]


def test_a_schedule_is_told_in_watts_when_asked_for() -> None:
    assert schedule([default(16)], [HERE], NOON, HOUR, "W")[0] == [(0, 11040.0, 3)]


def test_a_schedule_in_watts_counts_the_phases_of_its_period() -> None:
    assert schedule([default(periods=(Period(0, 16, 1),))], [HERE], NOON, HOUR, "W")[0] == [(0, 3680.0, 1)]


def test_a_limit_is_told_to_a_tenth_and_never_more_than_it_is() -> None:
    assert schedule([default(11000, unit="W")], [HERE], NOON, HOUR, "A")[0] == [(0, 15.9, 3)]


def test_a_relative_schedule_without_an_ev_is_told_as_if_one_came_now() -> None:
    one = default(kind=Kind.RELATIVE, start=None, periods=STEPS)
    assert len(schedule([one], [replace(HERE, began=None)], NOON, HOUR, "A")[0]) == 3


def test_the_station_takes_no_more_than_its_evses_together() -> None:
    places = [Place(0), replace(HERE, cap_a=16.0), Place(2, cap_a=16.0)]
    assert schedule([default(10, evse=1)], places, NOON, HOUR, "A")[0] == [(0, 26.0, 3)]


def test_the_station_takes_no_more_than_its_own_profile_allows() -> None:
    places = [Place(0), HERE, Place(2, cap_a=32.0)]
    assert schedule([station(40)], places, NOON, HOUR, "A")[0] == [(0, 40.0, 3)]


def test_a_schedule_too_long_for_one_answer_says_how_far_it_reaches() -> None:
    day = default(kind=Kind.RECURRING, recurrency=Recurrency.DAILY, periods=(Period(0, 10), Period(HOUR, 20)))
    pieces, duration_s = schedule([day], [HERE], NOON, 10 * 365 * 24 * HOUR, "A")
    assert (len(pieces), duration_s) == (MAX_PERIODS, MAX_PERIODS // 2 * 24 * HOUR)


def test_a_schedule_of_very_many_equal_periods_is_not_worked_out_for_ever() -> None:
    day = default(kind=Kind.RECURRING, recurrency=Recurrency.DAILY, periods=(Period(0, 10), Period(HOUR, 10)))
    pieces, duration_s = schedule([day], [HERE], NOON, 10 * 365 * 24 * HOUR, "A")
    assert (pieces, duration_s) == ([(0, 10.0, 3)], MAX_CHANGES // 2 * 24 * HOUR)
