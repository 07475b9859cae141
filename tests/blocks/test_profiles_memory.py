"""Charging profiles over restarts and power cuts, and at the end of their transaction."""

from __future__ import annotations

import json

import pytest

from agent.core.effects import Forget, Note, Remember
from agent.core.events import (
    OpenTransaction,
    Restored,
    Tick,
    TransactionEnded,
)
from agent.core.evse import Grant, Transaction
from agent.core.profile import Kind, Period, Profile, Recurrency
from agent.core.record import replace
from agent.core.requests import ProfileSetRequested
from agent.core.types import ClockQuality, Instant, TokenInfo, TokenStatus, Trigger
from drivers.api import IdToken
from tests.blocks.profiles_desk import PLAIN, REF, TX, UTC, Desk


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
    again = after.feed(ProfileSetRequested(REF, 0, full))
    assert not any(isinstance(effect, Remember) for effect in again), "it was another one"
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


def test_that_a_car_came_late_is_forgotten_with_its_transaction() -> None:
    desk = Desk()
    desk.feed(Restored({"schedules_began": {"1": ["t-1", 900.0, UTC, 2, "boot-1"]}}))
    assert Forget("schedules_began", "1") in desk.feed(TransactionEnded(1, "t-1"))


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


def test_after_a_power_cut_a_clock_that_went_back_does_not_put_a_relative_schedule_off() -> None:
    table = remembered(Desk(), replace(PLAIN, start=None, kind=Kind.RELATIVE))
    desk = Desk()
    started = Instant(90_000.0, UTC + 500, ClockQuality.SYNCED, "boot-0")
    desk.facts.evses[1].tx = Transaction("t-1", started, 0, token=IdToken("A"), restored=True)
    desk.feed(Restored({"profiles": table}, (OpenTransaction("t-1", 1, {}),)))
    assert desk.limit() == 10
