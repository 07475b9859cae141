"""The conversation with the CSMS: frames in, frames out, and what the station hears of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agent.core.effects import Ask, Boot, Heartbeat, ReportPart, Status, StatusAnswer
from agent.core.events import BootAnswered, CallFailed, HeartbeatAnswered
from agent.core.requests import ClearCacheRequested, Ref
from agent.core.types import ConnectorStatus, Registration, TxKind
from agent.ocpp.conversation import (
    Conversation,
    Delivered,
    Fault,
    Hang,
    Hear,
    Outcome,
    Say,
    Undeliverable,
)
from agent.ocpp.dialect import Station
from tests.ocpp.test_outbox import Row, row, status

ACCEPTED = Registration.ACCEPTED


class Line:
    """A conversation over a connection that stands, and a journal that is a plain list."""

    def __init__(self, version: str = "1.6", *rows: Row) -> None:
        self.rows = list(rows)
        self.talk = Conversation(Station("V", "M"), lambda: self.rows[0] if self.rows else None, "p", version)
        self.talk.connected(f"ocpp{version}")
        self.registration = ACCEPTED

    def ask(self, *asks: Ask) -> None:
        for ask in asks:
            self.talk.outbox.ask(ask)

    def said(self, now: float = 0.0) -> list[Any]:
        found = self.talk.next(self.registration, now, 30.0)
        assert isinstance(found, Say)
        return json.loads(found.text)  # type: ignore[no-any-return]

    def hears(self, frame: list[Any] | str, now: float = 1.0) -> list[Outcome]:
        text = frame if isinstance(frame, str) else json.dumps(frame)
        return self.talk.received(text, self.registration, now)


def texts(outcomes: list[Outcome]) -> list[Any]:
    return [json.loads(outcome.text) for outcome in outcomes if isinstance(outcome, Say)]


def events(outcomes: list[Outcome]) -> list[object]:
    return [outcome.event for outcome in outcomes if isinstance(outcome, Hear)]


def test_a_call_is_answered_by_an_event() -> None:
    line = Line()
    line.ask(Ask(Boot("PowerUp")))
    _, message_id, action, _ = line.said()
    assert action == "BootNotification"
    (event,) = events(
        line.hears([3, message_id, {"status": "Accepted", "interval": 300.0, "currentTime": "2026-11-21T10:00:00Z"}])
    )
    assert isinstance(event, BootAnswered)
    assert event.interval_s == 300


def test_only_one_call_is_open() -> None:
    line = Line()
    line.ask(Ask(Heartbeat()))
    line.said()
    line.ask(Ask(Heartbeat()))
    assert line.talk.next(ACCEPTED, 0.0, 30.0) is None


def test_a_request_is_heard_and_its_answer_goes_out_under_its_id() -> None:
    line = Line()
    (event,) = events(line.hears([2, "abc", "ClearCache", {}]))
    assert isinstance(event, ClearCacheRequested)
    assert texts(line.talk.reply(event.ref, StatusAnswer("Accepted"))) == [[3, "abc", {"status": "Accepted"}]]


def test_a_request_that_nobody_serves_is_refused() -> None:
    line = Line()
    (event,) = events(line.hears([2, "abc", "ClearCache", {}]))
    assert isinstance(event, ClearCacheRequested)
    (answer,) = texts(line.talk.refuse(event.ref))
    assert answer[:3] == [4, "abc", "NotSupported"]


@pytest.mark.parametrize(
    ("version", "action", "code"),
    [
        ("1.6", "MakeCoffee", "NotImplemented"),
        ("2.0.1", "MakeCoffee", "NotImplemented"),
        ("2.0.1", "CostUpdated", "NotSupported"),
    ],
)
def test_unknown_and_unserved_actions_have_codes_of_their_own(version: str, action: str, code: str) -> None:
    payload = {"totalCost": 1, "transactionId": "t"} if action == "CostUpdated" else {}
    (answer,) = texts(Line(version).hears([2, "abc", action, payload]))
    assert answer[:3] == [4, "abc", code]


@pytest.mark.parametrize(
    ("version", "code"), [("1.6", "OccurenceConstraintViolation"), ("2.0.1", "OccurrenceConstraintViolation")]
)
def test_a_missing_field_is_refused_in_the_versions_own_words(version: str, code: str) -> None:
    (answer,) = texts(Line(version).hears([2, "abc", "Reset", {}]))
    assert answer[:3] == [4, "abc", code]


def test_while_rejected_the_older_version_is_silent_and_the_newer_names_security() -> None:
    for version, expected in (("1.6", []), ("2.0.1", [[4, "abc", "SecurityError", "not accepted yet", {}]])):
        line = Line(version)
        line.registration = Registration.REJECTED
        assert texts(line.hears([2, "abc", "ClearCache", {}])) == expected


def test_an_answer_to_a_row_delivers_it_with_the_csmss_own_id() -> None:
    line = Line("1.6", row(1))
    _, message_id, action, _ = line.said()
    assert (action, message_id) == ("StartTransaction", "t-1-1-0")
    answer = {"transactionId": 4711, "idTagInfo": {"status": "Accepted"}}
    (delivered,) = line.hears([3, message_id, answer])
    assert isinstance(delivered, Delivered)
    assert delivered.event is not None
    assert delivered.event.csms_id == "4711"


def test_a_late_answer_to_a_row_still_counts_and_its_double_does_not() -> None:
    line = Line("1.6", row(1))
    _, message_id, _, _ = line.said()
    line.talk.expire(31.0)
    answer = [3, message_id, {"transactionId": 1, "idTagInfo": {"status": "Accepted"}}]
    assert [type(outcome) for outcome in line.hears(answer, 32.0)] == [Delivered]
    line.rows.clear()
    assert [type(outcome) for outcome in line.hears(answer, 33.0)] == [Fault]


def test_a_row_refused_too_often_becomes_undeliverable() -> None:
    line = Line("1.6", row(1))
    line.talk.outbox.max_attempts = 2
    for now in (0.0, 100.0):
        message_id = line.said(now)[1]
        outcomes = line.hears([4, message_id, "InternalError", "no", {}], now)
    assert isinstance(outcomes[-1], Undeliverable)


def test_silence_ends_in_hanging_up() -> None:
    line = Line("1.6", row(1))
    line.said(0.0)
    assert [type(outcome) for outcome in line.talk.expire(31.0)] == [Fault]
    assert line.said(31.0)[2] == "Heartbeat"
    outcomes = line.talk.expire(62.0)
    assert isinstance(outcomes[-1], Hang)
    assert events(outcomes) == [CallFailed(Heartbeat(), "timeout")]


def test_a_lost_link_fails_the_open_call() -> None:
    line = Line()
    line.ask(Ask(Heartbeat()))
    line.said()
    assert line.talk.disconnected() == [CallFailed(Heartbeat(), "offline")]
    assert line.talk.reply(Ref("1", "ClearCache"), StatusAnswer("Accepted")) == []


def test_an_answer_after_the_link_was_lost_goes_nowhere() -> None:
    line = Line()
    (event,) = events(line.hears([2, "abc", "ClearCache", {}]))
    assert isinstance(event, ClearCacheRequested)
    line.talk.disconnected()
    line.talk.connected("ocpp1.6")
    assert line.talk.reply(event.ref, StatusAnswer("Accepted")) == []


def test_an_answer_of_ours_that_breaks_its_schema_is_an_internal_error_and_told() -> None:
    line = Line()
    (event,) = events(line.hears([2, "abc", "ClearCache", {}]))
    assert isinstance(event, ClearCacheRequested)
    outcomes = line.talk.reply(event.ref, StatusAnswer("Perhaps" * 300))
    assert texts(outcomes)[0][:3] in ([4, "abc", "InternalError"], [3, "abc", {"status": "Rejected"}])


def test_the_next_connection_may_speak_another_version() -> None:
    line = Line("2.0.1", row(1, TxKind.STARTED))
    assert line.said()[2] == "TransactionEvent"
    line.talk.disconnected()
    line.talk.connected("ocpp1.6")
    assert line.said()[2] == "StartTransaction"


def test_a_heartbeat_answer_without_a_time_is_survived() -> None:
    line = Line()
    line.ask(Ask(Heartbeat()))
    message_id = line.said()[1]
    assert HeartbeatAnswered(None) in events(line.hears([3, message_id, {}]))


@pytest.mark.parametrize("frame", ["", "{", "[]", "[2]", '[9,"a"]', "null", "[" * 5000, '[2,"a","Reset",{},1]'])
def test_rubbish_is_survived(frame: str) -> None:
    for version in ("1.6", "2.0.1"):
        assert all(isinstance(outcome, Say | Fault) for outcome in Line(version).hears(frame))


def test_a_frame_that_is_too_long_is_refused_by_its_head() -> None:
    (answer,) = texts(Line().talk.oversized('[2,"abc","DataTransfer",{"vendorId":"x'))
    assert answer[:3] == [4, "abc", "FormationViolation"]


def test_a_call_of_ours_that_breaks_its_schema_is_never_sent_is_told_and_fails() -> None:
    line = Line("2.0.1")
    broken = ReportPart("no number", 0, True, row(1).event.at, ())  # type: ignore[arg-type]
    line.ask(Ask(broken))
    told = line.talk.next(ACCEPTED, 0.0, 30.0)
    assert isinstance(told, Fault) and told.bug
    heard = line.talk.next(ACCEPTED, 0.0, 30.0)
    assert isinstance(heard, Hear) and isinstance(heard.event, CallFailed)


def test_a_status_that_was_on_its_way_when_the_link_broke_goes_again() -> None:
    line = Line()
    status = Status(1, 1, ConnectorStatus.AVAILABLE, row(1).event.at)
    line.ask(Ask(status))
    first = line.said()
    assert line.talk.disconnected() == []
    line.talk.connected("ocpp1.6")
    assert line.said()[2:] == first[2:]


def test_a_refused_status_may_be_told_again_in_the_same_words() -> None:
    line = Line()
    line.ask(status(ConnectorStatus.AVAILABLE))
    message_id = line.said()[1]
    line.hears([4, message_id, "InternalError", "", {}])
    line.ask(status(ConnectorStatus.AVAILABLE))
    assert line.said()[2] == "StatusNotification"
