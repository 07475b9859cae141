"""Logs in the words of both versions."""

from __future__ import annotations

import pytest

from agent.core.effects import LogAnswer, LogStatus
from agent.core.requests import LogRequested, Ref
from agent.errors import RpcError
from agent.ocpp import dialect
from agent.ocpp.dialect import Dialect
from agent.ocpp.v16.diagnostics import STATUS
from tests.ocpp.words import STATION, faults, ref, valid

V16, V201 = dialect.load("1.6"), dialect.load("2.0.1")
BOTH = pytest.mark.parametrize("spoken", [V16, V201], ids=["1.6", "2.0.1"])
NOON_UTC = 1795262400.0
DIAGNOSTICS = {
    "location": "ftp://files.example/logs/",
    "retries": 3,
    "retryInterval": 60,
    "startTime": "2026-11-21T12:00:00Z",
    "stopTime": "2026-11-21T12:00:01Z",
}
LOG = {
    "logType": "SecurityLog",
    "requestId": 7,
    "retries": 3,
    "retryInterval": 60,
    "log": {
        "remoteLocation": "https://files.example/logs/",
        "oldestTimestamp": "2026-11-21T12:00:00Z",
        "latestTimestamp": "2026-11-21T12:00:01Z",
    },
}


def test_diagnostics_are_asked_for() -> None:
    assert V16.asked(Ref("r", "GetDiagnostics"), DIAGNOSTICS) == LogRequested(
        Ref("r", "GetDiagnostics"), "Diagnostics", "ftp://files.example/logs/", 3, 60, None, NOON_UTC, NOON_UTC + 1
    )


def test_diagnostics_need_a_place_only() -> None:
    found = V16.asked(Ref("r", "GetDiagnostics"), {"location": "x"})
    assert found == LogRequested(Ref("r", "GetDiagnostics"), "Diagnostics", "x")


@BOTH
def test_a_log_is_asked_for(spoken: Dialect) -> None:
    assert spoken.asked(Ref("r", "GetLog"), LOG) == LogRequested(
        Ref("r", "GetLog"), "Security", "https://files.example/logs/", 3, 60, 7, NOON_UTC, NOON_UTC + 1
    )


@BOTH
def test_a_log_of_another_kind_is_refused(spoken: Dialect) -> None:
    with pytest.raises(RpcError):
        spoken.asked(ref("GetLog"), LOG | {"logType": "DoorLog"})


@BOTH
@pytest.mark.parametrize("status", ["Accepted", "Rejected", "AcceptedCanceled"])
@pytest.mark.parametrize("name", ["", "CP-1.tar.gz", "x" * 300])
def test_every_answer_about_a_log_is_valid(spoken: Dialect, status: str, name: str) -> None:
    payload = spoken.reply("GetLog", {}, LogAnswer(status, name), STATION)
    assert faults(spoken, "GetLog", payload, answer=True) == []
    assert payload.get("filename", "") == name[:255]


@pytest.mark.parametrize("name", ["", "CP-1.tar.gz", "x" * 300])
def test_the_answer_about_diagnostics_names_the_file_or_nothing(name: str) -> None:
    payload = V16.reply("GetDiagnostics", {}, LogAnswer("Accepted", name), STATION)
    assert faults(V16, "GetDiagnostics", payload, answer=True) == []
    assert payload == ({"fileName": name[:255]} if name else {})


@pytest.mark.parametrize("word", STATUS)
def test_the_status_of_a_log_is_valid_in_both_versions(word: str) -> None:
    call = LogStatus(word, 7, True)
    assert valid(V201, V201.encode(call, STATION)) == {"status": word, "requestId": 7}
    if word != "AcceptedCanceled":
        assert valid(V16, V16.encode(call, STATION)) == {"status": word, "requestId": 7}


def test_a_replaced_log_has_no_status_of_its_own_in_1_6() -> None:
    assert V16.encode(LogStatus("AcceptedCanceled", 7, True), STATION) is None


@pytest.mark.parametrize("word", STATUS)
def test_the_status_of_diagnostics_is_told_without_a_request(word: str) -> None:
    message = V16.encode(LogStatus(word), STATION)
    assert valid(V16, message) == {"status": STATUS[word]}
    assert message is not None and message[0] == "DiagnosticsStatusNotification"


def test_a_triggered_log_status_without_a_log_has_its_own_message() -> None:
    assert V16.encode(LogStatus("Idle", None, True), STATION) == ("LogStatusNotification", {"status": "Idle"})
