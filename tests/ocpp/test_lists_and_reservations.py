"""Local lists and reservations on the wire, in both versions."""

from __future__ import annotations

from typing import Any

import pytest

from agent.core.effects import Answer, ReservationUpdate, StatusAnswer, VersionAnswer
from agent.core.requests import (
    LocalListRequested,
    LocalListSent,
    Request,
    ReservationCancelRequested,
    ReserveRequested,
)
from agent.core.types import ListEntry, TokenInfo, TokenStatus
from agent.errors import RpcError
from agent.ocpp import dialect
from agent.ocpp.dialect import Payload
from drivers.api import IdToken
from tests.ocpp.words import NOON, NOON_TEXT, STATION, faults, ref

V16, V201 = dialect.load("1.6"), dialect.load("2.0.1")
TOKEN, GROUP = {"idToken": "A1", "type": "ISO14443"}, {"idToken": "P", "type": "Central"}
LOCAL_LIST: dict[str, Payload] = {
    "1.6": {
        "listVersion": 5,
        "updateType": "Differential",
        "localAuthorizationList": [
            {"idTag": " A1", "idTagInfo": {"status": "Blocked", "parentIdTag": "P", "expiryDate": NOON_TEXT}},
            {"idTag": "B2"},
        ],
    },
    "2.0.1": {
        "versionNumber": 5,
        "updateType": "Differential",
        "localAuthorizationList": [
            {
                "idToken": TOKEN,
                "idTokenInfo": {"status": "Blocked", "groupIdToken": GROUP, "cacheExpiryDateTime": NOON_TEXT},
            },
            {"idToken": {"idToken": "B2", "type": "ISO14443"}},
        ],
    },
}
RESERVE: dict[str, Payload] = {
    "1.6": {"connectorId": 2, "expiryDate": NOON_TEXT, "idTag": "A1 ", "parentIdTag": "P", "reservationId": -7},
    "2.0.1": {
        "id": -7,
        "expiryDateTime": NOON_TEXT,
        "idToken": TOKEN,
        "evseId": 2,
        "groupIdToken": GROUP,
        "connectorType": "cType2",
    },
}
BOTH = pytest.mark.parametrize("version", ["1.6", "2.0.1"])


def asked(version: str, action: str, payload: Payload) -> Request:
    return dialect.load(version).asked(ref(action), payload)


def answered(version: str, action: str, answer: Answer) -> Payload:
    told = dialect.load(version).reply(action, {}, answer, STATION)
    assert faults(dialect.load(version), action, told, answer=True) == []
    return told


@BOTH
def test_a_list_is_read_with_group_and_expiry_and_an_entry_without_info_goes(version: str) -> None:
    kind = "" if version == "1.6" else "ISO14443"

    def token(value: str, kind: str = kind) -> IdToken:
        return IdToken(value, kind) if kind else IdToken(value)

    group = token("P", "Central" if kind else "")
    assert asked(version, "SendLocalList", LOCAL_LIST[version]) == LocalListSent(
        ref("SendLocalList"),
        5,
        full=False,
        entries=(
            ListEntry(token("A1"), TokenInfo(TokenStatus.BLOCKED, group, NOON.utc)),
            ListEntry(token("B2"), None),
        ),
    )


@BOTH
def test_a_full_list_without_entries_is_empty(version: str) -> None:
    name = "listVersion" if version == "1.6" else "versionNumber"
    found = asked(version, "SendLocalList", {name: 5, "updateType": "Full"})
    assert found == LocalListSent(ref("SendLocalList"), 5, full=True)


@pytest.mark.parametrize(
    ("version", "entry"),
    [
        ("1.6", {"idTag": "A", "idTagInfo": {"status": "Accepted", "expiryDate": "soon"}}),
        (
            "2.0.1",
            {"idToken": TOKEN, "idTokenInfo": {"status": "Accepted", "cacheExpiryDateTime": "soon"}},
        ),
    ],
)
def test_an_expiry_that_cannot_be_read_is_refused_and_not_taken_for_never(version: str, entry: Payload) -> None:
    with pytest.raises(RpcError) as refused:
        asked(version, "SendLocalList", LOCAL_LIST[version] | {"localAuthorizationList": [entry]})
    assert refused.value.code in ("FormationViolation", "FormatViolation")


def test_a_token_that_is_listed_for_certain_evses_only_is_not_valid_without_asking() -> None:
    entry = {"idToken": TOKEN, "idTokenInfo": {"status": "Accepted", "evseId": [1]}}
    found: Any = asked("2.0.1", "SendLocalList", LOCAL_LIST["2.0.1"] | {"localAuthorizationList": [entry]})
    assert found.entries[0].info.status is TokenStatus.NOT_AT_THIS_LOCATION


@BOTH
def test_the_version_of_the_list_is_asked_for(version: str) -> None:
    assert asked(version, "GetLocalListVersion", {}) == LocalListRequested(ref("GetLocalListVersion"))


@pytest.mark.parametrize(
    ("version", "number", "payload"),
    [
        ("1.6", 7, {"listVersion": 7}),
        ("1.6", 0, {"listVersion": 0}),
        ("1.6", -1, {"listVersion": -1}),
        ("2.0.1", 7, {"versionNumber": 7}),
        ("2.0.1", -1, {"versionNumber": 0}),
    ],
)
def test_the_version_of_the_list_is_told(version: str, number: int, payload: Payload) -> None:
    assert answered(version, "GetLocalListVersion", VersionAnswer(number)) == payload


@pytest.mark.parametrize(
    ("version", "status", "told"),
    [
        ("1.6", "NotSupported", "NotSupported"),
        ("1.6", "VersionMismatch", "VersionMismatch"),
        ("2.0.1", "NotSupported", "Failed"),
        ("2.0.1", "VersionMismatch", "VersionMismatch"),
    ],
)
def test_each_version_has_its_own_words_for_a_list_that_was_not_taken(version: str, status: str, told: str) -> None:
    assert answered(version, "SendLocalList", StatusAnswer(status)) == {"status": told}


@pytest.mark.parametrize("action", ["SendLocalList", "ReserveNow"])
def test_2_0_1_tells_why_and_1_6_has_no_words_for_it(action: str) -> None:
    answer = StatusAnswer("Rejected", reason="NotEnabled")
    assert answered("2.0.1", action, answer)["statusInfo"] == {"reasonCode": "NotEnabled"}
    assert list(answered("1.6", action, answer)) == ["status"]


@BOTH
def test_a_reservation_is_read(version: str) -> None:
    old = version == "1.6"
    token = IdToken("A1") if old else IdToken("A1", "ISO14443")
    group = IdToken("P") if old else IdToken("P", "Central")
    found = asked(version, "ReserveNow", RESERVE[version])
    kind = None if old else "cType2"
    assert found == ReserveRequested(ref("ReserveNow"), -7, NOON.utc, token, 2, group, kind)


def test_connector_0_is_any_evse() -> None:
    found = asked("1.6", "ReserveNow", RESERVE["1.6"] | {"connectorId": 0})
    assert isinstance(found, ReserveRequested)
    assert found.evse is None


def test_a_reservation_without_evse_is_for_any_evse() -> None:
    found = asked("2.0.1", "ReserveNow", {key: v for key, v in RESERVE["2.0.1"].items() if key != "evseId"})
    assert isinstance(found, ReserveRequested)
    assert found.evse is None


@BOTH
def test_a_reservation_is_cancelled_by_its_number(version: str) -> None:
    found = asked(version, "CancelReservation", {"reservationId": 7})
    assert found == ReservationCancelRequested(ref("CancelReservation"), 7)


@BOTH
@pytest.mark.parametrize("status", ["Accepted", "Faulted", "Occupied", "Rejected", "Unavailable"])
def test_all_words_for_a_reservation_are_told(version: str, status: str) -> None:
    assert answered(version, "ReserveNow", StatusAnswer(status)) == {"status": status}


def test_the_end_of_a_reservation_has_a_message_in_2_0_1_only() -> None:
    update = ReservationUpdate(7, "Expired")
    told = {"reservationId": 7, "reservationUpdateStatus": "Expired"}
    assert V16.encode(update, STATION) is None
    assert V201.encode(update, STATION) == ("ReservationStatusUpdate", told)
