"""Charging profiles: installed, refused, cleared, told, remembered; and the limit that follows, as time passes."""

from __future__ import annotations

import pytest

from agent.core.effects import Forget, Remember, Reply
from agent.core.events import Tick
from agent.core.profile import Kind, Period, Profile, Purpose, Recurrency
from agent.core.record import replace
from agent.core.requests import ProfileClearRequested, ProfileSetRequested
from agent.core.types import ClockQuality
from tests.blocks.profiles_desk import PLAIN, REF, STATION, TX, UTC, Desk, end

# --- install ---


def test_a_profile_is_accepted_and_limits_at_once() -> None:
    desk = Desk()
    assert desk.set(PLAIN).status == "Accepted"
    assert (desk.limit(1), desk.limit(2)) == (10, None)


def test_the_limit_says_why() -> None:
    desk = Desk()
    desk.set(PLAIN)
    assert desk.facts.evses[1].limit_why == "default profile 1 at stack level 0"


def test_a_default_profile_for_evse_0_limits_each() -> None:
    desk = Desk()
    desk.set(PLAIN, evse=0)
    assert (desk.limit(1), desk.limit(2)) == (10, 10)


REFUSALS = [
    (PLAIN, 3, "UnknownEvse"),
    (replace(PLAIN, stack_level=11), 1, "InvalidStackLevel"),
    (replace(PLAIN, stack_level=-1), 1, "InvalidStackLevel"),
    (replace(PLAIN, unit="V"), 1, "UnsupportedRateUnit"),
    (replace(PLAIN, periods=tuple(Period(s, 9.0) for s in range(101))), 1, "TooManyElements"),
    (replace(PLAIN, periods=()), 1, "InvalidSchedule"),
    (replace(PLAIN, periods=(Period(1, 9.0),)), 1, "InvalidSchedule"),
    (replace(PLAIN, periods=(Period(0, 9.0), Period(5, 8.0), Period(5, 7.0))), 1, "InvalidSchedule"),
    (replace(PLAIN, periods=(Period(0, -1.0),)), 1, "InvalidSchedule"),
    (replace(PLAIN, periods=(Period(0, float("nan")),)), 1, "InvalidSchedule"),
    (replace(PLAIN, periods=(Period(0, 9.0, 4),)), 1, "InvalidSchedule"),
    (replace(PLAIN, duration_s=0), 1, "InvalidSchedule"),
    (replace(PLAIN, kind=Kind.RECURRING), 1, "InvalidProfile"),
    (replace(PLAIN, valid_from=UTC + 9, valid_to=UTC + 9), 1, "InvalidProfile"),
    (replace(PLAIN, valid_to=UTC), 1, "InvalidProfile"),
    (replace(PLAIN, start=UTC - 60, duration_s=60), 1, "InvalidProfile"),
    (STATION, 1, "InvalidProfile"),
    (replace(PLAIN, purpose=Purpose.STATION_EXTERNAL), 0, "InvalidProfile"),
    (TX, 0, "InvalidProfile"),
    (TX, 1, "TxNotFound"),
]


@pytest.mark.parametrize(("profile", "evse", "reason"), REFUSALS)
def test_what_breaks_a_rule_is_refused_with_its_reason(profile: Profile, evse: int, reason: str) -> None:
    answer = Desk().set(profile, evse)
    assert (answer.status, answer.reason) == ("Rejected", reason)


def test_a_refused_profile_leaves_nothing_to_remember() -> None:
    effects = Desk().feed(ProfileSetRequested(REF, 1, replace(PLAIN, periods=())))
    assert not any(isinstance(effect, Remember) for effect in effects)


def test_a_hundred_periods_are_not_too_many() -> None:
    assert Desk().set(replace(PLAIN, periods=tuple(Period(s, 9.0) for s in range(100)))).status == "Accepted"


@pytest.mark.parametrize("name", [None, "t-1", "4711"])
def test_a_transaction_profile_may_name_its_transaction_by_either_id_or_not(name: str | None) -> None:
    desk = Desk()
    desk.connect(csms_id="4711")
    assert desk.set(replace(TX, transaction=name)).status == "Accepted"


def test_a_transaction_profile_for_another_transaction_is_refused() -> None:
    desk = Desk()
    desk.connect(csms_id="4711")
    assert desk.set(replace(TX, transaction="t-2")).reason == "TxNotFound"


def test_a_transaction_that_is_ending_takes_no_profile_any_more() -> None:
    desk = Desk()
    desk.connect()
    end(desk)
    assert desk.set(TX).reason == "TxNotFound"


def test_the_same_id_replaces() -> None:
    desk = Desk()
    desk.set(PLAIN)
    desk.set(replace(PLAIN, stack_level=3, periods=(Period(0, 20.0),)))
    assert (desk.limit(), desk.count) == (20, "1")


def test_the_same_purpose_level_and_evse_replaces() -> None:
    desk = Desk()
    desk.set(PLAIN)
    desk.set(replace(PLAIN, id=2, periods=(Period(0, 20.0),)))
    assert (desk.limit(), desk.count) == (20, "1")


def test_another_evse_keeps_its_own_of_the_same_level() -> None:
    desk = Desk()
    desk.set(PLAIN, 1)
    desk.set(replace(PLAIN, id=2), 2)
    assert desk.count == "2"


def full() -> Desk:
    desk = Desk(evses=5)
    for number in range(50):
        answer = desk.set(replace(PLAIN, id=number, stack_level=number % 10), 1 + number // 10)
        assert answer.status == "Accepted"
    return desk


def test_more_than_fifty_profiles_are_too_many() -> None:
    assert full().set(replace(PLAIN, id=99, stack_level=10)).reason == "TooManyElements"


def test_a_full_store_still_lets_one_replace_another() -> None:
    assert full().set(replace(PLAIN, id=99, stack_level=0)).status == "Accepted"


def test_switched_off_nothing_is_installed() -> None:
    desk = Desk()
    desk.variables.layer("config", {"SmartChargingCtrlr.Enabled": "false"})
    assert desk.set(PLAIN).reason == "NotEnabled"


def test_switched_off_nothing_limits() -> None:
    desk = Desk()
    desk.set(PLAIN)
    desk.variables.layer("config", {"SmartChargingCtrlr.Enabled": "false"})
    desk.feed(Tick())
    assert desk.limit() is None


def test_the_number_of_profiles_is_a_variable() -> None:
    desk = Desk()
    desk.set(PLAIN)
    assert desk.count == "1"


# --- time ---


def test_the_next_period_is_woken_for_and_taken() -> None:
    desk = Desk()
    desk.set(replace(PLAIN, periods=(Period(0, 10.0), Period(60, 16.0))))
    assert desk.station.next_deadline() == 1060.0
    desk.wait(60)
    assert desk.limit() == 16


def test_a_wake_up_a_hair_too_early_does_not_spin() -> None:
    desk = Desk()
    desk.set(replace(PLAIN, periods=(Period(0, 10.0), Period(60, 16.0))))
    desk.now = replace(desk.now, mono=1060.0, utc=UTC + 60 - 1e-5)
    desk.feed(Tick())
    deadline = desk.station.next_deadline()
    assert deadline is not None
    assert deadline >= 1060.01


def test_a_clock_set_anew_moves_the_deadline() -> None:
    desk = Desk()
    desk.set(replace(PLAIN, periods=(Period(0, 10.0), Period(600, 16.0))))
    desk.now = replace(desk.now, utc=UTC + 500)
    desk.feed(Tick())
    assert desk.station.next_deadline() == 1100.0


def test_when_nothing_changes_any_more_nothing_is_waited_for() -> None:
    desk = Desk()
    desk.set(PLAIN)
    assert desk.station.next_deadline() is None


def test_a_station_profile_without_a_start_begins_when_received() -> None:
    desk = Desk()
    desk.set(replace(STATION, start=None, duration_s=60), 0)
    assert desk.limit() == 10
    desk.wait(60)
    assert desk.limit() is None


def test_a_relative_station_profile_begins_when_received() -> None:
    desk = Desk()
    desk.set(replace(STATION, start=None, kind=Kind.RELATIVE, duration_s=60), 0)
    desk.wait(60)
    assert desk.limit() is None


def test_a_recurring_profile_without_a_start_begins_when_received() -> None:
    desk = Desk()
    desk.set(replace(PLAIN, start=None, kind=Kind.RECURRING, recurrency=Recurrency.DAILY, duration_s=60))
    desk.wait(60)
    assert desk.limit() is None
    desk.wait(86_340)
    assert desk.limit() == 10


def test_a_relative_default_profile_begins_when_a_car_is_ready() -> None:
    desk = Desk()
    desk.set(replace(PLAIN, start=None, kind=Kind.RELATIVE, periods=(Period(0, 10.0), Period(60, 16.0))))
    desk.wait(500)
    desk.connect()
    desk.wait(59)
    assert desk.limit() == 10
    desk.wait(1)
    assert desk.limit() == 16


def test_a_clock_set_anew_does_not_move_a_relative_schedule() -> None:
    desk = Desk()
    desk.set(replace(PLAIN, start=None, kind=Kind.RELATIVE, periods=(Period(0, 10.0), Period(60, 16.0))))
    desk.connect()
    desk.now = replace(desk.now, utc=UTC + 5000)
    desk.feed(Tick())
    assert (desk.limit(), desk.station.next_deadline()) == (10, 1060.0)


def test_without_a_clock_a_station_pause_stays_a_pause() -> None:
    desk = Desk()
    desk.set(replace(STATION, periods=(Period(0, 0.0), Period(60, 16.0))), 0)
    desk.now = replace(desk.now, quality=ClockQuality.UNKNOWN, utc=UTC + 900)
    desk.feed(Tick())
    assert desk.limit() == 0


def test_without_a_clock_a_schedule_that_begins_now_is_refused() -> None:
    desk = Desk()
    desk.now = replace(desk.now, quality=ClockQuality.UNKNOWN)
    assert desk.set(replace(STATION, start=None), 0).reason == "InvalidSchedule"


# --- over ---


@pytest.mark.parametrize(
    "one",
    [replace(PLAIN, valid_to=UTC + 60), replace(PLAIN, duration_s=60), replace(PLAIN, start=UTC + 30, duration_s=30)],
)
def test_a_profile_that_is_over_is_removed_at_that_moment(one: Profile) -> None:
    desk = Desk()
    desk.set(one)
    desk.wait(59)
    assert desk.count == "1"
    desk.wait(1)
    assert (desk.count, desk.limit()) == ("0", None)


def test_a_profile_that_is_over_is_forgotten() -> None:
    desk = Desk()
    desk.set(replace(PLAIN, duration_s=60))
    desk.now = replace(desk.now, mono=1060.0, utc=UTC + 60)
    assert Forget("profiles", "1") in desk.feed(Tick())


def test_by_a_clock_that_nobody_has_confirmed_nothing_is_removed() -> None:
    desk = Desk()
    desk.now = replace(desk.now, quality=ClockQuality.SYSTEM)
    desk.set(replace(PLAIN, duration_s=60))
    desk.wait(3600)
    assert (desk.count, desk.limit()) == ("1", None)


def test_a_recurring_profile_is_never_over_by_its_duration() -> None:
    desk = Desk()
    desk.set(replace(PLAIN, kind=Kind.RECURRING, recurrency=Recurrency.DAILY, duration_s=60))
    desk.wait(3600)
    assert desk.count == "1"


def test_the_same_profile_again_is_accepted_and_not_written_again() -> None:
    """Some central systems say the same at every poll."""
    desk = Desk()
    desk.set(PLAIN)
    effects = desk.feed(ProfileSetRequested(REF, 1, PLAIN))
    assert [type(effect) for effect in effects] == [Reply]


# --- clear ---


@pytest.mark.parametrize(
    ("criteria", "left"),
    [
        ({}, "0"),
        ({"profile_id": 2}, "2"),
        ({"profile_id": 2, "evse": 1, "stack_level": 9}, "2"),
        ({"evse": 1}, "1"),
        ({"evse": 0}, "2"),
        ({"purpose": "TxDefaultProfile"}, "1"),
        ({"stack_level": 0}, "1"),
        ({"evse": 1, "stack_level": 5}, "2"),
    ],
)
def test_a_clear_takes_what_fits_all_its_criteria(criteria: dict[str, object], left: str) -> None:
    desk = Desk()
    desk.set(STATION, 0)
    desk.set(replace(PLAIN, id=2), 1)
    desk.set(replace(PLAIN, id=3, stack_level=5), 1)
    assert (desk.clear(**criteria), desk.count) == ("Accepted", left)


@pytest.mark.parametrize("criteria", [{"profile_id": 9}, {"evse": 2}, {"purpose": "TxProfile"}, {"stack_level": 1}])
def test_a_clear_that_fits_nothing_is_unknown(criteria: dict[str, object]) -> None:
    desk = Desk()
    desk.set(PLAIN)
    assert (desk.clear(**criteria), desk.count) == ("Unknown", "1")


def test_a_cleared_profile_limits_no_more() -> None:
    desk = Desk()
    desk.set(PLAIN)
    desk.clear()
    assert (desk.limit(), desk.facts.evses[1].limit_why) == (None, "")


def test_a_cleared_profile_is_forgotten() -> None:
    desk = Desk()
    desk.set(PLAIN)
    assert Forget("profiles", "1") in desk.feed(ProfileClearRequested(REF))


# --- the composite schedule ---


def test_the_composite_schedule_starts_with_the_next_whole_second() -> None:
    desk = Desk()
    desk.now = replace(desk.now, utc=UTC + 0.7)
    desk.set(replace(PLAIN, periods=(Period(0, 10.0), Period(60, 16.0))))
    told = desk.tell()
    assert told.start is not None
    assert (told.status, told.start.utc, told.unit) == ("Accepted", UTC + 1, "A")
    assert told.periods == ((0, 10.0, 3), (59, 16.0, 3))


def test_the_composite_schedule_is_told_in_the_unit_asked_for() -> None:
    desk = Desk()
    desk.set(PLAIN)
    assert desk.tell(unit="W").periods == ((0, 6900.0, 3),)


def test_without_profiles_the_composite_schedule_is_what_the_supply_allows() -> None:
    assert Desk(supply_a=25.0).tell().periods == ((0, 25.0, 3),)


def test_the_composite_schedule_of_the_station_adds_its_evses() -> None:
    desk = Desk()
    desk.set(PLAIN, 1)
    assert desk.tell(evse=0).periods == ((0, 42.0, 3),)


def test_the_composite_schedule_of_the_station_ends_at_its_own_limit() -> None:
    desk = Desk()
    desk.set(STATION, 0)
    assert desk.tell(evse=0).periods == ((0, 10.0, 3),)


@pytest.mark.parametrize(("evse", "unit"), [(9, "A"), (1, "V")])
def test_a_composite_schedule_of_nothing_known_is_refused(evse: int, unit: str) -> None:
    assert Desk().tell(evse, unit=unit).status == "Rejected"
