"""Quirks alone: what each word makes of a message, and when a conversation that obeys them calls."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.effects import Ask, Authorize, Boot, FirmwareStatus, Heartbeat
from agent.core.events import CallDone
from agent.core.requests import StartRequested
from agent.core.types import Registration, TxKind
from agent.ocpp.conversation import Delivered, Hear, Say
from agent.ocpp.dialect import load
from agent.ocpp.quirks import SHAPERS, Quirks
from drivers.api import IdToken
from tests.ocpp.test_conversation import ACCEPTED, Line, events
from tests.ocpp.test_outbox import Row
from tests.ocpp.words import CARD, STATION, event, reading, transaction_events

VOLTAGE, REGISTER = (
    {"measurand": "Voltage", "value": "1.5"},
    {"measurand": "Energy.Active.Import.Register", "value": "7"},
)


def quirks(lengths: dict[str, int] | None = None, **words: Any) -> Quirks:
    return Quirks(("test",), tuple(words.items()), tuple((lengths or {}).items()))


def told(action: str, payload: dict[str, Any], about: object = None, **words: Any) -> dict[str, Any] | None:
    return quirks(**words).told(about, action, copy.deepcopy(payload))


def metered(*samples: dict[str, Any]) -> dict[str, Any]:
    return {"connectorId": 1, "meterValue": [{"timestamp": "2026-11-21T12:00:00.000Z", "sampledValue": list(samples)}]}


def test_a_stop_without_a_reason_gets_one_where_the_csms_wants_one() -> None:
    assert told("StopTransaction", {"meterStop": 1}, stop_reason="always") == {"meterStop": 1, "reason": "Local"}
    assert told("StopTransaction", {"reason": "Other"}, stop_reason="always") == {"reason": "Other"}


def test_a_reason_other_than_local_is_told_also_where_local_is_left_out() -> None:
    assert told("StopTransaction", {"reason": "Other"}, stop_reason="local-omitted") == {"reason": "Other"}
    assert told("StopTransaction", {"reason": "Local"}, stop_reason="local-omitted") == {}


def test_of_too_many_values_the_register_stays() -> None:
    assert told("MeterValues", metered(VOLTAGE, REGISTER), values_at_most=1) == metered(REGISTER)


def test_meter_values_of_which_nothing_is_left_are_not_told() -> None:
    assert told("MeterValues", metered(VOLTAGE), measurands=("Current.Import",)) is None


def test_a_transaction_event_of_whose_values_nothing_is_left_is_told_all_the_same() -> None:
    payload = {"seqNo": 1} | metered(VOLTAGE)
    assert told("TransactionEvent", payload, measurands=("Current.Import",)) == {"seqNo": 1, "connectorId": 1}


def test_numbers_and_numerals_are_rounded_and_signed_texts_left_alone() -> None:
    given_ = metered({"value": "2.6"}, {"value": 2.6}, {"value": "-0.4"}, {"value": "30 AF"})
    whole = told("MeterValues", given_, whole_values=True)
    assert whole is not None
    assert [s["value"] for s in whole["meterValue"][0]["sampledValue"]] == ["3", 3, "0", "30 AF"]


def test_the_word_for_no_token_keeps_its_spelling() -> None:
    assert told("StartTransaction", {"idTag": "NoAuthorization"}, token_case="upper") == {"idTag": "NoAuthorization"}
    assert told("StartTransaction", {"idTag": "AbC"}, token_case="upper") == {"idTag": "ABC"}


def test_times_lose_their_fractions_however_deep_and_texts_that_look_like_times_do_not() -> None:
    time = "2026-11-21T12:00:00.123Z"
    payload = {"data": time, "reports": [{"timestamp": time}], "scheduleStart": time}
    whole = "2026-11-21T12:00:00Z"
    assert told("X", payload, no_fractions=True) == {
        "data": time, "reports": [{"timestamp": whole}], "scheduleStart": whole
    }  # fmt: skip


@settings(max_examples=150, deadline=None, derandomize=True)
@given(transaction_events, st.sampled_from(["1.6", "2.0.1"]))
def test_with_all_quirks_a_bill_loses_nothing(sent: Any, version: str) -> None:
    """Every transaction event that is told without quirks is told with them, but for samples."""
    message = load(version).tell(sent, "7")
    if message is None:
        return
    action, payload = message
    bill = {k: v for k, v in payload.items() if k not in ("meterValue", "transactionData", "reason", "timestamp")}
    for key in ("idTag", "idToken"):
        bill.pop(key, None)
    everything: dict[str, Any] = {word: True for word in SHAPERS if word != "lengths"}
    everything |= {"token_case": "lower", "measurands": ("Voltage",), "values_at_most": 1, "not_sent": ("LogStatus",)}
    everything |= {"stop_reason": "always"}
    shaped = quirks({"info": 3}, **everything).told(sent, action, payload)
    if shaped is None:
        assert sent.kind is TxKind.UPDATED and action == "MeterValues"
    else:
        assert bill.items() <= shaped.items()


# --- in a conversation ----------------------------------------------------------------------------------------------


def obeying(found: Quirks, version: str = "1.6", *rows: Any) -> Line:
    line = Line(version, *rows)
    line.talk.obey(found, {})
    return line


def test_a_message_that_is_not_wanted_counts_as_taken() -> None:
    line = obeying(quirks(not_sent=("FirmwareStatusNotification",)))
    call = FirmwareStatus("Downloading")
    line.ask(Ask(call), Ask(Heartbeat()))
    _, message_id, action, _ = line.said()
    assert action == "Heartbeat"
    line.hears([3, message_id, {}])
    assert line.talk.next(ACCEPTED, 0.0, 30.0) == Hear(CallDone(call, said=False))
    assert line.talk.next(ACCEPTED, 0.0, 30.0) is None


def test_an_unwanted_row_leaves_the_journal() -> None:
    sample = Row(1, event(TxKind.UPDATED, readings=(reading(),)))
    line = obeying(quirks(measurands=("Voltage",)), "1.6", sample)
    assert line.talk.next(ACCEPTED, 0.0, 30.0) == Delivered(sample, None)


def test_a_token_longer_than_the_schema_is_told_whole() -> None:
    token = IdToken("X" * 30)
    line = obeying(quirks({"idTag": 25}))
    line.ask(Ask(Authorize(token, (1,))))
    assert line.said()[3] == {"idTag": "X" * 25}


def test_a_longer_token_is_heard_and_one_beyond_is_refused() -> None:
    line = obeying(quirks({"idTag": 25}))
    (heard,) = events(line.hears([2, "a", "RemoteStartTransaction", {"idTag": "X" * 25}]))
    assert isinstance(heard, StartRequested) and heard.token == IdToken("X" * 25)
    assert events(line.hears([2, "b", "RemoteStartTransaction", {"idTag": "X" * 26}])) == []


def test_calls_keep_their_distance_and_no_timer_runs_hot() -> None:
    line = obeying(quirks(messages_per_s=2))
    line.ask(Ask(Heartbeat()), Ask(FirmwareStatus("Idle")))
    _, message_id, *_ = line.said(10.0)
    line.hears([3, message_id, {"currentTime": "2026-11-21T10:00:00Z"}], 10.1)
    assert line.talk.next(ACCEPTED, 10.1, 30.0) is None
    assert line.talk.deadline() == 10.5
    line.said(10.5)


def test_when_nothing_waits_the_pace_arms_no_timer() -> None:
    line = obeying(quirks(messages_per_s=2))
    line.ask(Ask(Heartbeat()))
    _, message_id, *_ = line.said(10.0)
    line.hears([3, message_id, {}], 10.1)
    assert line.talk.next(ACCEPTED, 10.5, 30.0) is None
    assert line.talk.deadline() is None


def test_a_silence_ends_with_a_heartbeat() -> None:
    line = obeying(quirks(longest_silence_s=50))
    line.ask(Ask(Heartbeat()))
    _, message_id, *_ = line.said(10.0)
    line.hears([3, message_id, {}], 10.1)
    assert line.talk.next(ACCEPTED, 10.2, 30.0) is None
    assert line.talk.deadline() == 60.0
    assert line.said(60.0)[2] == "Heartbeat"


@pytest.mark.parametrize("registration", [Registration.NONE, Registration.PENDING, Registration.REJECTED])
def test_before_accepted_nothing_breaks_the_silence(registration: Registration) -> None:
    line = obeying(quirks(longest_silence_s=50))
    line.ask(Ask(Boot("PowerUp")))
    line.registration = registration
    _, message_id, *_ = line.said(10.0)
    line.hears([3, message_id, {}], 10.1)
    assert line.talk.next(registration, 1000.0, 30.0) is None
    assert line.talk.deadline() is None


def test_without_quirks_a_message_is_what_the_dialect_made_it() -> None:
    line = Line()
    line.ask(Ask(Authorize(CARD, (1,))))
    found = line.talk.next(ACCEPTED, 0.0, 30.0)
    assert isinstance(found, Say)
    assert json.loads(found.text)[2:] == list(load("1.6").encode(Authorize(CARD, (1,)), STATION) or ())
