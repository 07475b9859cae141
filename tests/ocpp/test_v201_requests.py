"""OCPP 2.0.1: requests of the CSMS and our answers to them."""

from __future__ import annotations

from typing import Any

import pytest

from agent.core import catalogue
from agent.core.effects import (
    Answer,
    DataAnswer,
    RefuseCall,
    ScheduleAnswer,
    StatusAnswer,
    TransactionStatusAnswer,
    VariablesAnswer,
    WritesAnswer,
)
from agent.core.profile import Kind, Period, Profile, Purpose
from agent.core.requests import (
    AvailabilityRequested,
    ClearCacheRequested,
    DataReceived,
    ProfileClearRequested,
    ProfileSetRequested,
    ReportRequested,
    Request,
    ResetRequested,
    ScheduleRequested,
    StartRequested,
    StopRequested,
    TransactionStatusRequested,
    TriggerRequested,
    UnlockRequested,
    VariablesRequested,
    VariablesSetRequested,
    VariableWrite,
)
from agent.core.types import ResetKind, SetStatus, VariableId
from agent.core.variables import Variables
from agent.errors import RpcError
from agent.ocpp import dialect
from agent.ocpp.dialect import Payload
from drivers.api import IdToken
from tests.ocpp.words import NOON, NOON_TEXT, STATION, faults, ref

V201 = dialect.load("2.0.1")
TOKEN = {"idToken": "A1", "type": "Central", "customData": {"vendorId": "x"}}
PROFILE: Payload = {
    "id": 5,
    "stackLevel": 0,
    "chargingProfilePurpose": "ChargingStationExternalConstraints",
    "chargingProfileKind": "Absolute",
    "transactionId": "0042",
    "chargingSchedule": [
        {
            "id": 1,
            "chargingRateUnit": "W",
            "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 7400.0, "numberPhases": 3, "phaseToUse": 1}],
        }
    ],
}
NEUTRAL_PROFILE = Profile(
    id=5,
    stack_level=0,
    purpose=Purpose.STATION_EXTERNAL,
    kind=Kind.ABSOLUTE,
    unit="W",
    periods=(Period(0, 7400.0, 3, 1),),
    transaction="0042",
)


def variable(component: str, name: str, **more: Any) -> Payload:
    return {"component": {"name": component}, "variable": {"name": name}} | more


def asked(action: str, **payload: Any) -> Request:
    return V201.asked(ref(action), payload)


def answered(action: str, answer: Answer, **payload: Any) -> Payload:
    told = V201.reply(action, payload, answer, STATION)
    assert faults(V201, action, told, answer=True) == []
    return told


# --- in ---


@pytest.mark.parametrize(
    ("action", "payload", "meant"),
    [
        (
            "RequestStartTransaction",
            {"idToken": TOKEN, "remoteStartId": 7},
            StartRequested(ref("RequestStartTransaction"), IdToken("A1", "Central"), None, 7),
        ),
        (
            "RequestStartTransaction",
            {"idToken": TOKEN, "remoteStartId": 7, "evseId": 2, "groupIdToken": TOKEN, "chargingProfile": PROFILE},
            StartRequested(
                ref("RequestStartTransaction"),
                IdToken("A1", "Central"),
                2,
                7,
                IdToken("A1", "Central"),
                NEUTRAL_PROFILE,
            ),
        ),
        (
            "RequestStopTransaction",
            {"transactionId": "b3-1-7"},
            StopRequested(ref("RequestStopTransaction"), "b3-1-7"),
        ),
        ("Reset", {"type": "Immediate"}, ResetRequested(ref("Reset"), ResetKind.IMMEDIATE)),
        ("Reset", {"type": "OnIdle", "evseId": 1}, ResetRequested(ref("Reset"), ResetKind.ON_IDLE, 1)),
        (
            "ChangeAvailability",
            {"operationalStatus": "Operative"},
            AvailabilityRequested(ref("ChangeAvailability"), True),
        ),
        (
            "ChangeAvailability",
            {"operationalStatus": "Inoperative", "evse": {"id": 2, "connectorId": 1}},
            AvailabilityRequested(ref("ChangeAvailability"), False, 2, 1),
        ),
        (
            "GetBaseReport",
            {"requestId": 3, "reportBase": "FullInventory"},
            ReportRequested(ref("GetBaseReport"), 3, "FullInventory"),
        ),
        ("UnlockConnector", {"evseId": 1, "connectorId": 2}, UnlockRequested(ref("UnlockConnector"), 1, 2)),
        ("ClearCache", {}, ClearCacheRequested(ref("ClearCache"))),
        ("GetTransactionStatus", {}, TransactionStatusRequested(ref("GetTransactionStatus"))),
        (
            "GetTransactionStatus",
            {"transactionId": "b3-1-7"},
            TransactionStatusRequested(ref("GetTransactionStatus"), "b3-1-7"),
        ),
        (
            "DataTransfer",
            {"vendorId": "v", "data": {"FooBar": 1, "foo_bar": None}},
            DataReceived(ref("DataTransfer"), "v", None, {"FooBar": 1, "foo_bar": None}),
        ),
        (
            "SetChargingProfile",
            {"evseId": 0, "chargingProfile": PROFILE},
            ProfileSetRequested(ref("SetChargingProfile"), 0, NEUTRAL_PROFILE),
        ),
        (
            "ClearChargingProfile",
            {"chargingProfileId": 5},
            ProfileClearRequested(ref("ClearChargingProfile"), 5),
        ),
        (
            "ClearChargingProfile",
            {"chargingProfileCriteria": {"evseId": 1, "chargingProfilePurpose": "TxProfile", "stackLevel": 2}},
            ProfileClearRequested(ref("ClearChargingProfile"), None, 1, "TxProfile", 2),
        ),
        (
            "GetCompositeSchedule",
            {"evseId": 1, "duration": 600},
            ScheduleRequested(ref("GetCompositeSchedule"), 1, 600),
        ),
    ],
)
def test_a_request_means(action: str, payload: Payload, meant: Request) -> None:
    assert asked(action, **payload) == meant


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("BootNotification", "Boot"),
        ("LogStatusNotification", "Log"),
        ("FirmwareStatusNotification", "Firmware"),
        ("Heartbeat", "Heartbeat"),
        ("MeterValues", "MeterValues"),
        ("StatusNotification", "Status"),
        ("TransactionEvent", "TransactionEvent"),
        ("SignV2GCertificate", ""),
        ("BootAgain", ""),
    ],
)
def test_a_trigger_names_a_message(word: str, message: str) -> None:
    assert asked("TriggerMessage", requestedMessage=word) == TriggerRequested(ref("TriggerMessage"), message)


def test_a_trigger_may_name_an_evse() -> None:
    request = asked("TriggerMessage", requestedMessage="MeterValues", evse={"id": 2})
    assert request == TriggerRequested(ref("TriggerMessage"), "MeterValues", 2)


@pytest.mark.parametrize(
    ("action", "payload", "code"),
    [
        ("Reset", {}, "OccurrenceConstraintViolation"),
        ("Reset", {"type": "Hard"}, "PropertyConstraintViolation"),
        ("RequestStartTransaction", {"idToken": TOKEN}, "OccurrenceConstraintViolation"),
        ("RequestStartTransaction", {"idToken": "A1", "remoteStartId": 1}, "TypeConstraintViolation"),
        ("GetVariables", {"getVariableData": []}, "OccurrenceConstraintViolation"),
        ("SetVariables", {"setVariableData": [variable("A", "B")] * 201}, "OccurrenceConstraintViolation"),
        (
            "SetChargingProfile",
            {"evseId": 0, "chargingProfile": PROFILE | {"validTo": "soon"}},
            "FormatViolation",
        ),
        ("GetReport", {}, "NotSupported"),
    ],
)
def test_a_request_that_cannot_be_read_is_refused_in_the_spelling_of_this_version(
    action: str, payload: Payload, code: str
) -> None:
    with pytest.raises(RpcError) as refused:
        asked(action, **payload)
    assert refused.value.code == code


# --- variables ---


def test_variables_are_asked_for_by_their_full_names() -> None:
    item = variable("Connector", "Available")
    item["component"]["evse"] = {"id": 2, "connectorId": 1}
    other = {"component": {"name": "A", "instance": "x"}, "variable": {"name": "B", "instance": "y"}}
    request = asked("GetVariables", getVariableData=[item, other])
    assert request == VariablesRequested(
        ref("GetVariables"), (VariableId("Connector", "Available", "", 2, 1), VariableId("A[x]", "B", "y"))
    )


def test_a_write_of_anything_but_the_actual_value_is_decided_at_once() -> None:
    request = asked(
        "SetVariables",
        setVariableData=[
            variable("A", "B", attributeValue="1", attributeType="Actual"),
            variable("A", "C", attributeValue="2", attributeType="MaxSet"),
        ],
    )
    assert request == VariablesSetRequested(
        ref("SetVariables"),
        (
            VariableWrite(VariableId("A", "B"), "1"),
            VariableWrite(VariableId("A", "C"), "2", SetStatus.NOT_SUPPORTED),
        ),
    )


def got(**item: Any) -> Payload:
    """The answer to a GetVariables for one element, from a real device model."""
    model = Variables(catalogue.rows(STATION.evses))
    request = asked("GetVariables", getVariableData=[item])
    assert isinstance(request, VariablesRequested) and request.ids is not None
    answer = VariablesAnswer(tuple(model.view(id_, NOON) for id_ in request.ids))
    (only,) = answered("GetVariables", answer, getVariableData=[item])["getVariableResult"]
    assert isinstance(only, dict)
    return only


def test_a_variable_is_answered_under_the_name_by_which_it_was_asked_for() -> None:
    item = variable("txctrlr", "EVCONNECTIONTIMEOUT")
    assert got(**item) == item | {"attributeStatus": "Accepted", "attributeValue": "120"}


def test_an_instance_and_a_place_are_given_back() -> None:
    item = {
        "component": {"name": "Connector", "evse": {"id": 2, "connectorId": 1}},
        "variable": {"name": "ConnectorType"},
    }
    assert got(**item) == item | {"attributeStatus": "Accepted", "attributeValue": "cType2"}


@pytest.mark.parametrize(
    ("item", "status"),
    [
        (variable("Nonsense", "Available"), "UnknownComponent"),
        (variable("TxCtrlr", "Nonsense"), "UnknownVariable"),
        (variable("TxCtrlr", "Nonsense", attributeType="Target"), "UnknownVariable"),
        (variable("TxCtrlr", "EVConnectionTimeOut", attributeType="Target"), "NotSupportedAttributeType"),
        (variable("TxCtrlr", "EVConnectionTimeOut", attributeType="MinSet"), "NotSupportedAttributeType"),
        (variable("TxCtrlr", "EVConnectionTimeOut", attributeType="MaxSet"), "NotSupportedAttributeType"),
        (variable("TxCtrlr", "EVConnectionTimeOut", attributeType="Actual"), "Accepted"),
    ],
)
def test_a_variable_is_answered_with(item: Payload, status: str) -> None:
    assert got(**item)["attributeStatus"] == status


def test_the_attribute_type_is_given_back() -> None:
    assert got(**variable("TxCtrlr", "TxStartPoint", attributeType="Actual"))["attributeType"] == "Actual"


@pytest.mark.parametrize("status", SetStatus)
def test_every_result_of_a_write_passes(status: SetStatus) -> None:
    item = variable("A", "B", attributeValue="1", attributeType="Actual")
    told = answered("SetVariables", WritesAnswer(((VariableId("A", "B"), status),)), setVariableData=[item])
    del item["attributeValue"]
    assert told == {"setVariableResult": [item | {"attributeStatus": str(status)}]}


# --- out ---


@pytest.mark.parametrize(
    ("action", "neutral", "word"),
    [
        ("RequestStartTransaction", "Accepted", "Accepted"),
        ("RequestStopTransaction", "Rejected", "Rejected"),
        ("Reset", "Scheduled", "Scheduled"),
        ("Reset", "NotSupported", "Rejected"),
        ("ChangeAvailability", "Scheduled", "Scheduled"),
        ("ClearCache", "Rejected", "Rejected"),
        ("ClearChargingProfile", "Unknown", "Unknown"),
        ("SetChargingProfile", "NotSupported", "Rejected"),
        ("GetBaseReport", "EmptyResultSet", "EmptyResultSet"),
        ("GetBaseReport", "NotSupported", "NotSupported"),
        ("TriggerMessage", "NotImplemented", "NotImplemented"),
        ("UnlockConnector", "Unlocked", "Unlocked"),
        ("UnlockConnector", "NotSupported", "UnlockFailed"),
        ("UnlockConnector", "OngoingAuthorizedTransaction", "OngoingAuthorizedTransaction"),
        ("UnlockConnector", "UnknownConnector", "UnknownConnector"),
    ],
)
def test_an_answer_is_given_in_the_words_of_this_version(action: str, neutral: str, word: str) -> None:
    assert answered(action, StatusAnswer(neutral)) == {"status": word}


def test_a_reason_is_told_with_the_answer() -> None:
    answer = StatusAnswer("Rejected", reason="A reason that is far too long")
    assert answered("Reset", answer) == {"status": "Rejected", "statusInfo": {"reasonCode": "A reason that is far"}}


def test_a_start_names_the_transaction_that_runs_already() -> None:
    answer = StatusAnswer("Accepted", transaction="b3-1-7")
    assert answered("RequestStartTransaction", answer) == {"status": "Accepted", "transactionId": "b3-1-7"}


def test_the_status_of_a_transaction_is_told() -> None:
    answer = TransactionStatusAnswer(messages_in_queue=True, ongoing=False)
    assert answered("GetTransactionStatus", answer) == {"messagesInQueue": True, "ongoingIndicator": False}


def test_the_status_of_no_transaction_is_only_about_the_queue() -> None:
    assert answered("GetTransactionStatus", TransactionStatusAnswer(False)) == {"messagesInQueue": False}


def test_data_is_answered_as_it_is() -> None:
    assert answered("DataTransfer", DataAnswer("Accepted", {"a": 1})) == {"status": "Accepted", "data": {"a": 1}}


def test_a_schedule_is_answered() -> None:
    answer = ScheduleAnswer("Accepted", 1, NOON, 600, "A", ((0, 16.33333, 3), (300, 6.0, None)))
    assert answered("GetCompositeSchedule", answer) == {
        "status": "Accepted",
        "schedule": {
            "evseId": 1,
            "duration": 600,
            "scheduleStart": NOON_TEXT,
            "chargingRateUnit": "A",
            "chargingSchedulePeriod": [
                {"startPeriod": 0, "limit": 16.333, "numberPhases": 3},
                {"startPeriod": 300, "limit": 6},
            ],
        },
    }


def test_no_schedule_is_a_rejection() -> None:
    assert answered("GetCompositeSchedule", StatusAnswer("Rejected", reason="UnknownEvse")) == {
        "status": "Rejected",
        "statusInfo": {"reasonCode": "UnknownEvse"},
    }


def test_a_refusal_is_a_call_error() -> None:
    with pytest.raises(RpcError, match="InternalError: why"):
        answered("Reset", RefuseCall("InternalError", "why"))
