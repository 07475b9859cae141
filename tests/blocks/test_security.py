"""Security events: what is logged, what the CSMS is told, in which order, and how floods and refusals are met."""

from __future__ import annotations

from typing import Any

import pytest

from agent.blocks.security import ENABLED, LOG, MAX_ATTEMPTS, MAX_LOG, MAX_QUEUE, QUEUE, RETRY_S, Security
from agent.blocks.station import Facts, Station
from agent.core.catalogue import rows
from agent.core.effects import Ask, Effect, Forget, Heartbeat, Note, Remember, SecurityNotice
from agent.core.events import (
    CallDone,
    CallFailed,
    Event,
    HeartbeatAnswered,
    LinkDown,
    LinkUp,
    ResetDue,
    Restored,
    SamplesThinned,
    SecurityEvent,
    Stopping,
    StorageFailed,
    Tick,
    VariableChanged,
)
from agent.core.security import KINDS, ClockSet, SecurityLogLost
from agent.core.types import ClockQuality, Instant, Registration, StopReason, VariableId
from agent.core.variables import Variables
from tests.blocks.helpers import of

UTC = 1_800_000_000.0
LOGIN = SecurityEvent("FailedToAuthenticateAtCsms", "401")
TAMPER = SecurityEvent("TamperDetectionActivated", "the door is open")
CHANGED = SecurityEvent("ReconfigurationOfSecurityParameters", "a root was installed")


class Desk:
    """The block alone, and what a store would hold of it."""

    def __init__(self, stored: dict[str, dict[str, Any]] | None = None, *, online: bool = True, **config: str) -> None:
        self.facts = Facts([], Variables(rows([])))
        assert not self.facts.variables.layer("config", {k.replace("__", "."): v for k, v in config.items()})
        self.block = Security(self.facts, "t")
        self.station = Station(self.facts, [self.block])
        self.mono, self.quality = 1000.0, ClockQuality.SYNCED
        self.stored: dict[str, dict[str, Any]] = {table: dict(held) for table, held in (stored or {}).items()}
        self.asked: list[SecurityNotice] = []
        self.heartbeats = 0
        self.notes: list[Note] = []
        self.writes = 0
        self.online(online)
        self.feed(Restored(self.stored))

    def online(self, online: bool = True) -> None:
        self.facts.linked, self.facts.registration = online, Registration.ACCEPTED

    @property
    def now(self) -> Instant:
        return Instant(self.mono, UTC + self.mono, self.quality, "boot-1")

    def feed(self, *events: Event) -> None:
        for event in events:
            self._done(self.station.handle(event, self.now))

    def _done(self, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Remember):
                self.stored.setdefault(effect.table, {})[effect.key] = effect.value
                self.writes += 1
            elif isinstance(effect, Forget) and effect.key is None:
                self.stored.pop(effect.table, None)
            elif isinstance(effect, Forget):
                del self.stored[effect.table][effect.key]  # type: ignore[arg-type]
        self.notes += of(effects, Note)
        calls = [ask.call for ask in of(effects, Ask)]
        self.asked += [call for call in calls if isinstance(call, SecurityNotice)]
        self.heartbeats += sum(isinstance(call, Heartbeat) for call in calls)

    def take(self) -> None:
        """The CSMS takes what is open."""
        self.feed(CallDone(self.asked[-1]))

    def fail(self, why: str) -> None:
        self.feed(CallFailed(self.asked[-1], why))

    def wait(self, seconds: float) -> None:
        end = self.mono + seconds
        while (at := self.station.next_deadline()) is not None and at <= end:
            self.mono = max(at, self.mono)
            self.feed(Tick())
        self.mono = end

    def told(self) -> list[str]:
        """Everything that is waiting, taken by the CSMS one after the other."""
        first = len(self.asked) - 1
        while self.block.waiting:
            self.take()
        return [notice.kind for notice in self.asked[first:]]

    def queue(self) -> list[str]:
        return [kind for kind, _info, _at in self.stored.get(QUEUE, {}).values()]

    def quiet(self) -> Desk:
        """The start has been told."""
        self.take()
        self.asked.clear()
        self.notes.clear()
        return self


# --- what is told ---


def test_a_start_is_told_as_soon_as_the_csms_has_accepted_us() -> None:
    desk = Desk(online=False)
    assert desk.asked == []
    desk.online()
    desk.feed(LinkUp(True))
    assert [(n.kind, n.info) for n in desk.asked] == [("StartupOfTheDevice", "the agent was started")]


def test_events_are_told_in_order_one_at_a_time() -> None:
    desk = Desk().quiet()
    desk.feed(TAMPER, LOGIN)
    assert [n.kind for n in desk.asked] == [TAMPER.kind]
    desk.take()
    assert [n.kind for n in desk.asked] == [TAMPER.kind, LOGIN.kind]


def test_an_event_is_told_with_the_time_at_which_it_happened() -> None:
    desk = Desk(online=False)
    desk.feed(TAMPER)
    at = desk.now.utc
    desk.wait(5000)
    desk.online()
    desk.feed(LinkUp(True))
    desk.take()
    assert (desk.asked[-1].kind, desk.asked[-1].at.utc) == (TAMPER.kind, at)


def test_what_waits_outlives_a_restart_and_goes_first() -> None:
    before = Desk(online=False)
    before.feed(TAMPER)
    after = Desk(before.stored)
    assert after.told() == ["StartupOfTheDevice", TAMPER.kind, "StartupOfTheDevice"]
    assert after.queue() == []


def test_numbers_go_on_after_a_restart_when_all_was_told() -> None:
    before = Desk().quiet()
    after = Desk(before.stored)
    assert after.asked[-1].message_id == "t-s2"


def test_an_event_of_before_the_clock_was_known_is_told_with_its_true_time() -> None:
    desk = Desk(online=False)
    desk.quality = ClockQuality.UNKNOWN
    desk.feed(TAMPER)
    happened = desk.mono
    desk.wait(60)
    desk.quality = ClockQuality.SYNCED
    desk.feed(ClockSet(1.0))
    desk.online()
    desk.feed(LinkUp(True))
    desk.take()
    assert desk.asked[-1].at == Instant(happened, UTC + happened, ClockQuality.SYNCED, "boot-1")


def test_an_event_waits_for_the_time_that_comes_with_being_accepted() -> None:
    desk = Desk().quiet()
    desk.quality = ClockQuality.SYSTEM
    desk.feed(TAMPER)
    assert desk.asked == []
    desk.quality = ClockQuality.SYNCED
    desk.feed(ClockSet(1.0))
    assert [n.at.quality for n in desk.asked] == [ClockQuality.SYNCED]


def test_an_event_does_not_wait_long_for_a_csms_that_tells_no_time() -> None:
    desk = Desk().quiet()
    desk.quality = ClockQuality.UNKNOWN
    desk.feed(TAMPER)
    desk.wait(5)
    assert [n.kind for n in desk.asked] == [TAMPER.kind]


def test_what_nobody_was_told_is_no_sign_of_life() -> None:
    desk = Desk().quiet()
    desk.feed(TAMPER)
    desk.fail("timeout")
    desk.feed(CallDone(Heartbeat(), said=False))
    desk.wait(RETRY_S * 2)
    assert len(desk.asked) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_every_event_of_the_list_is_logged_and_told(kind: str) -> None:
    desk = Desk().quiet()
    desk.feed(SecurityEvent(kind, "why"))
    assert [(n.kind, n.info) for n in desk.asked] == [(kind, "why")]
    assert desk.block.lines()[-1].endswith(f" 2 {kind} why")


def test_an_event_that_no_list_names_is_told_as_well() -> None:
    desk = Desk().quiet()
    desk.feed(SecurityEvent("MaintenanceLoginFailed"))
    assert [n.kind for n in desk.asked] == ["MaintenanceLoginFailed"]


def test_the_words_of_others_cannot_break_a_line_and_are_cut() -> None:
    desk = Desk().quiet()
    desk.feed(SecurityEvent(TAMPER.kind, "a\nb\x1b[J" + "x" * 900))
    assert desk.asked[-1].info.startswith("a b [J")
    assert len(desk.asked[-1].info) == 255


# --- sources ---


SOURCES: list[tuple[Event, str]] = [
    (ResetDue(StopReason.SOFT_RESET), "ResetOrReboot"),
    (Stopping("asked to"), "ResetOrReboot"),
    (ClockSet(3600.0), "SettingSystemTime"),
    (ClockSet(-40.0), "SettingSystemTime"),
    (SamplesThinned(12), "MemoryExhaustion"),
    (StorageFailed("full: database or disk is full"), "MemoryExhaustion"),
    (VariableChanged(VariableId("SecurityCtrlr", "OrganizationName")), "ReconfigurationOfSecurityParameters"),
    (SecurityLogLost("the store was damaged"), "SecurityLogWasCleared"),
]


@pytest.mark.parametrize(("event", "kind"), SOURCES, ids=[f"{type(e).__name__} {kind}" for e, kind in SOURCES])
def test_what_happens_elsewhere_is_a_security_event(event: Event, kind: str) -> None:
    desk = Desk().quiet()
    desk.feed(event)
    assert [n.kind for n in desk.asked] == [kind]


NO_SOURCES: list[Event] = [
    ClockSet(2.0),
    StorageFailed("readonly: the file system takes no writes"),
    VariableChanged(VariableId("TxCtrlr", "EVConnectionTimeOut")),
]


@pytest.mark.parametrize("event", NO_SOURCES, ids=lambda e: type(e).__name__)
def test_what_is_no_matter_of_security_is_not_told(event: Event) -> None:
    desk = Desk().quiet()
    desk.feed(event)
    assert desk.asked == []


def test_one_reset_is_told_once() -> None:
    desk = Desk().quiet()
    desk.feed(ResetDue(StopReason.HARD_RESET), Stopping("reset"))
    assert desk.queue() == ["ResetOrReboot"]


def test_a_cleared_log_holds_only_that_it_was_cleared() -> None:
    desk = Desk().quiet()
    desk.feed(TAMPER, SecurityLogLost("asked to"))
    assert [line.split(" ", 2)[2] for line in desk.block.lines()] == ["SecurityLogWasCleared asked to"]
    assert len(desk.stored[LOG]) == 1


# --- bounds ---


def test_a_full_queue_loses_the_oldest_event_that_is_not_critical() -> None:
    desk = Desk(online=False)
    desk.feed(CHANGED, *[TAMPER] * (MAX_QUEUE - 3), CHANGED)
    assert desk.queue().count(CHANGED.kind) == 2
    desk.feed(TAMPER)
    assert (len(desk.queue()), desk.queue()[-2:]) == (MAX_QUEUE, [CHANGED.kind, TAMPER.kind])


def test_a_queue_full_of_critical_events_loses_its_oldest() -> None:
    desk = Desk(online=False)
    desk.feed(*[TAMPER] * (MAX_QUEUE + 1))
    assert min(map(int, desk.stored[QUEUE])) == 3
    assert len(desk.queue()) == MAX_QUEUE


def test_an_event_on_its_way_is_not_the_one_that_a_full_queue_loses() -> None:
    desk = Desk().quiet()
    desk.feed(CHANGED, *[TAMPER] * MAX_QUEUE)
    assert str(desk.asked[-1].number) in desk.stored[QUEUE]


def test_the_log_is_bounded_and_loses_its_oldest_line() -> None:
    desk = Desk(online=False)
    desk.feed(*[TAMPER] * MAX_LOG)
    assert len(desk.stored[LOG]) == len(desk.block.lines()) == MAX_LOG
    assert "1" not in desk.stored[LOG]


@pytest.mark.parametrize(("rare", "flood"), [(TAMPER, CHANGED), (CHANGED, TAMPER)], ids=["lesser", "critical"])
def test_no_flood_washes_events_of_another_weight_out_of_the_log(rare: SecurityEvent, flood: SecurityEvent) -> None:
    desk = Desk(online=False)
    desk.feed(rare, *[flood] * (2 * MAX_LOG))
    lines = desk.block.lines()
    assert (len(desk.stored[LOG]), len(lines)) == (MAX_LOG, MAX_LOG)
    assert sum(rare.kind in line for line in lines) == 1


def test_the_log_outlives_a_restart() -> None:
    before = Desk()
    before.feed(TAMPER)
    assert Desk(before.stored).block.lines()[:2] == before.block.lines()


def test_the_log_is_told_between_two_moments() -> None:
    desk = Desk().quiet()
    desk.wait(100)
    desk.feed(TAMPER)
    here = desk.now.utc
    desk.wait(100)
    desk.feed(CHANGED)
    assert len(desk.block.lines()) == 3
    assert [line.split()[2] for line in desk.block.lines(here - 1, here + 1)] == [TAMPER.kind]


def test_a_flood_is_counted_and_costs_no_write_each() -> None:
    desk = Desk().quiet()
    before = desk.writes
    desk.feed(*[SecurityEvent("InvalidMessages", f"frame {n}") for n in range(1000)])
    assert desk.writes == before + 2  # one line of the log, one of the queue
    desk.take()
    desk.wait(600)
    assert (desk.asked[-1].kind, desk.asked[-1].info) == (
        "InvalidMessages",
        "999 more in 10 min, the last: frame 999",
    )


def test_a_flood_that_goes_on_is_told_ever_more_rarely_but_at_least_once_a_day() -> None:
    desk = Desk(online=False)
    for _ in range(14 * 24 * 60):
        desk.feed(SecurityEvent("InvalidMessages"))
        desk.wait(60)
    lines = [line for line in desk.block.lines() if "InvalidMessages" in line]
    assert 14 <= len(lines) <= 25


def test_a_kind_that_was_quiet_long_enough_is_told_at_once_again() -> None:
    desk = Desk().quiet()
    desk.feed(LOGIN)
    desk.take()
    desk.wait(3601)
    desk.feed(LOGIN)
    assert [n.info for n in desk.asked] == ["401", "401"]


# --- a CSMS that does not take it ---


def test_a_refused_event_gives_way_after_its_attempts_and_every_one_was_the_same_message() -> None:
    desk = Desk().quiet()
    desk.feed(TAMPER, LOGIN)
    for _ in range(MAX_ATTEMPTS):
        desk.fail("NotSupported: unknown")
        desk.wait(RETRY_S * MAX_ATTEMPTS)
    assert len(set(desk.asked[:MAX_ATTEMPTS])) == 1
    assert [n.kind for n in desk.asked[MAX_ATTEMPTS:]] == [LOGIN.kind]
    assert [note.code for note in desk.notes if note.code == "SecurityEventNotTold"] == ["SecurityEventNotTold"]


def test_a_csms_that_refuses_them_all_is_asked_once_for_each() -> None:
    desk = Desk()
    desk.feed(*[TAMPER] * 5)
    for _ in range(MAX_ATTEMPTS + 5):
        desk.fail("InternalError")
        desk.wait(RETRY_S * MAX_ATTEMPTS)
    assert (desk.block.waiting, len(desk.asked)) == (0, MAX_ATTEMPTS + 5)
    warnings = [note for note in desk.notes if note.code == "SecurityEventNotTold" and note.level == "warning"]
    assert len(warnings) == 1


def test_a_refusal_is_not_repeated_at_once() -> None:
    desk = Desk().quiet()
    desk.feed(TAMPER)
    desk.fail("InternalError")
    desk.wait(RETRY_S - 1)
    assert len(desk.asked) == 1


def test_the_log_keeps_what_the_csms_does_not_take() -> None:
    desk = Desk()
    for _ in range(MAX_ATTEMPTS):
        desk.fail("NotImplemented")
        desk.wait(RETRY_S * MAX_ATTEMPTS)
    assert desk.queue() == []
    assert "StartupOfTheDevice" in desk.block.lines()[0]


def test_an_event_that_was_not_answered_waits_until_the_csms_answers_something() -> None:
    desk = Desk().quiet()
    desk.feed(TAMPER)
    desk.fail("timeout")
    assert desk.heartbeats == 1
    desk.wait(3600)
    assert len(desk.asked) == 1
    desk.feed(HeartbeatAnswered())
    desk.wait(RETRY_S)
    assert desk.asked == [desk.asked[0]] * 2


def test_silence_that_ends_with_the_link_costs_no_attempt() -> None:
    desk = Desk().quiet()
    desk.feed(TAMPER)
    for _ in range(10):
        desk.fail("timeout")
        desk.online(False)
        desk.feed(LinkDown("dead"))
        desk.online()
        desk.feed(LinkUp(False))
    assert desk.block.waiting == 1
    assert desk.asked == [desk.asked[0]] * 11


def test_a_csms_that_answers_all_but_this_does_not_hold_up_the_others_for_ever() -> None:
    desk = Desk().quiet()
    desk.feed(TAMPER, LOGIN)
    for _ in range(MAX_ATTEMPTS):
        desk.fail("timeout")
        desk.feed(HeartbeatAnswered())
        desk.wait(RETRY_S * MAX_ATTEMPTS)
    assert desk.asked[-1].kind == LOGIN.kind


def test_an_event_whose_link_broke_is_told_again_on_the_next_link() -> None:
    desk = Desk().quiet()
    desk.feed(TAMPER)
    desk.online(False)
    desk.feed(LinkDown("cut"))
    desk.fail("offline")
    assert len(desk.asked) == 1
    desk.online()
    desk.feed(LinkUp(False))
    assert desk.asked == [desk.asked[0]] * 2


def test_an_event_that_found_no_room_in_the_outbox_is_asked_again_later() -> None:
    desk = Desk().quiet()
    desk.feed(TAMPER)
    desk.fail("dropped")
    desk.wait(RETRY_S)
    assert len(desk.asked) == 2


# --- the switch ---


def test_when_switched_off_events_are_only_logged() -> None:
    desk = Desk(SecurityCtrlr__EventNotificationEnabled="false")
    desk.feed(TAMPER)
    assert (desk.asked, desk.queue(), len(desk.block.lines())) == ([], [], 2)


def test_what_waits_when_it_is_switched_off_is_dropped() -> None:
    desk = Desk(online=False)
    desk.facts.variables.layer("config", {ENABLED: "false"})
    desk.online()
    desk.feed(LinkUp(True))
    assert (desk.asked, desk.queue()) == ([], [])
