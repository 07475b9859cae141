"""Reservations: what is accepted and why not, who may use them, when they end, and what the connector shows."""

from __future__ import annotations

import pytest

from agent.core.effects import Ask, Authorize, Effect, Forget, Note, Reply, ReservationUpdate, Status, StatusAnswer
from agent.core.events import LinkDown, Restored, StorageFailed, Tick, TokenAnswered
from agent.core.evse import Evse, connector_status
from agent.core.requests import (
    AvailabilityRequested,
    Ref,
    ReservationCancelRequested,
    ReserveRequested,
    StartRequested,
)
from agent.core.types import (
    ClockQuality,
    ConnectorStatus,
    Instant,
    TokenInfo,
    TokenStatus,
    TransactionEvent,
    Trigger,
    TxKind,
)
from drivers.api import Fault, IdToken, Pilot
from tests.blocks.helpers import ACCEPTED, CARD, OTHER_CARD, Bench, of

FLEET = IdToken("FLEET")
MATE = IdToken("0FF1CE")  # another card of the fleet
OF_FLEET = TokenInfo(TokenStatus.ACCEPTED, FLEET)
HOUR_S = 3600.0
S = ConnectorStatus


class Desk(Bench):
    """A bench with a CSMS that reserves, and a clock that may be unknown."""

    quality = ClockQuality.SYNCED

    @property
    def now(self) -> Instant:
        return Instant(self.mono, self.utc, self.quality, "boot-1")

    def _answer(self, found: list[Effect]) -> str:
        (answer,) = [reply.answer for reply in of(found, Reply)]
        assert isinstance(answer, StatusAnswer)
        return answer.status

    def reserve(
        self,
        evse: int | None = 1,
        card: IdToken = CARD,
        number: int = 7,
        group: IdToken | None = None,
        seconds: float = HOUR_S,
        connector_type: str | None = None,
    ) -> str:
        ref = Ref("m", "ReserveNow")
        return self._answer(
            self.feed(ReserveRequested(ref, number, self.utc + seconds, card, evse, group, connector_type))
        )

    def cancel(self, number: int = 7) -> str:
        return self._answer(self.feed(ReservationCancelRequested(Ref("m", "CancelReservation"), number)))

    def start(self, card: IdToken = CARD, evse: int | None = 1) -> str:
        return self._answer(self.feed(StartRequested(Ref("m", "Start"), card, evse)))

    def available(self, operative: bool, evse: int | None = None) -> None:
        self.feed(AvailabilityRequested(Ref("m", "ChangeAvailability"), operative, evse))

    def at(self, evse: int) -> Evse:
        return self.station.facts.evses[evse]

    @property
    def shown(self) -> list[ConnectorStatus]:
        return [connector_status(evse) for evse in self.station.facts.evses.values()]

    @property
    def told(self) -> list[ConnectorStatus]:
        """The statuses of EVSE 1 in the order in which the CSMS heard them."""
        calls = [ask.call for ask in of(self.effects, Ask)]
        return [call.status for call in calls if isinstance(call, Status) and call.evse == 1]

    @property
    def ends(self) -> list[ReservationUpdate]:
        return [ask.call for ask in of(self.effects, Ask) if isinstance(ask.call, ReservationUpdate)]

    def plug(self, evse: int = 1) -> None:
        self.read(Pilot.B, evse)

    def unplug(self, evse: int = 1) -> None:
        self.read(Pilot.A, evse)

    def all_tap(self, card: IdToken = CARD, info: TokenInfo | None = ACCEPTED) -> list[Effect]:
        """At the one reader that serves every EVSE."""
        return self.tap(card, info, tuple(self.station.facts.evses))

    @property
    def starts(self) -> list[TransactionEvent]:
        return [event for event in self.journal if event.kind is TxKind.STARTED]


def desk(evses: int = 1, **variables: str) -> Desk:
    found = Desk(evses, **variables)  # type: ignore[arg-type]
    found.ready()
    return found


# --- what is answered ---------------------------------------------------------------------------------------


def test_a_free_connector_is_reserved_and_says_so() -> None:
    d = desk()
    assert d.reserve() == "Accepted"
    assert d.told == [S.RESERVED]


def test_a_connector_with_a_car_is_occupied() -> None:
    d = desk()
    d.plug()
    assert d.reserve() == "Occupied"


def test_a_connector_that_somebody_was_granted_is_occupied() -> None:
    d = desk()
    d.tap(OTHER_CARD)
    assert d.reserve() == "Occupied"


@pytest.mark.parametrize("card", [CARD, OTHER_CARD])
def test_a_reserved_connector_is_occupied_for_the_same_and_for_another_card(card: IdToken) -> None:
    d = desk()
    d.reserve()
    assert d.reserve(card=card, number=8) == "Occupied"


def test_a_faulted_connector_cannot_be_reserved() -> None:
    d = desk()
    d.read(Pilot.A, faults=frozenset({Fault.GROUND}))
    assert d.reserve() == "Faulted"


def test_a_connector_out_of_service_cannot_be_reserved() -> None:
    d = desk()
    d.available(False)
    assert d.reserve() == "Unavailable"


def test_nothing_is_reserved_where_the_configuration_says_so() -> None:
    d = desk(ReservationCtrlr__Enabled="false")
    assert [d.reserve(), d.reserve(None)] == ["Rejected", "Rejected"]


def test_a_connector_that_is_not_there_cannot_be_reserved() -> None:
    assert desk().reserve(2) == "Rejected"


def test_nobody_can_be_the_bearer_of_an_empty_card() -> None:
    assert desk().reserve(card=IdToken("")) == "Rejected"


def test_nothing_is_reserved_while_the_disk_refuses() -> None:
    d = desk()
    d.feed(StorageFailed("full"))
    assert d.reserve() == "Rejected"


def test_what_has_expired_already_is_not_reserved() -> None:
    d = desk()
    assert d.reserve(seconds=0.0) == "Rejected"
    assert d.shown == [S.AVAILABLE]


def test_a_connector_of_another_type_cannot_be_reserved() -> None:
    d = desk()
    assert d.reserve(connector_type="cCCS2") == "Rejected"
    assert d.reserve(connector_type="cType2") == "Accepted"


def test_the_same_id_replaces_the_reservation() -> None:
    d = desk(2)
    d.reserve(1)
    assert d.reserve(2, OTHER_CARD) == "Accepted"
    assert d.shown == [S.AVAILABLE, S.RESERVED]
    d.tap(CARD, evses=(2,))
    assert d.at(2).grant is None


def test_the_same_id_for_the_same_connector_is_no_obstacle_to_itself() -> None:
    d = desk()
    d.reserve(seconds=60)
    assert d.reserve(seconds=HOUR_S) == "Accepted"
    d.wait(120)
    assert d.shown == [S.RESERVED]


def test_a_grant_by_a_reservation_that_was_replaced_does_not_name_it() -> None:
    d = desk(2)
    d.reserve(1)
    d.tap(CARD)
    assert d.reserve(2, OTHER_CARD, seconds=60) == "Accepted"
    d.plug()
    assert d.starts[0].reservation_id is None
    assert d.shown[1:] == [S.RESERVED]
    d.wait(61)
    assert d.shown[1:] == [S.AVAILABLE]


def test_a_replacement_that_is_refused_leaves_the_old_one() -> None:
    d = desk(2)
    d.reserve(1)
    d.plug(2)
    assert d.reserve(2) == "Occupied"
    assert d.shown == [S.RESERVED, S.PREPARING]


# --- any EVSE -------------------------------------------------------------------------------------------------


def test_any_evse_is_not_reserved_where_that_is_not_supported() -> None:
    d = desk(2)
    d.variables.layer("config", {"ReservationCtrlr.NonEvseSpecific": "false"})
    assert d.reserve(None) == "Rejected"


def test_of_any_evse_as_many_are_reserved_as_there_are() -> None:
    d = desk(2)
    assert [d.reserve(None, number=n) for n in (1, 2, 3)] == ["Accepted", "Accepted", "Occupied"]


def test_a_reservation_by_name_does_not_take_the_last_one_that_is_kept_for_somebody() -> None:
    d = desk(2)
    d.reserve(None, number=1)
    assert d.reserve(1, OTHER_CARD, number=2) == "Accepted"
    assert d.reserve(2, OTHER_CARD, number=3) == "Occupied"


def test_what_is_reserved_by_name_does_not_count_for_any() -> None:
    d = desk(2)
    d.reserve(1, number=1)
    assert d.reserve(None, OTHER_CARD, number=2) == "Accepted"
    assert d.reserve(None, OTHER_CARD, number=3) == "Occupied"


def test_while_one_is_left_for_others_none_shows_reserved_and_then_all_that_are_free() -> None:
    d = desk(3)
    d.reserve(None)
    assert d.shown == [S.AVAILABLE] * 3
    d.plug(1)
    assert d.shown == [S.PREPARING, S.AVAILABLE, S.AVAILABLE]
    d.plug(2)
    assert d.shown == [S.PREPARING, S.PREPARING, S.RESERVED]
    d.unplug(1)
    assert d.shown == [S.AVAILABLE, S.PREPARING, S.AVAILABLE]


def test_the_only_connector_is_reserved_by_a_reservation_of_any() -> None:
    d = desk()
    d.reserve(None)
    assert d.told == [S.RESERVED]


@pytest.mark.parametrize(
    ("faulted", "out", "expected"),
    [((1, 2), (), "Faulted"), ((), (1, 2), "Unavailable"), ((1,), (2,), "Unavailable"), ((1,), (), "Occupied")],
)
def test_none_of_all_evses_is_free_for_the_reason_that_is_told(
    faulted: tuple[int, ...], out: tuple[int, ...], expected: str
) -> None:
    d = desk(2)
    for n in faulted:
        d.read(Pilot.A, n, faults=frozenset({Fault.GROUND}))
    for n in out:
        d.available(False, n)
    if expected == "Occupied":
        d.plug(2)
    assert d.reserve(None) == expected


def test_a_stranger_may_take_all_but_the_last() -> None:
    d = desk(2)
    d.reserve(None)
    d.plug(1)
    d.tap(OTHER_CARD, evses=(1,))
    assert d.at(1).tx is not None
    d.plug(2)
    d.tap(MATE, evses=(2,))
    assert d.at(2).tx is None
    d.tap(CARD, evses=(2,))
    assert d.at(2).tx is not None
    assert [event.reservation_id for event in d.starts] == [None, 7]


def test_a_stranger_may_come_to_any_reader_while_one_is_left_for_the_bearer() -> None:
    for evse in (1, 2):
        d = desk(2)
        d.reserve(None)
        d.tap(OTHER_CARD, evses=(evse,))
        assert d.at(evse).grant is not None
        d.tap(MATE, evses=(3 - evse,))
        assert d.at(3 - evse).grant is None


def test_two_strangers_before_they_plug_in_cannot_crowd_out_the_bearer() -> None:
    d = desk(2)
    d.reserve(None)
    d.all_tap(OTHER_CARD)
    assert [note.code for note in of(d.all_tap(MATE), Note)] == ["Denied"]
    d.plug(1)
    d.plug(2)
    assert [d.at(n).grant is not None for n in (1, 2)] == [True, False]
    d.all_tap(CARD)
    assert d.at(2).tx is not None


def test_no_evse_is_reserved_that_somebody_with_a_grant_still_may_choose() -> None:
    d = desk(2)
    d.all_tap(OTHER_CARD)  # whichever he plugs into
    assert d.reserve(1) == "Accepted"
    assert d.reserve(2, MATE, number=8) == "Occupied"
    d.plug(1)
    assert d.at(1).grant is None
    d.plug(2)
    assert d.at(2).grant is not None


def test_a_bearer_who_has_not_chosen_yet_is_counted_once() -> None:
    d = desk(3)
    d.reserve(None)
    d.all_tap(CARD)
    assert [d.reserve(n, MATE, number=n) for n in (1, 2, 3)] == ["Accepted", "Accepted", "Occupied"]


def test_the_bearer_of_any_evse_chooses_by_plugging_in() -> None:
    d = desk(2)
    d.reserve(None)
    d.all_tap(CARD)
    d.plug(2)
    assert d.starts[0].evse == 2
    assert d.starts[0].reservation_id == 7


# --- who may use it -------------------------------------------------------------------------------------------


def test_the_bearer_uses_it_by_card_and_plug_and_the_start_names_it() -> None:
    d = desk()
    d.reserve()
    d.tap(IdToken(CARD.value.lower()))
    d.plug()
    assert d.starts[0].reservation_id == 7
    assert d.told[:2] == [S.RESERVED, S.PREPARING]


def test_the_bearer_may_plug_in_first() -> None:
    d = desk()
    d.reserve()
    d.plug()
    d.tap(CARD)
    assert d.starts[0].reservation_id == 7


def test_a_stranger_is_refused_whatever_the_csms_thinks_of_his_card() -> None:
    d = desk()
    d.reserve()
    d.plug()
    d.tap(OTHER_CARD)
    assert (d.evse.grant, d.evse.tx) == (None, None)
    assert d.shown == [S.RESERVED]


def test_a_strangers_car_at_a_reserved_connector_is_no_news_to_the_csms() -> None:
    d = desk()
    d.reserve()
    d.plug()
    d.unplug()
    assert d.told == [S.RESERVED]


def test_a_card_of_the_group_may_use_it_when_the_csms_tells_its_group() -> None:
    d = desk()
    d.reserve(group=FLEET)
    d.tap(MATE, OF_FLEET)
    d.plug()
    assert d.starts[0].reservation_id == 7
    assert d.starts[0].token == MATE


@pytest.mark.parametrize("info", [ACCEPTED, TokenInfo(TokenStatus.ACCEPTED, IdToken("TAXI"))])
def test_a_card_of_no_or_another_group_may_not(info: TokenInfo) -> None:
    d = desk()
    d.reserve(group=FLEET)
    d.tap(MATE, info)
    assert d.evse.grant is None


def authorizes(effects: list[Effect]) -> list[str]:
    return [ask.call.token.value for ask in of(effects, Ask) if isinstance(ask.call, Authorize)]


def test_a_group_that_is_known_here_is_not_asked_about() -> None:
    d = desk(AuthCtrlr__LocalPreAuthorize="true")
    d.tap(MATE, OF_FLEET)
    d.tap(MATE)
    d.reserve(group=FLEET)
    assert authorizes(d.tap(MATE, None)) == []
    assert d.evse.grant is not None


def test_a_group_that_is_not_known_here_is_asked_about_before_anybody_is_refused() -> None:
    d = desk(AuthCtrlr__LocalPreAuthorize="true")
    d.tap(MATE, ACCEPTED)
    d.tap(MATE)
    d.reserve(group=FLEET)
    assert authorizes(d.tap(MATE, OF_FLEET)) == [MATE.value]
    assert d.evse.grant is not None


def test_offline_the_group_in_the_cache_counts() -> None:
    d = desk()
    d.tap(MATE, OF_FLEET)
    d.tap(MATE)
    d.reserve(group=FLEET)
    d.feed(LinkDown("cut"))
    d.tap(MATE, None)
    assert d.evse.grant is not None


def test_offline_a_stranger_may_not_use_it_though_strangers_may_charge() -> None:
    d = desk(AuthCtrlr__OfflineTxForUnknownIdEnabled="true")
    d.reserve()
    d.feed(LinkDown("cut"))
    d.tap(OTHER_CARD, None)
    assert d.evse.grant is None
    d.tap(CARD, None)
    assert d.evse.grant is not None


def test_a_remote_start_of_the_bearer_uses_it() -> None:
    d = desk()
    d.reserve()
    assert d.start() == "Accepted"
    d.plug()
    assert d.starts[0].reservation_id == 7


def test_a_remote_start_of_a_stranger_is_rejected() -> None:
    d = desk()
    d.reserve()
    assert d.start(OTHER_CARD) == "Rejected"
    assert d.shown == [S.RESERVED]


def test_a_remote_start_of_a_stranger_may_not_take_the_last_one_either() -> None:
    d = desk(2)
    d.reserve(None)
    assert [d.start(OTHER_CARD, 1), d.start(MATE, 2)] == ["Accepted", "Rejected"]
    assert d.start(CARD, 2) == "Accepted"


def test_a_remote_start_that_a_group_may_allow_is_asked_about() -> None:
    d = desk()
    d.reserve(group=FLEET)
    assert d.start(MATE) == "Accepted"
    (ask,) = [ask for ask in of(d.effects, Ask) if isinstance(ask.call, Authorize)]
    assert isinstance(ask.call, Authorize)
    d.feed(TokenAnswered(ask.call, OF_FLEET))
    assert d.evse.grant is not None
    assert d.evse.grant.reservation_id == 7


def test_a_remote_start_of_a_card_whose_group_is_known_here_is_not_asked_about() -> None:
    d = desk()
    d.tap(MATE, OF_FLEET)
    d.tap(MATE)
    d.reserve(group=FLEET)
    d.effects.clear()
    assert d.start(MATE) == "Accepted"
    assert authorizes(d.effects) == []
    assert d.evse.grant is not None


def test_a_remote_start_anywhere_leads_the_bearer_to_his_connector_and_a_stranger_past_it() -> None:
    for card, evse in ((CARD, 2), (OTHER_CARD, 1)):
        d = desk(2)
        d.reserve(2)
        assert d.start(card, None) == "Accepted"
        assert [n for n in (1, 2) if d.at(n).grant] == [evse]


def test_the_bearer_is_led_to_his_connector_though_a_car_stands_at_another() -> None:
    d = desk(2)
    d.reserve(2)
    d.plug(1)
    d.all_tap(CARD)
    assert [n for n in (1, 2) if d.at(n).grant] == [2]


def test_with_a_start_at_the_plug_the_authorization_names_the_reservation() -> None:
    d = desk(TxCtrlr__TxStartPoint="EVConnected")
    d.reserve()
    d.plug()
    assert d.shown == [S.PREPARING]  # a transaction runs, in nobody's name
    d.tap(CARD)
    named = [(event.kind, event.trigger) for event in d.journal if event.reservation_id == 7]
    assert named == [(TxKind.UPDATED, Trigger.AUTHORIZED)]
    assert d.cancel() == "Rejected"  # it is used up


# --- when it ends -----------------------------------------------------------------------------------------------


def test_it_ends_when_the_transaction_begins_and_its_id_is_free_again() -> None:
    d = desk(2)
    d.reserve(1)
    d.charge()
    assert d.remembered["reservations"] == {}
    assert d.ends == []
    assert d.reserve(2, seconds=60) == "Accepted"
    assert d.shown[1:] == [S.RESERVED]
    d.tap(OTHER_CARD, evses=(2,))
    assert d.at(2).grant is None
    d.wait(61)
    assert d.shown[1:] == [S.AVAILABLE]


def test_it_expires_and_the_connector_is_available_again() -> None:
    d = desk()
    d.reserve(seconds=60)
    d.wait(59)
    assert d.shown == [S.RESERVED]
    d.wait(2)
    assert d.told == [S.RESERVED, S.AVAILABLE]
    assert d.ends == [ReservationUpdate(7, "Expired")]
    d.tap(OTHER_CARD)
    assert d.evse.grant is not None


def test_it_expires_by_the_clock_on_the_wall() -> None:
    d = desk()
    d.reserve(seconds=HOUR_S)
    d.utc += HOUR_S - 10  # the CSMS has told the time anew
    d.feed(Tick())
    d.wait(11)
    assert d.shown == [S.AVAILABLE]


def test_a_clock_that_is_set_back_does_not_end_it_early() -> None:
    d = desk()
    d.reserve(seconds=60)
    d.utc -= HOUR_S
    d.feed(Tick())
    d.wait(120)
    assert d.shown == [S.RESERVED]
    d.wait(HOUR_S)
    assert d.shown == [S.AVAILABLE]


def test_a_grant_that_nobody_uses_leaves_it_as_it_was() -> None:
    d = desk()
    d.reserve()
    d.tap(CARD)
    assert d.shown == [S.PREPARING]
    d.wait(121)
    assert d.shown == [S.RESERVED]
    d.tap(OTHER_CARD)
    assert d.evse.grant is None


def test_a_second_tap_takes_the_grant_back_and_leaves_it_as_it_was() -> None:
    d = desk()
    d.reserve()
    d.tap(CARD)
    d.tap(CARD)
    assert d.shown == [S.RESERVED]


def test_it_does_not_expire_between_the_card_and_the_plug() -> None:
    d = desk()
    d.reserve(seconds=60)
    d.wait(50)
    d.tap(CARD)
    d.wait(60)
    d.plug()
    assert d.starts[0].reservation_id == 7
    assert d.ends == []


def test_it_expires_with_a_grant_that_lapses_after_its_time() -> None:
    d = desk()
    d.reserve(seconds=60)
    d.wait(50)
    d.tap(CARD)
    d.wait(130)
    assert d.shown == [S.AVAILABLE]
    assert d.ends == [ReservationUpdate(7, "Expired")]


def test_it_is_cancelled_and_the_connector_is_available_again() -> None:
    d = desk()
    d.reserve()
    assert d.cancel() == "Accepted"
    assert d.told == [S.RESERVED, S.AVAILABLE]
    assert d.ends == []
    assert d.remembered["reservations"] == {}


def test_one_that_is_not_there_cannot_be_cancelled() -> None:
    d = desk()
    d.reserve()
    assert d.cancel(8) == "Rejected"
    assert d.shown == [S.RESERVED]


def test_a_grant_outlives_the_reservation_that_was_cancelled_but_does_not_name_it() -> None:
    d = desk()
    d.reserve()
    d.tap(CARD)
    d.cancel()
    d.plug()
    assert d.starts[0].reservation_id is None


def test_a_fault_ends_it() -> None:
    d = desk()
    d.reserve()
    d.read(Pilot.A, faults=frozenset({Fault.GROUND}))
    d.read(Pilot.A)
    assert d.told == [S.RESERVED, S.FAULTED, S.AVAILABLE]
    assert d.ends == [ReservationUpdate(7, "Removed")]


@pytest.mark.parametrize("evse", [1, None])
def test_going_out_of_service_ends_it(evse: int | None) -> None:
    d = desk()
    d.reserve()
    d.available(False, evse)
    d.available(True, evse)
    assert d.told == [S.RESERVED, S.UNAVAILABLE, S.AVAILABLE]
    assert d.ends == [ReservationUpdate(7, "Removed")]


def test_of_reservations_of_any_the_last_one_goes_when_an_evse_fails() -> None:
    d = desk(2)
    d.reserve(None, number=1)
    d.wait(1)
    d.reserve(None, OTHER_CARD, number=2)
    d.read(Pilot.A, 1, faults=frozenset({Fault.GROUND}))
    assert d.ends == [ReservationUpdate(2, "Removed")]
    assert d.shown == [S.FAULTED, S.RESERVED]


# --- after a restart --------------------------------------------------------------------------------------------


def restarted(before: Desk, quality: ClockQuality = ClockQuality.SYNCED, evses: int = 1) -> Desk:
    after = Desk(evses)
    after.mono, after.utc, after.quality = before.mono, before.utc, quality
    after.restart(before)
    for n in after.wh:
        after.read(evse=n)
        after.meter(evse=n)
    return after


def test_it_survives_a_restart_with_its_group() -> None:
    before = desk()
    before.reserve(group=FLEET)
    after = restarted(before)
    after.online()
    assert after.told == [S.RESERVED]  # never Available in between
    after.tap(OTHER_CARD)
    assert after.evse.grant is None
    after.tap(MATE, OF_FLEET)
    after.plug()
    assert after.starts[0].reservation_id == 7


def test_one_that_expired_meanwhile_ends_at_the_start() -> None:
    before = desk()
    before.reserve(seconds=60)
    before.wait(30)
    before.utc += 60
    after = restarted(before)
    after.online()
    assert after.told == [S.AVAILABLE]
    assert after.ends == [ReservationUpdate(7, "Expired")]


def test_one_of_an_evse_that_is_gone_is_forgotten() -> None:
    before = desk(2)
    before.reserve(2)
    after = Desk()
    found = after.feed(Restored(before.remembered))
    assert of(found, Forget) == [Forget("reservations", "7")]


def test_without_a_clock_it_lasts_no_longer_than_it_was_made_for() -> None:
    before = desk()
    before.reserve(seconds=600)
    before.utc = 1000.0  # the board has lost its time
    after = restarted(before, ClockQuality.UNKNOWN)
    after.wait(599)
    assert after.shown == [S.RESERVED]
    after.wait(2)
    assert after.shown == [S.AVAILABLE]


def test_when_the_time_becomes_known_it_counts() -> None:
    before = desk()
    before.reserve(seconds=600)
    utc, before.utc = before.utc, 1000.0
    after = restarted(before, ClockQuality.UNKNOWN)
    after.wait(10)
    after.quality, after.utc = ClockQuality.SYNCED, utc + 590
    after.feed(Tick())
    assert after.shown == [S.RESERVED]
    after.wait(11)
    assert after.shown == [S.AVAILABLE]


def test_one_that_was_made_without_a_clock_lasts_an_hour() -> None:
    d = Desk()
    d.quality, d.utc = ClockQuality.UNKNOWN, 1000.0
    d.ready()
    assert d.reserve(seconds=1e9) == "Accepted"
    d.wait(HOUR_S - 1)
    assert d.shown == [S.RESERVED]
    d.wait(2)
    assert d.shown == [S.AVAILABLE]


def test_lesson_15_no_connector_stays_stuck_by_a_reservation_of_an_earlier_process() -> None:
    before = desk()
    before.reserve(seconds=60)
    before.tap(CARD)  # granted, nobody plugged in, and the power goes
    after = restarted(before)
    after.online()
    assert after.shown == [S.RESERVED]
    after.wait(61)
    assert after.shown == [S.AVAILABLE]
    assert after.start(OTHER_CARD) == "Accepted"


def test_no_whole_card_number_is_noted() -> None:
    d = desk()
    d.reserve()
    d.tap(OTHER_CARD)
    d.tap(CARD)
    d.cancel()
    notes = of(d.effects, Note)
    assert notes
    assert not any(card.value in repr(note) for note in notes for card in (CARD, OTHER_CARD))
