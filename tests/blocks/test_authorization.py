"""Who may charge, by whose word, and where."""

from __future__ import annotations

import pytest

from agent.blocks.cache import TokenCache
from agent.core.effects import Ask, Authorize, Forget, Note, StatusAnswer
from agent.core.events import (
    CallFailed,
    LinkDown,
    TokenAnswered,
    TransactionAnswered,
)
from agent.core.requests import AvailabilityRequested, ClearCacheRequested, Ref, StartRequested
from agent.core.types import StopReason, TokenInfo, TokenStatus, Trigger, TxKind
from drivers.api import IdToken, Pilot
from tests.blocks.helpers import ACCEPTED, CARD, OTHER_CARD, Bench, of, offers

BLOCKED = TokenInfo(TokenStatus.BLOCKED)
GROUP = IdToken("GROUP-1", "Central")
IN_GROUP = TokenInfo(TokenStatus.ACCEPTED, GROUP)


def asked(bench: Bench) -> list[str]:
    calls = [ask.call for ask in of(bench.effects, Ask)]
    return [call.token.value for call in calls if isinstance(call, Authorize)]


def test_online_the_csms_is_asked() -> None:
    bench = Bench().ready()
    bench.tap(info=None)
    assert asked(bench) == [CARD.value]
    assert bench.evse.grant is None


def test_a_card_that_is_held_there_is_asked_about_once() -> None:
    bench = Bench().ready()
    bench.tap(info=None)
    bench.tap(info=None)
    assert asked(bench) == [CARD.value]


@pytest.mark.parametrize("status", [s for s in TokenStatus if s is not TokenStatus.ACCEPTED])
def test_whatever_is_not_accepted_is_refused(status: TokenStatus) -> None:
    bench = Bench().ready()
    bench.tap(info=TokenInfo(status))
    assert bench.evse.grant is None


def test_a_card_that_the_csms_accepts_now_is_accepted_whatever_its_date() -> None:
    """Some central systems tell a date by another zone's clock; it is the cache's."""
    bench = Bench().ready()
    bench.tap(info=TokenInfo(TokenStatus.ACCEPTED, expires=bench.utc - 3600))
    assert bench.evse.grant is not None


@pytest.mark.parametrize(("date_s", "granted"), [(60, False), (600, True)])
def test_an_accepted_card_past_its_date_is_refused(date_s: int, granted: bool) -> None:
    bench = Bench().ready()
    bench.tap(info=TokenInfo(TokenStatus.ACCEPTED, expires=bench.utc + date_s))
    bench.wait(300)
    assert bench.evse.grant is None
    bench.feed(LinkDown())
    bench.tap(info=None)
    assert (bench.evse.grant is not None) is granted


def test_pre_authorize_lets_the_cache_answer() -> None:
    bench = Bench(AuthCtrlr__LocalPreAuthorize="true").ready()
    bench.tap()
    bench.wait(200)
    bench.effects.clear()
    bench.tap(info=None)
    assert asked(bench) == []
    assert bench.evse.grant is not None


def test_a_card_blocked_in_the_cache_is_asked_about_again() -> None:
    bench = Bench(AuthCtrlr__LocalPreAuthorize="true").ready()
    bench.tap(info=BLOCKED)
    bench.tap(info=ACCEPTED)
    assert asked(bench) == [CARD.value, CARD.value]
    assert bench.evse.grant is not None


def test_offline_a_known_card_charges_and_a_stranger_does_not() -> None:
    bench = Bench().ready()
    bench.tap()
    bench.wait(200)
    bench.feed(LinkDown("cut"))
    bench.tap(OTHER_CARD)
    assert bench.evse.grant is None
    bench.tap(CARD)
    assert bench.evse.grant is not None


def test_offline_a_stranger_may_charge_when_told_so_but_a_blocked_card_never() -> None:
    bench = Bench(AuthCtrlr__OfflineTxForUnknownIdEnabled="true").ready()
    bench.tap(CARD, BLOCKED)
    bench.feed(LinkDown("cut"))
    bench.tap(CARD)
    assert bench.evse.grant is None
    bench.tap(OTHER_CARD)
    assert bench.evse.grant is not None


def test_offline_charging_can_be_forbidden() -> None:
    bench = Bench(AuthCtrlr__LocalAuthorizeOffline="false").ready()
    bench.tap()
    bench.wait(200)
    bench.feed(LinkDown("cut"))
    bench.tap()
    assert bench.evse.grant is None


def test_a_question_without_answer_is_decided_as_offline() -> None:
    bench = Bench().ready()
    bench.tap()
    bench.wait(200)
    (call,) = [ask.call for ask in of(bench.tap(info=None), Ask)]
    bench.feed(CallFailed(call, "timeout"))
    assert bench.evse.grant is not None


def test_a_card_that_waits_at_several_is_told_to_the_technician_and_so_is_its_end() -> None:
    bench = Bench(evses=2, TxCtrlr__EVConnectionTimeOut="30").ready()
    bench.tap(evses=(1, 2))
    bench.wait(31)
    notes = [(note.code, note.text) for note in of(bench.effects, Note) if note.code != "Offer"]
    assert notes == [
        ("Authorized", "card ..B2C3 may charge at EVSE 1 or 2"),
        ("GrantLapsed", "card ..B2C3 has lapsed: nobody plugged in at EVSE 1 or 2"),
    ]


def test_a_grant_lapses_when_nobody_plugs_in() -> None:
    bench = Bench(TxCtrlr__EVConnectionTimeOut="90").ready()
    bench.tap()
    bench.wait(89)
    assert bench.evse.grant is not None
    bench.wait(2)
    assert bench.evse.grant is None


def test_the_same_card_again_before_plugging_in_takes_it_back() -> None:
    bench = Bench().ready()
    bench.tap()
    bench.tap()
    assert bench.evse.grant is None


def test_a_card_that_waits_for_a_car_anywhere_chooses_the_place_where_it_is_shown_next() -> None:
    bench = Bench(2).ready()
    bench.tap(evses=(1, 2))
    again = bench.tap(evses=(2,), info=None)
    first, second = bench.station.facts.evses.values()
    assert (first.grant, second.grant is not None) == (None, True)
    assert not any(isinstance(ask.call, Authorize) for ask in of(again, Ask))
    bench.read(Pilot.B, evse=1)
    assert first.grant is None


def test_a_card_of_the_same_group_stops_it() -> None:
    bench = Bench().ready()
    bench.tap(CARD, IN_GROUP)
    bench.read(Pilot.B)
    bench.tap(OTHER_CARD, IN_GROUP)
    assert bench.evse.tx is not None
    assert bench.evse.tx.stop is not None
    assert (bench.evse.tx.stop.reason, bench.evse.tx.stop.token) == (StopReason.LOCAL, OTHER_CARD)


def test_a_stranger_cannot_stop_it() -> None:
    bench = Bench().ready()
    bench.charge()
    assert offers(bench.tap(OTHER_CARD)) == []


def test_the_group_may_come_with_the_answer_to_the_start() -> None:
    bench = Bench().ready()
    bench.charge()
    bench.feed(TransactionAnswered(bench.journal[0], IN_GROUP, "1"))
    assert offers(bench.tap(OTHER_CARD, IN_GROUP)) == [0.0]


def test_a_master_pass_stops_but_does_not_start() -> None:
    bench = Bench(AuthCtrlr__MasterPassGroupId="GROUP-1").ready()
    bench.tap(OTHER_CARD, IN_GROUP)
    assert bench.evse.grant is None
    bench.charge()
    bench.tap(OTHER_CARD, IN_GROUP)
    assert bench.evse.tx is not None
    assert bench.evse.tx.stop is not None
    assert bench.evse.tx.stop.reason is StopReason.MASTER_PASS


def test_of_two_evses_the_one_plugged_in_last_is_meant() -> None:
    bench = Bench(evses=2).ready()
    bench.read(Pilot.B, 2)
    bench.wait(1)
    bench.read(Pilot.B, 1)
    bench.tap(evses=(1, 2))
    assert bench.station.facts.evses[1].grant is not None
    assert bench.station.facts.evses[2].grant is None


def finished_at_1(evses: int = 2) -> Bench:
    """A car has been charged at EVSE 1 and is still there."""
    bench = Bench(evses).ready()
    bench.charge()
    bench.tap()
    bench.read(Pilot.B)
    bench.wait(2)
    bench.meter()
    assert bench.journal[-1].kind is TxKind.ENDED
    bench.effects.clear()
    return bench


def test_a_card_is_not_meant_for_a_car_that_has_finished_while_there_is_room_for_another() -> None:
    bench = finished_at_1()
    bench.tap(OTHER_CARD, evses=(1, 2))
    assert bench.journal == []
    bench.read(Pilot.B, evse=2)
    bench.meter(evse=2)
    assert [(event.evse, event.token) for event in bench.journal if event.kind is TxKind.STARTED] == [(2, OTHER_CARD)]


@pytest.mark.parametrize("evses", [(1,), (1, 2)])
def test_a_card_charges_a_finished_car_anew_where_it_can_be_meant_for_no_other(evses: tuple[int, ...]) -> None:
    bench = finished_at_1(len(evses))
    if len(evses) == 2:
        bench.feed(AvailabilityRequested(Ref("1", "x"), False, 2))
    bench.tap(OTHER_CARD, evses=evses)
    assert [(event.evse, event.kind) for event in bench.journal[:1]] == [(1, TxKind.STARTED)]


def test_a_card_stops_what_its_group_charges_though_a_finished_car_stands_beside() -> None:
    bench = finished_at_1()
    bench.tap(CARD, IN_GROUP, evses=(2,))
    bench.read(Pilot.B, evse=2)
    bench.tap(OTHER_CARD, IN_GROUP, evses=(1, 2))
    tx = bench.station.facts.evses[2].tx
    assert tx is not None and tx.stop is not None and tx.stop.token == OTHER_CARD


def test_with_nothing_plugged_in_the_first_plug_takes_the_grant() -> None:
    bench = Bench(evses=2).ready()
    bench.tap(evses=(1, 2))
    bench.wait(10)
    bench.read(Pilot.B, 2)
    assert bench.station.facts.evses[2].grant is not None
    assert bench.station.facts.evses[1].grant is None


def test_card_values_compare_without_regard_to_case() -> None:
    bench = Bench().ready()
    bench.charge()
    assert offers(bench.tap(IdToken(CARD.value.lower()))) == [0.0]


def test_a_remote_start_needs_no_question_unless_told_so() -> None:
    bench = Bench().ready()
    bench.feed(StartRequested(Ref("1", "x"), CARD, 1))
    assert asked(bench) == []
    bench.read(Pilot.B)
    assert bench.journal[0].trigger is Trigger.CABLE_PLUGGED_IN or bench.journal[0].trigger is Trigger.REMOTE_START


def test_authorize_remote_start_asks_first() -> None:
    bench = Bench(AuthCtrlr__AuthorizeRemoteStart="true").ready()
    bench.feed(StartRequested(Ref("1", "x"), CARD, 1))
    assert bench.replies == [StatusAnswer("Accepted")]
    assert asked(bench) == [CARD.value]
    bench.feed(TokenAnswered(Authorize(CARD, (1,), "remote"), BLOCKED))
    assert bench.evse.grant is None


def test_the_cache_survives_a_restart_and_can_be_cleared() -> None:
    bench = Bench().ready()
    bench.tap()
    again = Bench()
    again.restart(bench)
    again.read()
    again.meter()
    again.tap()
    assert again.evse.grant is not None
    effects = again.feed(ClearCacheRequested(Ref("1", "ClearCache")))
    assert Forget("auth_cache") in effects


def test_a_full_cache_forgets_a_card_that_is_not_valid_before_a_valid_one() -> None:
    bench = Bench()
    cache, forgotten = TokenCache(bench.variables), []
    for n in range(1004):
        info = BLOCKED if n in (5, 999, 1000) else ACCEPTED
        effects = list(cache.learn(IdToken(f"{n:04}"), info, bench.now))
        forgotten += [effect.key for effect in of(effects, Forget)]
    assert forgotten == ["0005", "0999", "1000", "0000"]


def test_the_cache_is_bounded() -> None:
    bench = Bench().ready()
    for n in range(1005):
        bench.tap(IdToken(f"{n:08X}"), BLOCKED)
    assert len([e for e in of(bench.effects, Forget) if e.table == "auth_cache"]) == 5


def test_a_faulted_evse_takes_no_card() -> None:
    bench = Bench().ready()
    bench.read(Pilot.F)
    bench.tap()
    assert asked(bench) == []
    assert bench.evse.grant is None
