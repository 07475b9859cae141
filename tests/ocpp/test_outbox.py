"""What goes to the CSMS next, rule by rule."""

from __future__ import annotations

from dataclasses import dataclass

from agent.core.effects import Ask, Authorize, Boot, Call, Heartbeat, LogStatus, MeterReport, Status
from agent.core.types import (
    ChargingState,
    ConnectorStatus,
    Instant,
    Registration,
    TransactionEvent,
    Trigger,
    TxKind,
)
from agent.ocpp.dialect import Station, load
from agent.ocpp.outbox import Outbox, Outgoing, Silent
from drivers.api import IdToken

NOW = Instant(0.0, 1_800_000_000.0)
ACCEPTED, PENDING, NONE = Registration.ACCEPTED, Registration.PENDING, Registration.NONE
V16 = load("1.6")
V201 = load("2.0.1")


@dataclass
class Row:
    id: int
    event: TransactionEvent
    csms_id: str | None = "7"


def row(number: int, kind: TxKind = TxKind.STARTED) -> Row:
    event = TransactionEvent(
        f"t-1-{number}",
        0,
        kind,
        NOW,
        Trigger.AUTHORIZED,
        1,
        1,
        100,
        200,
        ChargingState.CHARGING,
        token=IdToken("AABB"),
    )
    return Row(number, event)


class Desk:
    """An outbox with a journal that is a plain list."""

    def __init__(self, *rows: Row) -> None:
        self.rows = list(rows)
        self.box = Outbox(lambda: self.rows[0] if self.rows else None, Station("V", "M"), "p")

    def sent(self, registration: Registration = ACCEPTED, now: float = 0.0, dialect: object = V16) -> list[str]:
        """Actions in the order in which they go, each answered at once."""
        actions = []
        while (found := self.box.next(dialect, registration, now)) is not None:  # type: ignore[arg-type]
            assert isinstance(found, Outgoing)
            actions.append(found.action)
            if not isinstance(found.about, Call):
                self.rows.pop(0)
            self.box.answered(found.about)
        return actions


def status(word: ConnectorStatus, evse: int = 1) -> Ask:
    return Ask(Status(evse, 1, word, NOW))


def test_only_boot_goes_before_accepted() -> None:
    desk = Desk(row(1))
    for ask in (Ask(Heartbeat()), status(ConnectorStatus.AVAILABLE), Ask(Boot("PowerUp"))):
        desk.box.ask(ask)
    assert desk.sent(NONE) == ["BootNotification"]


def test_pending_lets_through_what_was_triggered() -> None:
    desk = Desk(row(1))
    desk.box.ask(Ask(Heartbeat()))
    desk.box.ask(Ask(Heartbeat(), triggered=True))
    assert desk.sent(PENDING) == ["Heartbeat"]


def test_somebody_waits_for_an_authorization_so_it_goes_first() -> None:
    desk = Desk(row(1))
    desk.box.ask(status(ConnectorStatus.PREPARING))
    desk.box.ask(Ask(Authorize(IdToken("AA"), (1,))))
    assert desk.sent() == ["Authorize", "StartTransaction", "StatusNotification"]


def test_a_long_journal_lets_others_have_their_turn() -> None:
    desk = Desk(*(row(n) for n in range(1, 5)))
    desk.box.ask(Ask(Heartbeat()))
    assert desk.sent()[:3] == ["StartTransaction", "Heartbeat", "StartTransaction"]


def test_only_the_newest_status_is_told() -> None:
    desk = Desk()
    desk.box.ask(status(ConnectorStatus.PREPARING))
    desk.box.ask(status(ConnectorStatus.CHARGING))
    assert desk.sent() == ["StatusNotification"]


def test_a_status_that_says_nothing_new_in_this_version_is_not_told() -> None:
    desk = Desk()
    for word in (ConnectorStatus.PREPARING, ConnectorStatus.CHARGING, ConnectorStatus.FINISHING):
        desk.box.ask(status(word))
        desk.sent(dialect=V201)
    desk.box.ask(status(ConnectorStatus.AVAILABLE))
    assert desk.sent(dialect=V201) == ["StatusNotification"]


def test_a_row_that_says_nothing_in_this_version_counts_as_delivered() -> None:
    desk = Desk(row(1, TxKind.UPDATED))
    assert isinstance(desk.box.next(V16, ACCEPTED, 0.0), Silent)


def test_a_call_for_which_this_version_has_no_word_counts_as_delivered() -> None:
    desk = Desk()
    replaced = LogStatus("AcceptedCanceled", 7, log=True)
    desk.box.ask(Ask(replaced))
    found = desk.box.next(V16, ACCEPTED, 0.0)
    assert isinstance(found, Silent)
    assert found.about == replaced


def test_a_retry_is_the_same_message_with_the_same_id() -> None:
    desk = Desk(row(1))
    first = desk.box.next(V16, ACCEPTED, 0.0)
    assert isinstance(first, Outgoing)
    desk.box.refused(desk.rows[0], 0.0)
    again = desk.box.next(V16, ACCEPTED, 31.0)
    assert isinstance(again, Outgoing)
    assert (first.message_id, first.payload) == (again.message_id, again.payload)


def test_refusals_wait_longer_each_time_and_then_give_up() -> None:
    desk = Desk(row(1))
    desk.box.max_attempts, desk.box.attempt_interval_s = 3, 10.0
    assert not desk.box.refused(desk.rows[0], 0.0)
    assert desk.box.next(V16, ACCEPTED, 9.0) is None
    assert desk.box.next_deadline() == 10.0
    assert desk.box.next(V16, ACCEPTED, 10.0) is not None
    assert not desk.box.refused(desk.rows[0], 10.0)
    assert desk.box.next_deadline() == 30.0
    assert desk.box.refused(desk.rows[0], 30.0)


def test_a_row_that_was_tried_wants_no_moment_while_nobody_has_accepted_us() -> None:
    """Else it would be asked for without end: its moment has come, and it may not go."""
    desk = Desk(row(1))
    desk.box.timed_out(desk.rows[0], 30.0)
    desk.box.up()
    assert desk.box.next(V16, NONE, 40.0) is None
    assert desk.box.next_deadline() is None
    assert desk.box.next(V16, ACCEPTED, 50.0) is not None


def test_a_silent_csms_costs_no_attempt_but_the_link() -> None:
    desk = Desk(row(1))
    assert not desk.box.timed_out(desk.rows[0], 30.0)
    probe = desk.box.next(V16, ACCEPTED, 30.0)
    assert isinstance(probe, Outgoing)
    assert probe.action == "Heartbeat"
    assert desk.box.timed_out(Heartbeat(), 60.0)


def test_a_message_that_alone_stays_unanswered_has_had_an_attempt() -> None:
    desk = Desk(row(1))
    desk.box.max_attempts = 2
    for attempt, given_up in ((1, False), (2, True)):
        desk.box.timed_out(desk.rows[0], 100.0 * attempt)
        desk.box.answered(Heartbeat())
        assert desk.box.proven_alive(100.0 * attempt) is given_up


def test_nothing_of_the_journal_goes_while_nothing_can_be_stored() -> None:
    desk = Desk(row(1))
    desk.box.rows_wait = True
    desk.box.ask(Ask(Heartbeat()))
    assert desk.sent() == ["Heartbeat"]


def test_everything_waiting_is_bounded_and_what_is_dropped_is_told() -> None:
    desk = Desk()
    dropped: list[Call] = []
    for _ in range(400):
        dropped += desk.box.ask(Ask(MeterReport(1, ())))
        dropped += desk.box.ask(Ask(Authorize(IdToken("AA"), (1,))))
        dropped += desk.box.ask(Ask(Heartbeat(), triggered=True))
    assert len(dropped) == 100 + 384 + 100


def test_a_lost_link_fails_what_makes_no_sense_later() -> None:
    desk = Desk()
    question = Authorize(IdToken("AA"), (1,))
    for ask in (Ask(question), Ask(Boot("PowerUp")), Ask(Heartbeat()), status(ConnectorStatus.AVAILABLE)):
        desk.box.ask(ask)
    assert desk.box.down() == [question, Boot("PowerUp")]
    assert desk.sent() == ["StatusNotification"]


def test_whoever_has_mended_the_cause_need_not_wait_for_the_next_try() -> None:
    desk = Desk(row(1))
    desk.box.refused(desk.rows[0], 0.0)
    before = desk.sent()
    desk.box.afresh()
    assert (before, desk.sent()) == ([], ["StartTransaction"])
