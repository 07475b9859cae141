"""Charging profiles in the whole station: with a remote start, through a transaction, over a restart."""

from __future__ import annotations

from typing import Any

import pytest

from agent.blocks.profiles import Profiles
from agent.core.effects import Ask, Authorize, Forget, Remember, Reply, StatusAnswer
from agent.core.events import OpenTransaction, Restored, TokenAnswered
from agent.core.profile import Kind, Period, Profile, Purpose
from agent.core.record import replace
from agent.core.requests import (
    ProfileClearRequested,
    ProfileSetRequested,
    Ref,
    StartRequested,
)
from agent.core.types import TokenInfo, TokenStatus
from drivers.api import IdToken, Pilot
from tests.blocks.helpers import ACCEPTED, CARD, OTHER_CARD, Bench, of, offers

REF = Ref("1", "any")
SLOW = Profile(7, 0, Purpose.TX, Kind.RELATIVE, "A", (Period(0, 10.0), Period(600, 16.0)))


def start(token: IdToken = CARD, profile: Profile | None = SLOW, evse: int | None = 1) -> StartRequested:
    return StartRequested(REF, token, evse=evse, profile=profile)


def judge(bench: Bench, info: TokenInfo = ACCEPTED) -> None:
    """The CSMS answers whatever was asked about the remote start's token."""
    asks = [ask.call for ask in of(bench.effects, Ask) if isinstance(ask.call, Authorize)]
    if asks:
        bench.feed(TokenAnswered(asks[-1], info))


def block(bench: Bench) -> Profiles:
    return next(block for block in bench.station.blocks if isinstance(block, Profiles))


def kept(bench: Bench) -> list[str]:
    return [effect.key for effect in of(bench.effects, Remember) if effect.table == "profiles"]


def test_the_profile_of_a_remote_start_limits_its_transaction() -> None:
    bench = Bench().ready()
    bench.feed(start())
    judge(bench)
    bench.read(Pilot.B)
    assert offers(bench.effects)[-1] == 10.0


def test_the_profile_of_a_remote_start_limits_from_the_first_offer_on() -> None:
    bench = Bench().ready()
    bench.feed(start())
    judge(bench)
    bench.read(Pilot.B)
    assert [offer for offer in offers(bench.effects) if offer] == [10.0]


def test_the_profile_of_a_remote_start_is_kept_only_when_its_transaction_begins() -> None:
    bench = Bench().ready()
    bench.feed(start())
    judge(bench)
    assert kept(bench) == []
    bench.read(Pilot.B)
    assert kept(bench) == ["7"]


def test_the_profile_of_a_remote_start_limits_also_power_that_comes_before_the_transaction() -> None:
    bench = Bench(TxCtrlr__TxStartPoint="EnergyTransfer").ready()
    bench.feed(start())
    judge(bench)
    bench.read(Pilot.B)
    assert (bench.evse.tx, bench.evse.offer_a) == (None, 10.0)


def test_the_profile_of_a_remote_start_joins_a_transaction_that_runs_without_a_token() -> None:
    bench = Bench(TxCtrlr__TxStartPoint="EVConnected").ready()
    bench.read(Pilot.B)
    bench.feed(start())
    judge(bench)
    assert (kept(bench), bench.evse.limit_a) == (["7"], 10.0)


def test_the_profile_goes_with_whichever_evse_is_plugged_in() -> None:
    bench = Bench(evses=2).ready()
    bench.feed(start(evse=None))
    judge(bench)
    bench.read(Pilot.B, evse=2)
    evses = bench.station.facts.evses
    assert (evses[1].limit_a, evses[2].limit_a) == (None, 10.0)


def test_a_start_that_is_refused_at_once_leaves_nothing() -> None:
    bench = Bench().ready()
    bench.charge()
    bench.feed(start(OTHER_CARD))
    assert (kept(bench), bench.evse.limit_a) == ([], None)


def test_a_start_that_the_csms_then_refuses_leaves_nothing() -> None:
    bench = Bench(AuthCtrlr__AuthorizeRemoteStart="true").ready()
    bench.feed(start())
    judge(bench, TokenInfo(TokenStatus.INVALID))
    bench.tap()
    bench.read(Pilot.B)
    assert (kept(bench), bench.evse.limit_a) == ([], None)


def test_a_start_that_the_csms_then_refuses_leaves_nothing_in_memory() -> None:
    bench = Bench(AuthCtrlr__AuthorizeRemoteStart="true").ready()
    bench.feed(start())
    judge(bench, TokenInfo(TokenStatus.INVALID))
    assert block(bench)._wishes._wished == {}


def test_a_start_that_lapses_limits_no_more() -> None:
    bench = Bench(TxCtrlr__EVConnectionTimeOut="30").ready()
    bench.feed(start())
    judge(bench)
    assert bench.evse.limit_a == 10.0
    bench.wait(31)
    assert bench.evse.limit_a is None


def test_a_card_that_calls_its_own_remote_start_off_charges_without_its_profile() -> None:
    bench = Bench(evses=2).ready()
    bench.feed(start(evse=None))
    judge(bench)
    bench.tap(evses=(1, 2))
    bench.read(Pilot.B)
    bench.tap()
    assert (bench.evse.offer_a, kept(bench)) == (32.0, [])


def test_a_start_that_lapses_leaves_nothing_for_the_next_transaction() -> None:
    bench = Bench(TxCtrlr__EVConnectionTimeOut="30").ready()
    bench.feed(start())
    judge(bench)
    bench.wait(31)
    bench.tap()
    bench.read(Pilot.B)
    assert (kept(bench), bench.evse.limit_a) == ([], None)


def test_a_second_start_of_the_same_card_without_a_profile_has_none() -> None:
    bench = Bench(evses=2, TxCtrlr__EVConnectionTimeOut="30").ready()
    bench.feed(start(evse=None))
    judge(bench)
    bench.wait(31)  # it floated, and nobody came
    bench.feed(start(profile=None))
    judge(bench)
    bench.read(Pilot.B)
    assert (kept(bench), bench.evse.limit_a) == ([], None)


def test_a_profile_that_breaks_a_rule_does_not_come_along() -> None:
    bench = Bench().ready()
    bench.feed(start(profile=replace(SLOW, periods=(Period(5, 1.0),))))
    judge(bench)
    bench.read(Pilot.B)
    assert (kept(bench), bench.evse.limit_a) == ([], None)


def test_without_smart_charging_the_profile_of_a_start_is_not_looked_at() -> None:
    """Section 5.11."""
    bench = Bench(SmartChargingCtrlr__Enabled="false").ready()
    bench.feed(start(profile=replace(SLOW, purpose=Purpose.TX_DEFAULT)))
    assert bench.replies == [StatusAnswer("Accepted")]
    bench.read(Pilot.B)
    assert (offers(bench.effects)[-1], kept(bench)) == (32.0, [])


def test_a_start_may_bring_only_a_transaction_profile() -> None:
    bench = Bench()
    assert block(bench).refuses_start(replace(SLOW, purpose=Purpose.TX_DEFAULT), bench.now) == "InvalidProfile"
    assert block(bench).refuses_start(SLOW, bench.now) == ""


@pytest.mark.parametrize("criteria", [{"profile_id": 7}, {"purpose": "TxProfile"}, {"evse": 1}, {}])
def test_a_clear_takes_also_the_profile_of_a_start_whose_transaction_is_to_come(criteria: dict[str, Any]) -> None:
    bench = Bench().ready()
    bench.feed(start())
    judge(bench)
    assert bench.feed(ProfileClearRequested(REF, **criteria))[0] == Reply(REF, StatusAnswer("Accepted"))
    bench.read(Pilot.B)
    assert (kept(bench), bench.evse.limit_a) == ([], None)


def test_a_clear_of_something_else_leaves_the_profile_of_a_start() -> None:
    bench = Bench().ready()
    bench.feed(start())
    judge(bench)
    bench.feed(ProfileClearRequested(REF, 8))
    bench.read(Pilot.B)
    assert kept(bench) == ["7"]


def test_a_clear_takes_the_profile_of_a_start_that_has_chosen_no_evse_yet() -> None:
    bench = Bench(evses=2).ready()
    bench.feed(start(evse=None))
    judge(bench)
    bench.feed(ProfileClearRequested(REF, purpose="TxProfile"))
    bench.read(Pilot.B, evse=2)
    assert kept(bench) == []


def test_a_running_transaction_follows_its_schedule_by_itself() -> None:
    bench = Bench().ready()
    bench.charge()
    bench.feed(ProfileSetRequested(REF, 1, SLOW))
    assert bench.evse.offer_a == 10.0
    bench.wait(600)
    assert bench.evse.offer_a == 16.0


def test_less_than_six_amperes_is_a_pause() -> None:
    bench = Bench().ready()
    bench.charge()
    bench.feed(ProfileSetRequested(REF, 1, replace(SLOW, periods=(Period(0, 5.9),))))
    assert bench.evse.offer_a == 0.0


def test_a_profile_cleared_in_a_transaction_gives_the_current_back() -> None:
    bench = Bench().ready()
    bench.charge()
    bench.feed(ProfileSetRequested(REF, 1, SLOW))
    assert bench.evse.offer_a == 10.0
    bench.feed(ProfileClearRequested(REF, 7))
    assert bench.evse.offer_a == 32.0


def test_the_offer_names_the_profile_that_sets_it() -> None:
    bench = Bench().ready()
    bench.charge()
    bench.feed(ProfileSetRequested(REF, 1, SLOW))
    assert "10 A: transaction profile 7 at stack level 0" in bench.evse.explanation


def test_the_end_of_the_transaction_ends_its_profile() -> None:
    bench = Bench().ready()
    bench.charge()
    bench.feed(ProfileSetRequested(REF, 1, SLOW))
    bench.read(Pilot.A)
    bench.wait(1)
    bench.meter()
    assert Forget("profiles", "7") in bench.effects


def test_after_a_restart_the_transaction_goes_on_under_its_profile() -> None:
    before = Bench().ready()
    before.charge()
    before.feed(ProfileSetRequested(REF, 1, SLOW))
    tables = {name: dict(table) for name, table in before.remembered.items()}
    (transaction,) = tables["open"]
    snapshot = tables["open"][transaction]
    assert isinstance(snapshot, dict)
    after = Bench()
    after.mono += 60
    after.utc += 60
    after.feed(Restored(tables, (OpenTransaction(transaction, 3, snapshot),)))
    after.online()
    after.read(Pilot.C)
    after.meter()
    assert after.evse.offer_a == 10.0
