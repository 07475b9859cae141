"""Charging profiles: installed, refused, cleared, told, remembered; and the limit that follows, as time passes."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from agent.blocks.profiles import Profiles
from agent.blocks.station import Facts, Station
from agent.core.catalogue import rows
from agent.core.effects import Effect, Forget, Note, Remember, Reply, ScheduleAnswer, StatusAnswer
from agent.core.events import (
    Event,
    OpenTransaction,
    ProfileClearRequested,
    ProfileSetRequested,
    Ref,
    Restored,
    ScheduleRequested,
    Tick,
    TransactionEnded,
)
from agent.core.evse import Evse, EvseLimits, Grant, Transaction
from agent.core.profile import Kind, Period, Profile, Purpose, Recurrency
from agent.core.types import ClockQuality, Instant, TokenInfo, TokenStatus, Trigger, VariableId
from agent.core.variables import Variables
from drivers.api import IdToken, Pilot

UTC = 1_800_000_000.0
REF = Ref("1", "any")
PLAIN = Profile(1, 0, Purpose.TX_DEFAULT, Kind.ABSOLUTE, "A", (Period(0, 10.0),), start=UTC)
TX = replace(PLAIN, purpose=Purpose.TX)
STATION = replace(PLAIN, purpose=Purpose.STATION_MAX)
ENTRIES = VariableId("SmartChargingCtrlr", "Entries", "ChargingProfiles")


class Desk:
    """The block alone, with facts set by hand and a clock moved by hand."""

    def __init__(self, evses: int = 2, supply_a: float | None = None) -> None:
        self.now = Instant(1000.0, UTC, ClockQuality.SYNCED, "boot-1")
        limits = [EvseLimits(n, max_a=32.0, phases=3) for n in range(1, evses + 1)]
        self.variables = Variables(rows([one.id for one in limits]))
        self.facts = Facts([Evse(one) for one in limits], self.variables, supply_a)
        self.station = Station(self.facts, [Profiles(self.facts)])

    def feed(self, event: Event) -> list[Effect]:
        return self.station.handle(event, self.now)

    def set(self, profile: Profile, evse: int = 1) -> StatusAnswer:
        answer = only_answer(self.feed(ProfileSetRequested(REF, evse, profile)))
        assert isinstance(answer, StatusAnswer)
        return answer

    def clear(self, **criteria: object) -> str:
        answer = only_answer(self.feed(ProfileClearRequested(REF, **criteria)))  # type: ignore[arg-type]
        assert isinstance(answer, StatusAnswer)
        return answer.status

    def tell(self, evse: int = 1, duration_s: int = 600, unit: str | None = None) -> ScheduleAnswer:
        answer = only_answer(self.feed(ScheduleRequested(REF, evse, duration_s, unit)))
        assert isinstance(answer, ScheduleAnswer)
        return answer

    def limit(self, evse: int = 1) -> float | None:
        return self.facts.evses[evse].limit_a

    def connect(self, evse: int = 1, transaction: str = "t-1", csms_id: str | None = None) -> None:
        """A car and somebody who pays, in a transaction."""
        one = self.facts.evses[evse]
        one.pilot, one.plugged = Pilot.C, True
        one.grant = Grant(IdToken("A"), TokenInfo(TokenStatus.ACCEPTED), Trigger.AUTHORIZED, self.now)
        one.tx = Transaction(transaction, self.now, 0, token=IdToken("A"), csms_id=csms_id)
        self.feed(Tick())

    def wait(self, seconds: float) -> None:
        """Time passes; only the block's own deadlines wake it."""
        end = self.now.mono + seconds
        for _ in range(1000):
            at = self.station.next_deadline()
            if at is None or at > end:
                break
            self._move(at)
            self.feed(Tick())
        self._move(end)

    def _move(self, mono: float) -> None:
        self.now = replace(self.now, mono=mono, utc=self.now.utc + mono - self.now.mono)

    @property
    def count(self) -> str | None:
        return self.variables.view(ENTRIES, self.now).value


def only_answer(effects: list[Effect]) -> object:
    (answer,) = [effect.answer for effect in effects if isinstance(effect, Reply)]
    return answer


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
    assert deadline > 1060.0


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


def test_two_that_charge_share_the_station_profile() -> None:
    desk = Desk()
    desk.set(replace(STATION, periods=(Period(0, 32.0),)), 0)
    desk.connect(1)
    assert desk.limit(1) == 32
    desk.connect(2, "t-2")
    assert (desk.limit(1), desk.limit(2)) == (16, 16)


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


def test_the_composite_schedule_starts_now_in_whole_seconds() -> None:
    desk = Desk()
    desk.now = replace(desk.now, utc=UTC + 0.7)
    desk.set(replace(PLAIN, periods=(Period(0, 10.0), Period(60, 16.0))))
    told = desk.tell()
    assert told.start is not None
    assert (told.status, told.start.utc, told.unit) == ("Accepted", UTC, "A")
    assert told.periods == ((0, 10.0, 3), (60, 16.0, 3))


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


# --- memory ---


def remembered(desk: Desk, profile: Profile, evse: int = 1) -> dict[str, object]:
    """As the store gives it back: through JSON."""
    (found,) = [e for e in desk.feed(ProfileSetRequested(REF, evse, profile)) if isinstance(e, Remember)]
    assert found.table == "profiles"
    return {found.key: json.loads(json.dumps(found.value))}


def test_a_profile_outlives_a_restart() -> None:
    full = replace(
        PLAIN,
        kind=Kind.RECURRING,
        recurrency=Recurrency.WEEKLY,
        unit="W",
        periods=(Period(0, 6900.0, 3), Period(60, 3680.0, 1)),
        duration_s=3600,
        valid_from=UTC - 5,
        valid_to=UTC + 1e6,
        minimum_rate=1.5,
    )
    table = remembered(Desk(), full, 0)
    after = Desk()
    after.feed(Restored({"profiles": table}))
    assert remembered(after, full, 0) == table
    assert after.limit(2) == 10


def test_a_transaction_profile_outlives_a_restart_with_its_transaction() -> None:
    before = Desk()
    before.connect()
    table = remembered(before, TX)
    after = Desk()
    after.feed(Restored({"profiles": table}, (OpenTransaction("t-1", 1, {}),)))
    assert after.count == "1"


def test_a_transaction_profile_without_its_transaction_is_forgotten_at_the_start() -> None:
    before = Desk()
    before.connect()
    table = remembered(before, TX)
    assert Forget("profiles", "1") in Desk().feed(Restored({"profiles": table}))


@pytest.mark.parametrize("damage", [None, [], {}, {"profile": "x"}, {"profile": {"id": 1}, "evse": 1}])
def test_a_damaged_memory_is_set_aside_and_said(damage: object) -> None:
    effects = Desk().feed(Restored({"profiles": {"5": damage}}))
    assert [type(effect) for effect in effects] == [Forget, Note]


def test_a_transaction_profile_ends_with_its_transaction() -> None:
    desk = Desk()
    desk.connect()
    desk.set(TX)
    desk.facts.evses[1].tx = None
    assert Forget("profiles", "1") in desk.feed(TransactionEnded(1, "t-1"))
    assert desk.limit() is None


def test_a_car_that_came_late_is_remembered_for_relative_schedules() -> None:
    desk = Desk()
    one = desk.facts.evses[1]
    one.tx = Transaction("t-1", desk.now, 0, token=IdToken("A"))
    one.grant = Grant(IdToken("A"), TokenInfo(TokenStatus.ACCEPTED), Trigger.AUTHORIZED, desk.now)
    desk.feed(Tick())
    desk.wait(100)
    one.plugged = True
    effects = desk.feed(Tick())
    assert [effect.key for effect in effects if isinstance(effect, Remember)] == ["1"]


def test_after_a_restart_a_relative_schedule_goes_on_from_when_the_late_car_came() -> None:
    relative = replace(PLAIN, start=None, kind=Kind.RELATIVE, periods=(Period(0, 10.0), Period(60, 16.0)))
    table = remembered(Desk(), relative)
    desk = Desk()
    came = [desk.now.mono - 30, desk.now.utc - 30, 2, "boot-1"]
    desk.facts.evses[1].tx = Transaction("t-1", replace(desk.now, mono=0.0), 0, token=IdToken("A"), restored=True)
    desk.feed(Restored({"profiles": table, "schedules_began": {"1": ["t-1", *came]}}, (OpenTransaction("t-1", 1, {}),)))
    assert (desk.limit(), desk.station.next_deadline()) == (10, 1030.0)


def test_after_a_power_cut_a_relative_schedule_goes_on_by_the_date() -> None:
    relative = replace(PLAIN, start=None, kind=Kind.RELATIVE, periods=(Period(0, 10.0), Period(60, 16.0)))
    table = remembered(Desk(), relative)
    desk = Desk()
    started = Instant(90_000.0, UTC - 45, ClockQuality.SYNCED, "boot-0")
    desk.facts.evses[1].tx = Transaction("t-1", started, 0, token=IdToken("A"), restored=True)
    desk.feed(Restored({"profiles": table}, (OpenTransaction("t-1", 1, {}),)))
    assert desk.station.next_deadline() == 1015.0


def test_after_a_power_cut_without_a_clock_a_relative_schedule_begins_again() -> None:
    relative = replace(PLAIN, start=None, kind=Kind.RELATIVE, periods=(Period(0, 10.0), Period(60, 16.0)))
    table = remembered(Desk(), relative)
    desk = Desk()
    desk.now = replace(desk.now, quality=ClockQuality.UNKNOWN)
    started = Instant(90_000.0, UTC - 45, ClockQuality.SYNCED, "boot-0")
    desk.facts.evses[1].tx = Transaction("t-1", started, 0, token=IdToken("A"), restored=True)
    desk.feed(Restored({"profiles": table}, (OpenTransaction("t-1", 1, {}),)))
    assert desk.station.next_deadline() == 1060.0
