"""The local authorization list: what is taken and refused, whom it lets charge, what it costs."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import pytest

from agent.core.effects import (
    Ask,
    Authorize,
    Effect,
    Forget,
    Note,
    Remember,
    Reply,
    Status,
    StatusAnswer,
    VersionAnswer,
)
from agent.core.events import (
    LinkDown,
    RemoteStartWanted,
    Restored,
    StorageFailed,
    TransactionAnswered,
)
from agent.core.requests import LocalListRequested, LocalListSent, Ref
from agent.core.types import ListEntry, TokenInfo, TokenStatus
from agent.store.store import Store
from drivers.api import IdToken
from tests.blocks.helpers import ACCEPTED, CARD, OTHER_CARD, Bench, of

BLOCKED = TokenInfo(TokenStatus.BLOCKED)
GROUP = IdToken("FLEET")


def listed(*cards: IdToken, info: TokenInfo | None = ACCEPTED) -> tuple[ListEntry, ...]:
    return tuple(ListEntry(card, info) for card in cards)


def many(count: int, start: int = 0) -> tuple[ListEntry, ...]:
    return listed(*(IdToken(f"{n:014X}") for n in range(start, start + count)))


class Desk(Bench):
    """A bench with a CSMS that sends lists."""

    def send(self, version: int, *entries: ListEntry, full: bool = True) -> str:
        found = self.feed(LocalListSent(Ref("m", "SendLocalList"), version, full, entries))
        (answer,) = [reply.answer for reply in of(found, Reply)]
        assert isinstance(answer, StatusAnswer)
        return answer.status

    def change(self, version: int, *entries: ListEntry) -> str:
        return self.send(version, *entries, full=False)

    @property
    def version(self) -> int:
        found = self.feed(LocalListRequested(Ref("m", "GetLocalListVersion")))
        (answer,) = [reply.answer for reply in of(found, Reply)]
        assert isinstance(answer, VersionAnswer)
        return answer.version

    def size(self) -> int:
        row = self.variables.find("LocalAuthListCtrlr.Entries")
        assert row is not None
        return int(self.variables.view(row.id, self.now).value or "")

    def offline(self) -> Desk:
        self.feed(LinkDown("cut"))
        return self

    def grants(self, card: IdToken = CARD) -> bool:
        """A card is held to the reader; nobody answers what is asked."""
        self.tap(card, None)
        granted = self.evse.grant is not None
        if granted:
            self.tap(card, None)  # and taken back
        return granted

    def asks(self, card: IdToken = CARD) -> bool:
        return any(isinstance(ask.call, Authorize) for ask in of(self.tap(card, None), Ask))


def desk(**variables: str) -> Desk:
    found = Desk(**variables)  # type: ignore[arg-type]
    found.ready()
    return found


# --- what is taken ------------------------------------------------------------------------------------------


def test_a_new_station_has_the_empty_list_0() -> None:
    assert desk().version == 0


def test_a_full_list_replaces_what_was_there() -> None:
    d = desk()
    assert d.send(7, *listed(CARD)) == "Accepted"
    assert d.send(8, *listed(OTHER_CARD)) == "Accepted"
    assert (d.version, d.size()) == (8, 1)
    d.offline()
    assert not d.grants(CARD)
    assert d.grants(OTHER_CARD)


def test_a_full_list_may_have_a_lower_version() -> None:
    d = desk()
    d.send(7, *listed(CARD))
    assert d.send(3, *listed(CARD)) == "Accepted"
    assert d.version == 3


def test_a_differential_update_adds_changes_and_takes_out() -> None:
    d = desk()
    third = IdToken("33")
    d.send(1, *listed(CARD, OTHER_CARD))
    assert d.change(2, ListEntry(CARD, None), ListEntry(OTHER_CARD, BLOCKED), ListEntry(third, ACCEPTED)) == "Accepted"
    assert (d.version, d.size()) == (2, 2)
    d.offline()
    assert [d.grants(card) for card in (CARD, OTHER_CARD, third)] == [False, False, True]


def test_taking_out_what_is_not_there_is_no_mistake() -> None:
    d = desk()
    d.send(1, *listed(CARD))
    assert d.change(2, ListEntry(OTHER_CARD, None)) == "Accepted"
    assert (d.version, d.size()) == (2, 1)


@pytest.mark.parametrize("version", [4, 5])
def test_a_differential_update_to_the_same_or_an_older_version_is_a_mismatch(version: int) -> None:
    d = desk()
    d.send(5, *listed(CARD))
    assert d.change(version, *listed(OTHER_CARD)) == "VersionMismatch"
    assert (d.version, d.size()) == (5, 1)


def test_a_gap_between_versions_is_no_mismatch() -> None:
    d = desk()
    d.send(5, *listed(CARD))
    assert d.change(9, *listed(OTHER_CARD)) == "Accepted"


def test_a_differential_update_of_an_empty_list_begins_it() -> None:
    d = desk()
    assert d.change(1, *listed(CARD)) == "Accepted"
    assert d.version == 1


@pytest.mark.parametrize("version", [0, 6])
def test_an_empty_full_list_clears_and_has_version_0(version: int) -> None:
    d = desk()
    d.send(5, *listed(CARD))
    assert d.send(version) == "Accepted"
    assert (d.version, d.size()) == (0, 0)
    assert d.change(1, *listed(CARD)) == "Accepted"  # what was told as 0 is followed by 1


@pytest.mark.parametrize(
    ("version", "full", "entries"),
    [
        (0, True, listed(CARD)),
        (-1, True, listed(CARD)),
        (-1, True, ()),
        (0, False, listed(CARD)),
        (9, True, listed(CARD, CARD)),
        (9, True, listed(IdToken("aB"), IdToken("Ab"))),
        (9, False, (ListEntry(CARD, ACCEPTED), ListEntry(CARD, None))),
        (9, True, listed(IdToken(" "))),
        (9, True, listed(CARD, info=None)),
        (9, True, many(251)),
        (9, False, many(251)),
    ],
    ids=[
        "version 0",
        "version -1",
        "empty, version -1",
        "differential, version 0",
        "twice",
        "twice but for case",
        "twice, once out",
        "blank",
        "full without info",
        "too many at once",
        "too many at once, differential",
    ],
)
def test_what_breaks_a_rule_fails_and_changes_nothing(version: int, full: bool, entries: tuple[ListEntry, ...]) -> None:
    d = desk()
    d.send(5, *listed(CARD))
    before = dict(d.remembered["local_list"])
    assert d.send(version, *entries, full=full) == "Failed"
    assert (d.version, d.size(), d.remembered["local_list"]) == (5, 1, before)


def test_as_many_as_are_advertised_are_taken_at_once() -> None:
    d = desk()
    assert d.variables.text("LocalAuthListCtrlr.ItemsPerMessage") == "250"
    assert d.send(1, *many(250)) == "Accepted"


def test_the_list_has_a_bound_and_what_goes_makes_room() -> None:
    d = desk()
    for n in range(40):
        assert d.change(n + 1, *many(250, n * 250)) == "Accepted"
    assert d.size() == 10_000
    assert d.change(41, *listed(CARD)) == "Failed"
    assert d.change(41, *many(250)) == "Accepted"  # all there already
    assert d.change(42, *listed(CARD), ListEntry(IdToken(f"{0:014X}"), None)) == "Accepted"
    assert d.size() == 10_000


def test_a_list_that_is_switched_off_is_not_supported_and_lets_nobody_charge() -> None:
    d = desk(AuthCtrlr__LocalPreAuthorize="true")
    d.send(5, *listed(CARD))
    d.variables.write(next(r.id for r in d.variables.rows() if str(r.id) == "LocalAuthListCtrlr.Enabled"), "false")
    assert d.version == -1
    assert d.send(6, *listed(CARD)) == "NotSupported"
    assert d.asks(CARD)
    d.offline()
    assert not d.grants(OTHER_CARD)


def test_an_update_fails_while_the_disk_refuses() -> None:
    d = desk()
    d.feed(StorageFailed("full"))
    assert d.send(1, *listed(CARD)) == "Failed"


# --- whom it lets charge ------------------------------------------------------------------------------------


def test_offline_the_list_lets_its_cards_charge() -> None:
    d = desk()
    d.send(1, *listed(CARD))
    d.offline()
    assert d.grants(IdToken(CARD.value.lower()))


def test_offline_the_list_is_silent_where_local_authorize_offline_is_off() -> None:
    d = desk(AuthCtrlr__LocalAuthorizeOffline="false")
    d.send(1, *listed(CARD))
    assert not d.offline().grants()


@pytest.mark.parametrize("status", [TokenStatus.BLOCKED, TokenStatus.EXPIRED, TokenStatus.INVALID])
def test_offline_a_listed_card_that_is_not_valid_is_refused_though_strangers_may_charge(status: TokenStatus) -> None:
    d = desk(AuthCtrlr__OfflineTxForUnknownIdEnabled="true")
    d.send(1, *listed(CARD, info=TokenInfo(status)))
    d.offline()
    assert not d.grants(CARD)
    assert d.grants(OTHER_CARD)


def test_offline_a_card_that_is_in_use_elsewhere_is_a_valid_card() -> None:
    d = desk()
    d.send(1, *listed(CARD, info=TokenInfo(TokenStatus.CONCURRENT_TX)))
    assert d.offline().grants()


def test_a_listed_card_expires() -> None:
    d = desk(AuthCtrlr__OfflineTxForUnknownIdEnabled="true")
    d.send(1, *listed(CARD, info=TokenInfo(TokenStatus.ACCEPTED, None, d.utc + 60)))
    d.offline()
    assert d.grants()
    d.wait(60)
    assert not d.grants()


def test_online_the_csms_is_asked_about_a_listed_card_too() -> None:
    d = desk()
    d.send(1, *listed(CARD))
    assert d.asks()


def test_online_with_local_pre_authorize_the_list_answers() -> None:
    d = desk(AuthCtrlr__LocalPreAuthorize="true")
    d.send(1, *listed(CARD))
    assert not d.asks()
    assert d.evse.grant is not None


def test_online_the_csms_may_have_changed_its_mind_about_a_listed_card_that_is_not_valid() -> None:
    d = desk(AuthCtrlr__LocalPreAuthorize="true")
    d.send(1, *listed(CARD, info=BLOCKED))
    d.tap(CARD, ACCEPTED)
    assert d.evse.grant is not None


def test_the_csms_is_not_asked_again_where_post_authorize_is_off() -> None:
    d = desk(LocalAuthListCtrlr__DisablePostAuthorize="true")
    d.send(1, *listed(CARD, info=BLOCKED))
    assert not d.asks()
    assert d.asks(OTHER_CARD)


def test_what_the_csms_says_online_counts_more_than_the_list() -> None:
    d = desk()
    d.send(1, *listed(CARD))
    d.tap(CARD, TokenInfo(TokenStatus.INVALID))
    assert d.evse.grant is None


def test_offline_the_group_of_the_list_stops_what_its_group_has_started() -> None:
    d = desk()
    d.send(1, *listed(CARD, OTHER_CARD, info=TokenInfo(TokenStatus.ACCEPTED, GROUP)))
    d.offline()
    d.charge()
    assert d.evse.tx is not None
    d.tap(OTHER_CARD, None)
    assert d.evse.tx.stop is not None


def test_a_remote_start_that_must_be_authorized_looks_into_the_list_first() -> None:
    d = desk(AuthCtrlr__AuthorizeRemoteStart="true", AuthCtrlr__LocalPreAuthorize="true")
    d.send(1, *listed(CARD))
    d.feed(RemoteStartWanted((1,), CARD))
    assert d.evse.grant is not None


CONCURRENT = TokenInfo(TokenStatus.CONCURRENT_TX)


@pytest.mark.parametrize(("on_the_list", "said"), [(ACCEPTED, BLOCKED), (BLOCKED, ACCEPTED)])
def test_the_csms_hears_that_its_list_says_otherwise_than_it_does(on_the_list: TokenInfo, said: TokenInfo) -> None:
    d = desk()
    d.send(1, *listed(CARD, info=on_the_list))
    (told,) = [ask.call for ask in of(d.tap(CARD, said), Ask) if isinstance(ask.call, Status) and ask.call.error]
    assert (told.evse, told.error) == (0, "local-list-conflict")
    assert told.info == f"..B2C3 listed as {on_the_list.status}"


@pytest.mark.parametrize(
    ("on_the_list", "said"), [(ACCEPTED, ACCEPTED), (BLOCKED, BLOCKED), (ACCEPTED, CONCURRENT), (None, BLOCKED)]
)
def test_a_list_that_is_right_or_silent_is_no_conflict(on_the_list: TokenInfo | None, said: TokenInfo) -> None:
    d = desk()
    if on_the_list is not None:
        d.send(1, *listed(CARD, info=on_the_list))
    assert [ask for ask in of(d.tap(CARD, said), Ask) if isinstance(ask.call, Status) and ask.call.error] == []


# --- the list and the cache ---------------------------------------------------------------------------------


def cached(d: Bench) -> list[str]:
    return list(d.remembered.get("auth_cache", {}))


def test_a_listed_card_is_never_cached() -> None:
    d = desk()
    d.send(1, *listed(CARD))
    d.charge()
    d.feed(TransactionAnswered(d.journal[0], ACCEPTED, "7"))
    assert cached(d) == []


def test_a_card_that_gets_listed_leaves_the_cache() -> None:
    d = desk()
    d.tap(CARD)
    d.tap(CARD)
    assert cached(d) == [CARD.value.lower()]
    d.send(1, *listed(CARD, info=BLOCKED))
    assert cached(d) == []
    d.change(2, ListEntry(CARD, None))
    assert not d.offline().grants()  # what was cached long ago does not come back


def test_the_list_counts_more_than_what_was_cached_while_it_was_off() -> None:
    d = desk(LocalAuthListCtrlr__Enabled="false")
    d.feed(
        Restored({"local_list": {CARD.value.lower(): ["Blocked", None, None]}, "local_list_state": {"version": [3, 1]}})
    )
    d.tap(CARD)
    d.tap(CARD)
    assert cached(d)
    d.variables.write(next(r.id for r in d.variables.rows() if str(r.id) == "LocalAuthListCtrlr.Enabled"), "true")
    assert not d.offline().grants()


# --- memory -------------------------------------------------------------------------------------------------


def test_the_list_survives_a_restart_with_groups_and_expiry() -> None:
    before = desk()
    info = TokenInfo(TokenStatus.ACCEPTED, GROUP, before.utc + 3600)
    before.send(5, *listed(CARD, info=info), *listed(OTHER_CARD))
    after = Desk()
    after.restart(before)
    after.online()
    after.read()
    after.meter()
    assert (after.version, after.size()) == (5, 2)
    after.offline()
    assert after.grants(CARD)
    after.wait(3600)
    assert not after.grants(CARD)
    assert after.grants(OTHER_CARD)


def test_a_list_that_has_lost_an_entry_on_the_disk_has_version_0_until_it_is_sent_anew() -> None:
    before = desk()
    before.send(5, *listed(CARD, OTHER_CARD))
    del before.remembered["local_list"][CARD.value.lower()]
    after = Desk()
    after.restart(before)
    after.online()
    assert (after.version, after.size()) == (0, 1)
    assert [note.level for note in of(after.effects, Note) if note.code == "LocalListDamaged"] == ["error"]
    assert after.send(6, *listed(CARD, OTHER_CARD)) == "Accepted"
    assert after.version == 6


def stored(effects: list[Effect]) -> list[Effect]:
    return [effect for effect in effects if isinstance(effect, (Remember, Forget))]


def test_an_update_writes_only_what_it_names() -> None:
    d = desk()
    for n in range(4):
        d.change(n + 1, *many(250, n * 250))
    found = d.feed(LocalListSent(Ref("m", "SendLocalList"), 9, False, listed(CARD)))
    assert len(stored(found)) == 2  # the entry and the version


def test_ten_thousand_entries_are_stored_and_found_again(tmp_path: Path) -> None:
    d = desk()
    store = Store(tmp_path / "list.db")
    store.open()
    group = TokenInfo(TokenStatus.ACCEPTED, GROUP, d.utc + 1e6)
    for n in range(40):
        entries = tuple(ListEntry(entry.token, group) for entry in many(250, n * 250))
        store.commit(stored(d.feed(LocalListSent(Ref("m", "SendLocalList"), n + 1, False, entries))))
    store.close()
    again = Store(tmp_path / "list.db")
    again.open()
    after = Desk()
    after.feed(again.restore())
    again.close()
    assert (after.version, after.size()) == (40, 10_000)
    assert (tmp_path / "list.db").stat().st_size < 3 << 20


def test_ten_thousand_entries_take_little_memory() -> None:
    text = json.dumps({f"{n:020x}": ["Accepted", 1.9e9, ["FLEET", "Central"]] for n in range(10_000)})
    tracemalloc.start()
    d = Desk()
    base = tracemalloc.get_traced_memory()[0]
    d.feed(Restored({"local_list": json.loads(text), "local_list_state": {"version": [1, 10_000]}}))
    used = tracemalloc.get_traced_memory()[0] - base
    tracemalloc.stop()
    assert d.size() == 10_000
    assert used < 3 << 20


def test_no_whole_card_number_is_noted() -> None:
    d = desk()
    d.send(1, *listed(CARD), *listed(CARD))
    d.send(1, *listed(CARD))
    notes = of(d.effects, Note)
    assert [note.code for note in notes] == ["LocalListRefused", "LocalListChanged"]
    assert not any(CARD.value in repr(note) for note in notes)
