"""OCPP 1.6-J: requests of the CSMS and our answers to them."""

from __future__ import annotations

from typing import Any

import pytest

from agent.core.effects import Answer, DataAnswer, RefuseCall, ScheduleAnswer, StatusAnswer
from agent.core.profile import Kind, Period, Profile, Purpose, Recurrency
from agent.core.requests import (
    AvailabilityRequested,
    ClearCacheRequested,
    DataReceived,
    ProfileClearRequested,
    ProfileSetRequested,
    Request,
    ResetRequested,
    ScheduleRequested,
    StartRequested,
    StopRequested,
    TriggerRequested,
    UnlockRequested,
)
from agent.core.types import ResetKind
from agent.errors import RpcError
from agent.ocpp import dialect
from agent.ocpp.dialect import Payload
from drivers.api import IdToken
from tests.ocpp.words import NOON, NOON_TEXT, STATION, faults, ref

V16 = dialect.load("1.6")
PROFILE: Payload = {
    "chargingProfileId": 5,
    "transactionId": 42,
    "stackLevel": 3,
    "chargingProfilePurpose": "TxProfile",
    "chargingProfileKind": "Recurring",
    "recurrencyKind": "Daily",
    "validFrom": "2026-11-21T12:00:00Z",
    "validTo": "2026-11-21T13:00:00+00:00",
    "chargingSchedule": {
        "duration": 3600,
        "startSchedule": "2026-11-21T12:00:00Z",
        "chargingRateUnit": "A",
        "chargingSchedulePeriod": [
            {"startPeriod": 0, "limit": 16.3, "numberPhases": 1},
            {"startPeriod": 60, "limit": 6},
        ],
        "minChargingRate": 6.0,
    },
}
NEUTRAL_PROFILE = Profile(
    id=5,
    stack_level=3,
    purpose=Purpose.TX,
    kind=Kind.RECURRING,
    unit="A",
    periods=(Period(0, 16.3, 1), Period(60, 6.0)),
    recurrency=Recurrency.DAILY,
    start=NOON.utc,
    duration_s=3600,
    valid_from=NOON.utc,
    valid_to=NOON.utc + 3600,
    minimum_rate=6.0,
    transaction="42",
)


def asked(action: str, **payload: Any) -> Request:
    return V16.asked(ref(action), payload)


def answered(action: str, answer: Answer, **payload: Any) -> Payload:
    told = V16.reply(action, payload, answer, STATION)
    assert faults(V16, action, told, answer=True) == []
    return told


# --- in ---


@pytest.mark.parametrize(
    ("action", "payload", "meant"),
    [
        ("RemoteStartTransaction", {"idTag": "A1"}, StartRequested(ref("RemoteStartTransaction"), IdToken("A1"))),
        ("Reset", {"type": "Hard"}, ResetRequested(ref("Reset"), ResetKind.HARD)),
        ("Reset", {"type": "Soft"}, ResetRequested(ref("Reset"), ResetKind.SOFT)),
        (
            "ChangeAvailability",
            {"connectorId": 2, "type": "Inoperative"},
            AvailabilityRequested(ref("ChangeAvailability"), False, 2),
        ),
        (
            "ChangeAvailability",
            {"connectorId": 0, "type": "Operative"},
            AvailabilityRequested(ref("ChangeAvailability"), True, None),
        ),
        ("UnlockConnector", {"connectorId": 1}, UnlockRequested(ref("UnlockConnector"), 1)),
        ("ClearCache", {}, ClearCacheRequested(ref("ClearCache"))),
        (
            "DataTransfer",
            {"vendorId": "v", "messageId": "m", "data": "d"},
            DataReceived(ref("DataTransfer"), "v", "m", "d"),
        ),
        (
            "SetChargingProfile",
            {"connectorId": 1, "csChargingProfiles": PROFILE},
            ProfileSetRequested(ref("SetChargingProfile"), 1, NEUTRAL_PROFILE),
        ),
        ("ClearChargingProfile", {}, ProfileClearRequested(ref("ClearChargingProfile"))),
        (
            "ClearChargingProfile",
            {"id": 5, "connectorId": 0, "chargingProfilePurpose": "ChargePointMaxProfile", "stackLevel": 1},
            ProfileClearRequested(ref("ClearChargingProfile"), 5, 0, "ChargingStationMaxProfile", 1),
        ),
        (
            "GetCompositeSchedule",
            {"connectorId": 1, "duration": 600, "chargingRateUnit": "W"},
            ScheduleRequested(ref("GetCompositeSchedule"), 1, 600, "W"),
        ),
    ],
)
def test_a_request_means(action: str, payload: Payload, meant: Request) -> None:
    assert asked(action, **payload) == meant


@pytest.mark.parametrize("written", [42, "42", 42.0, "42.0"])
def test_a_transaction_is_named_by_a_number_however_it_is_written(written: object) -> None:
    request = asked("RemoteStopTransaction", transactionId=written)
    assert request == StopRequested(ref("RemoteStopTransaction"), "42")


def test_a_remote_start_may_bring_connector_and_profile() -> None:
    request = asked("RemoteStartTransaction", idTag="A1", connectorId=2, chargingProfile=PROFILE)
    assert request == StartRequested(ref("RemoteStartTransaction"), IdToken("A1"), 2, profile=NEUTRAL_PROFILE)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("BootNotification", "BootAgain"),
        ("DiagnosticsStatusNotification", "Diagnostics"),
        ("FirmwareStatusNotification", "Firmware"),
        ("Heartbeat", "Heartbeat"),
        ("MeterValues", "SampledValues"),
        ("StatusNotification", "Status"),
        ("LogStatusNotification", ""),
        ("SampledValues", ""),  # the core's own words are nobody else's
    ],
)
def test_a_trigger_names_a_message(word: str, message: str) -> None:
    request = asked("TriggerMessage", requestedMessage=word, connectorId=1)
    assert request == TriggerRequested(ref("TriggerMessage"), message, 1)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("BootNotification", "BootAgain"),
        ("FirmwareStatusNotification", "SignedFirmware"),
        ("Heartbeat", "Heartbeat"),
        ("LogStatusNotification", "Log"),
        ("MeterValues", "SampledValues"),
        ("SignChargePointCertificate", "SignCertificate"),
        ("StatusNotification", "Status"),
    ],
)
def test_an_extended_trigger_means_the_messages_of_the_whitepaper(word: str, message: str) -> None:
    request = asked("ExtendedTriggerMessage", requestedMessage=word)
    assert request == TriggerRequested(ref("ExtendedTriggerMessage"), message, None)


def test_a_trigger_for_connector_0_is_for_the_charge_point() -> None:
    request = asked("TriggerMessage", requestedMessage="StatusNotification", connectorId=0)
    assert request == TriggerRequested(ref("TriggerMessage"), "Status", 0)


def test_nothing_in_a_field_is_the_same_as_no_field() -> None:
    request = asked("RemoteStartTransaction", idTag="A1", connectorId=None)
    assert request == StartRequested(ref("RemoteStartTransaction"), IdToken("A1"))


@pytest.mark.parametrize(
    ("action", "payload", "code"),
    [
        ("Reset", {}, "OccurenceConstraintViolation"),
        ("Reset", {"type": "Now"}, "PropertyConstraintViolation"),
        ("Reset", {"type": 1}, "TypeConstraintViolation"),
        ("RemoteStopTransaction", {"transactionId": "abc"}, "TypeConstraintViolation"),
        ("RemoteStopTransaction", {"transactionId": True}, "TypeConstraintViolation"),
        ("GetCompositeSchedule", {"connectorId": 1, "duration": -1}, "PropertyConstraintViolation"),
        ("GetConfiguration", {"key": "HeartbeatInterval"}, "TypeConstraintViolation"),
        ("GetConfiguration", {"key": ["x"] * 201}, "OccurenceConstraintViolation"),
        (
            "SetChargingProfile",
            {"connectorId": 1, "csChargingProfiles": PROFILE | {"validFrom": "soon"}},
            "FormationViolation",
        ),
        ("MakeCoffee", {}, "NotSupported"),
    ],
)
def test_a_request_that_cannot_be_read_is_refused_in_the_spelling_of_this_version(
    action: str, payload: Payload, code: str
) -> None:
    with pytest.raises(RpcError) as refused:
        asked(action, **payload)
    assert refused.value.code == code


def test_a_limit_finer_than_a_tenth_is_taken_as_it_is() -> None:
    schedule = PROFILE["chargingSchedule"] | {"chargingSchedulePeriod": [{"startPeriod": 0, "limit": 16.25}]}
    request = asked("SetChargingProfile", connectorId=1, csChargingProfiles=PROFILE | {"chargingSchedule": schedule})
    assert isinstance(request, ProfileSetRequested) and request.profile.periods == (Period(0, 16.25),)


@pytest.mark.parametrize("period", [{"startPeriod": 0, "limit": -1}, {"startPeriod": 0, "limit": 6, "numberPhases": 4}])
def test_a_profile_with_an_impossible_period_is_refused(period: Payload) -> None:
    schedule = PROFILE["chargingSchedule"] | {"chargingSchedulePeriod": [period]}
    with pytest.raises(RpcError, match="PropertyConstraintViolation"):
        asked("SetChargingProfile", connectorId=1, csChargingProfiles=PROFILE | {"chargingSchedule": schedule})


# --- out ---


@pytest.mark.parametrize(
    ("action", "neutral", "word"),
    [
        ("RemoteStartTransaction", "Accepted", "Accepted"),
        ("RemoteStartTransaction", "Rejected", "Rejected"),
        ("RemoteStopTransaction", "Rejected", "Rejected"),
        ("Reset", "Scheduled", "Accepted"),
        ("Reset", "NotSupported", "Rejected"),
        ("ChangeAvailability", "Scheduled", "Scheduled"),
        ("ChangeAvailability", "Unknown", "Rejected"),
        ("ClearCache", "Accepted", "Accepted"),
        ("ClearChargingProfile", "Accepted", "Accepted"),
        ("ClearChargingProfile", "Rejected", "Unknown"),
        ("SetChargingProfile", "NotSupported", "NotSupported"),
        ("TriggerMessage", "NotImplemented", "NotImplemented"),
        ("TriggerMessage", "NotSupported", "NotImplemented"),
        ("UnlockConnector", "Unlocked", "Unlocked"),
        ("UnlockConnector", "UnknownConnector", "NotSupported"),
        ("UnlockConnector", "OngoingAuthorizedTransaction", "UnlockFailed"),
    ],
)
def test_an_answer_is_given_in_the_words_of_this_version(action: str, neutral: str, word: str) -> None:
    assert answered(action, StatusAnswer(neutral, "b3-1-7", "SomeReason")) == {"status": word}


def test_a_schedule_is_answered_in_tenths() -> None:
    answer = ScheduleAnswer("Accepted", 1, NOON, 600, "A", ((0, 16.33333, 3), (300, 6.0, None)))
    assert answered("GetCompositeSchedule", answer) == {
        "status": "Accepted",
        "connectorId": 1,
        "scheduleStart": NOON_TEXT,
        "chargingSchedule": {
            "duration": 600,
            "chargingRateUnit": "A",
            "chargingSchedulePeriod": [
                {"startPeriod": 0, "limit": 16.3, "numberPhases": 3},
                {"startPeriod": 300, "limit": 6.0},
            ],
        },
    }


@pytest.mark.parametrize("answer", [ScheduleAnswer("Rejected"), StatusAnswer("Rejected")])
def test_no_schedule_is_a_rejection(answer: Answer) -> None:
    assert answered("GetCompositeSchedule", answer) == {"status": "Rejected"}


@pytest.mark.parametrize(
    ("reason", "code"), [("UnknownEvse", "PropertyConstraintViolation"), ("NotEnabled", "NotSupported")]
)
def test_a_profile_for_no_connector_or_no_smart_charging_is_a_call_error(reason: str, code: str) -> None:
    """Errata 3.39."""
    with pytest.raises(RpcError, match=code):
        answered("SetChargingProfile", StatusAnswer("Rejected", reason=reason))


def test_data_is_answered_as_text() -> None:
    assert answered("DataTransfer", DataAnswer("Accepted", [1])) == {"status": "Accepted", "data": "[1]"}


def test_data_may_be_refused_without_more() -> None:
    assert answered("DataTransfer", DataAnswer("UnknownVendorId")) == {"status": "UnknownVendorId"}


def test_a_refusal_is_a_call_error_in_the_spelling_of_this_version() -> None:
    with pytest.raises(RpcError, match="FormationViolation: why"):
        answered("Reset", RefuseCall("FormatViolation", "why"))
