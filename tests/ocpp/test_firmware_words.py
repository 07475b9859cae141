"""Firmware updates on the wire, in both versions."""

from __future__ import annotations

from typing import Any

import pytest

from agent.core.effects import FirmwareStatus, StatusAnswer
from agent.core.requests import Request, UpdateRequested
from agent.errors import RpcError
from agent.ocpp import dialect
from agent.ocpp.dialect import Dialect, Payload
from agent.ocpp.v16.firmware import SIGNED
from tests.ocpp.words import NOON, NOON_TEXT, STATION, faults, ref

V16, V201 = dialect.load("1.6"), dialect.load("2.0.1")
FIRMWARE = {
    "location": " https://files.example/v2 ",
    "retrieveDateTime": NOON_TEXT,
    "installDateTime": "2026-11-21T13:00:00+01:00",
    "signingCertificate": "PEM",
    "signature": "c2ln",
}
PLAIN_ORDER = {"location": "ftp://x/y", "retrieveDate": NOON_TEXT, "retries": 3, "retryInterval": 9}
SIGNED_ORDER = {"requestId": 4, "retries": 2, "retryInterval": 60, "firmware": FIRMWARE}


def asked(spoken: Dialect, action: str, payload: Payload) -> Request:
    return spoken.asked(ref(action), payload)


def test_a_plain_order_names_no_request() -> None:
    expected = UpdateRequested(ref("UpdateFirmware"), "ftp://x/y", NOON.utc, retries=3, retry_interval_s=9)
    assert asked(V16, "UpdateFirmware", PLAIN_ORDER) == expected


@pytest.mark.parametrize(("spoken", "action"), [(V16, "SignedUpdateFirmware"), (V201, "UpdateFirmware")])
def test_a_signed_order_says_everything(spoken: Dialect, action: str) -> None:
    assert asked(spoken, action, SIGNED_ORDER) == UpdateRequested(
        ref(action), "https://files.example/v2", NOON.utc, NOON.utc, 2, 60, 4, "PEM", "c2ln"
    )


def test_an_order_of_2_0_1_may_be_unsigned() -> None:
    firmware = {"location": "https://x", "retrieveDateTime": NOON_TEXT}
    found = asked(V201, "UpdateFirmware", {"requestId": 1, "firmware": firmware})
    assert found == UpdateRequested(ref("UpdateFirmware"), "https://x", NOON.utc, request_id=1)


@pytest.mark.parametrize(
    "change",
    [{"location": "x" * 2001}, {"location": 5}, {"location": None}, {"retrieveDate": "soon"}, {"retries": "many"}],
)
def test_an_order_that_cannot_be_read_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(RpcError):
        asked(V16, "UpdateFirmware", {"location": "https://x", "retrieveDate": NOON_TEXT} | change)


ANSWERS = ("Accepted", "Rejected", "AcceptedCanceled", "InvalidCertificate", "RevokedCertificate")


@pytest.mark.parametrize("status", ANSWERS)
@pytest.mark.parametrize(("spoken", "action"), [(V16, "SignedUpdateFirmware"), (V201, "UpdateFirmware")])
def test_every_answer_is_told_as_it_is(spoken: Dialect, action: str, status: str) -> None:
    told = spoken.reply(action, SIGNED_ORDER, StatusAnswer(status), STATION)
    assert told == {"status": status}
    assert faults(spoken, action, told, answer=True) == []


def test_a_refusal_of_2_0_1_says_why() -> None:
    told = V201.reply("UpdateFirmware", SIGNED_ORDER, StatusAnswer("Rejected", reason="UpdateInProgress"), STATION)
    assert told == {"status": "Rejected", "statusInfo": {"reasonCode": "UpdateInProgress"}}
    assert faults(V201, "UpdateFirmware", told, answer=True) == []


def test_the_answer_to_a_plain_order_is_empty() -> None:
    assert V16.reply("UpdateFirmware", {}, StatusAnswer("Accepted"), STATION) == {}


@pytest.mark.parametrize("word", SIGNED)
def test_every_status_of_a_signed_update_has_its_own_message(word: str) -> None:
    message = V16.encode(FirmwareStatus(word, 9, True), STATION)
    assert message == ("SignedFirmwareStatusNotification", {"status": word, "requestId": 9})
    assert faults(V16, *message) == []


@pytest.mark.parametrize("word", SIGNED)
def test_every_status_names_its_request_where_the_version_can(word: str) -> None:
    message = V201.encode(FirmwareStatus(word, 9, True), STATION)
    assert message == ("FirmwareStatusNotification", {"status": word, "requestId": 9})
    assert faults(V201, *message) == []
    plain = V16.encode(FirmwareStatus(word, 9), STATION)
    assert plain is not None
    assert plain[1].keys() == {"status"}
    assert faults(V16, *plain) == []


def test_a_triggered_status_without_an_update_names_no_request() -> None:
    assert V16.encode(FirmwareStatus(signed=True), STATION) == ("SignedFirmwareStatusNotification", {"status": "Idle"})
    assert V201.encode(FirmwareStatus(), STATION) == ("FirmwareStatusNotification", {"status": "Idle"})
