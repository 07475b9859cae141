"""What charging profiles allow at a moment: the rules one by one."""

from __future__ import annotations

import pytest

from agent.blocks.composite import (
    MAX_CHANGES,
    MAX_PERIODS,
    Installed,
    Limit,
    Piece,
    Place,
    is_over,
    limit,
    next_change,
    schedule,
)
from agent.core.profile import Kind, Period, Profile, Purpose, Recurrency
from agent.core.record import replace

NOON = 1_800_014_400.0
HOUR = 3600
HERE = Place(evse=1, transaction="t", began=NOON, cap_a=32.0)
GRID = Place(evse=0)


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


def alone(*installed: Installed, at: float = NOON, place: Place = HERE, grid: Place = GRID) -> float:
    """What the EVSE gets when no other charges."""
    return schedule(installed, [grid, place], place.evse, at, 60, "A")[0][0][1]


def told(*installed: Installed, duration_s: int = HOUR, unit: str = "A", place: Place = HERE) -> list[Piece]:
    return schedule(installed, [GRID, place], place.evse, NOON, duration_s, unit)[0]


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
    assert alone(tx(20), station(16)) == 16


def test_a_station_maximum_that_is_higher_raises_nothing() -> None:
    assert alone(tx(20), station(25)) == 20


def test_an_external_constraint_counts_beside_the_station_maximum() -> None:
    external = Installed(profile(9, purpose=Purpose.STATION_EXTERNAL), 0)
    assert alone(tx(20), station(16), external) == 9


def test_the_station_maximum_says_nothing_of_one_evse() -> None:
    assert amps(station(16)) is None


def test_what_is_meant_for_an_evse_says_nothing_of_the_station() -> None:
    assert amps(default(16), tx(10), place=GRID) is None


def test_evses_that_draw_share_the_station_maximum() -> None:
    places = [GRID, HERE, replace(HERE, evse=2), replace(HERE, evse=3)]
    assert schedule([station(30)], places, 2, NOON, HOUR, "A")[0] == [(0, 10.0, 3)]


def test_evses_do_not_share_what_is_meant_for_each() -> None:
    places = [GRID, HERE, replace(HERE, evse=2), replace(HERE, evse=3)]
    assert schedule([default(30)], places, 2, NOON, HOUR, "A")[0] == [(0, 30.0, 3)]


def test_what_one_may_not_use_of_the_station_maximum_is_the_others() -> None:
    places = [GRID, HERE, replace(HERE, evse=2)]
    assert schedule([station(30), tx(8)], places, 2, NOON, HOUR, "A")[0] == [(0, 22.0, 3)]


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
    places = [GRID, HERE, replace(HERE, evse=2), replace(HERE, evse=3)]
    assert schedule([station(12420, unit="W")], places, 3, NOON, HOUR, "A")[0] == [(0, 6.0, 3)]


def test_amperes_are_each_phases_own() -> None:
    assert amps(default(periods=(Period(0, 16, 1),))) == 16


def test_the_minimum_rate_is_advice_and_changes_no_limit() -> None:
    assert amps(tx(8, minimum_rate=10)) == 8


# A daily schedule is bound to UTC: on the days when summer time begins and ends in Europe it begins at the same second
# of the UTC day as ever (errata 2025-04 has times in UTC; the Charge Point knows no other).


@pytest.mark.parametrize("switch", [1_806_195_600.0, 1_824_944_400.0])  # 2027-03-28 and 2027-10-31, 01:00 UTC
def test_a_daily_schedule_does_not_follow_summer_time(switch: float) -> None:
    noon = switch - 13 * HOUR
    day = default(start=noon, kind=Kind.RECURRING, recurrency=Recurrency.DAILY, duration_s=HOUR)
    assert [amps(day, at=noon + 24 * HOUR + s) for s in (-1, 0, HOUR - 1, HOUR)] == [None, 10, 10, None]


# --- offline ---


@pytest.mark.parametrize("one", [default(0), tx(0), station(0)])
def test_a_profile_of_nought_counts_until_it_is_cleared_whatever_the_link_does(one: Installed) -> None:
    """1.6 section 3.13.5: what was received is used on, for the whole transaction or beyond; no link occurs here."""
    assert [alone(one, at=NOON + hours * HOUR) for hours in (0, 24, 999)] == [0, 0, 0]


# --- over ---


@pytest.mark.parametrize(
    ("changes", "over"),
    [
        ({}, False),
        ({"valid_to": NOON}, True),
        ({"valid_to": NOON + 1}, False),
        ({"duration_s": HOUR, "start": NOON - HOUR}, True),
        ({"duration_s": HOUR + 1, "start": NOON - HOUR}, False),
        ({"duration_s": 5, "start": NOON - HOUR, "kind": Kind.RECURRING, "recurrency": Recurrency.DAILY}, False),
        ({"duration_s": 5, "start": None}, False),
        ({"duration_s": 5, "kind": Kind.RELATIVE, "start": NOON - HOUR}, False),
    ],
)
def test_a_profile_is_over_when_it_can_never_count_again(changes: dict[str, object], over: bool) -> None:
    assert is_over(profile(**changes), NOON) is over  # type: ignore[arg-type]


# --- in words ---


def test_the_words_name_the_profile_that_limits() -> None:
    assert limit([tx(20, id=7, stack_level=2)], HERE, NOON).why == "transaction profile 7 at stack level 2"


def test_the_words_name_also_what_would_have_allowed_more() -> None:
    external = Installed(profile(20, id=7, purpose=Purpose.STATION_EXTERNAL), 0)
    why = limit([external, station(16, id=3)], GRID, NOON).why
    assert why == "station profile 3 at stack level 0 (external constraint 7 at stack level 0 allows 20 A)"


def test_the_words_show_how_watts_became_amperes() -> None:
    assert limit([default(11040, unit="W")], HERE, NOON).why.endswith("level 0, 11040 W on 3 phases")


def test_the_words_repeat_the_minimum_rate_where_the_limit_is_below_it() -> None:
    why = limit([tx(8, id=7, minimum_rate=10)], HERE, NOON).why
    assert why == "transaction profile 7 at stack level 0, below its minimum rate of 10 A"


# --- nobody knows the time ---

NO_CLOCK = replace(HERE, dated=False)
DARK_GRID = replace(GRID, dated=False)
STEPS = (Period(0, 16), Period(60, 0), Period(120, 8))


def test_without_a_clock_a_station_profile_counts_with_its_least_period() -> None:
    assert amps(station(periods=STEPS), place=DARK_GRID) == 0


def test_without_a_clock_the_least_station_profile_counts_whatever_its_level() -> None:
    assert amps(station(20, stack_level=5, id=2), station(7), place=DARK_GRID) == 7


def test_without_a_clock_a_transaction_goes_on_with_the_least_that_is_no_pause() -> None:
    assert amps(tx(periods=STEPS), place=NO_CLOCK) == 8


def test_without_a_clock_a_profile_that_only_pauses_still_pauses() -> None:
    assert amps(tx(0), place=NO_CLOCK) == 0


def test_without_a_clock_a_relative_schedule_runs_as_ever() -> None:
    one = tx(kind=Kind.RELATIVE, start=None, periods=STEPS)
    assert amps(one, place=NO_CLOCK, at=NOON + 60) == 0


def test_without_a_clock_a_profile_that_has_expired_still_counts() -> None:
    assert amps(station(7, valid_to=NOON - HOUR), place=DARK_GRID) == 7


def test_without_a_clock_the_words_say_so() -> None:
    assert "the time is not known" in limit([station(7)], DARK_GRID, NOON).why


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
    assert schedule([], [GRID, HERE], 1, NOON, HOUR, "A") == ([(0, 32.0, 3)], HOUR)


def test_a_schedule_without_profiles_is_no_more_than_the_supply() -> None:
    assert alone(grid=replace(GRID, cap_a=25.0)) == 25


def test_a_schedule_shows_each_change_once() -> None:
    found = told(default(periods=(Period(0, 10), Period(60, 10), Period(120, 20))))
    assert found == [(0, 10.0, 3), (120, 20.0, 3)]


def test_a_schedule_ends_with_its_duration() -> None:
    assert told(default(periods=STEPS), duration_s=120) == [(0, 16.0, 3), (60, 0.0, 3)]


def test_a_schedule_of_no_duration_tells_the_limit_of_now() -> None:
    assert schedule([default(periods=STEPS)], [GRID, HERE], 1, NOON, 0, "A") == ([(0, 16.0, 3)], 0)


def test_a_schedule_is_told_in_watts_when_asked_for() -> None:
    assert told(default(16), unit="W") == [(0, 11040.0, 3)]


def test_a_schedule_in_watts_counts_the_phases_of_its_period() -> None:
    assert told(default(periods=(Period(0, 16, 1),)), unit="W") == [(0, 3680.0, 1)]


def test_a_limit_is_told_to_a_tenth_and_never_more_than_it_is() -> None:
    assert told(default(11000, unit="W")) == [(0, 15.9, 3)]


def test_a_limit_below_what_can_be_offered_is_told_as_it_is() -> None:
    assert told(station(5)) == [(0, 5.0, 3)]


def test_a_relative_schedule_without_an_ev_is_told_as_if_one_came_now() -> None:
    one = default(kind=Kind.RELATIVE, start=None, periods=STEPS)
    assert len(told(one, place=replace(HERE, began=None))) == 3


def test_the_station_takes_no_more_than_its_evses_together() -> None:
    places = [GRID, replace(HERE, cap_a=16.0), Place(2, cap_a=16.0)]
    assert schedule([default(10, evse=1)], places, 0, NOON, HOUR, "A")[0] == [(0, 26.0, 3)]


def test_the_station_takes_no_more_than_its_own_profile_allows() -> None:
    places = [GRID, HERE, Place(2, cap_a=32.0)]
    assert schedule([station(40)], places, 0, NOON, HOUR, "A")[0] == [(0, 40.0, 3)]


def test_the_watts_of_a_station_are_those_of_its_evses_each_by_its_own_phases() -> None:
    places = [GRID, HERE, Place(2, phases=1, cap_a=32.0)]
    assert schedule([default(10)], places, 0, NOON, HOUR, "W")[0] == [(0, 9200.0, 3)]


def test_a_schedule_too_long_for_one_answer_says_how_far_it_reaches() -> None:
    day = default(kind=Kind.RECURRING, recurrency=Recurrency.DAILY, periods=(Period(0, 10), Period(HOUR, 20)))
    pieces, duration_s = schedule([day], [GRID, HERE], 1, NOON, 10 * 365 * 24 * HOUR, "A")
    assert (len(pieces), duration_s) == (MAX_PERIODS, MAX_PERIODS // 2 * 24 * HOUR)


def test_a_schedule_of_very_many_equal_periods_is_not_worked_out_for_ever() -> None:
    day = default(kind=Kind.RECURRING, recurrency=Recurrency.DAILY, periods=(Period(0, 10), Period(HOUR, 10)))
    pieces, duration_s = schedule([day], [GRID, HERE], 1, NOON, 10 * 365 * 24 * HOUR, "A")
    assert (pieces, duration_s) == ([(0, 10.0, 3)], MAX_CHANGES // 2 * 24 * HOUR)


def test_a_schedule_of_a_million_years_is_no_harm() -> None:
    assert schedule([default(10)], [GRID, HERE], 1, NOON, 2**62, "A") == ([(0, 10.0, 3)], 2**62)
