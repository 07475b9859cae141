"""What comes in: whatever the CSMS says is understood or refused, in every dialect, and never anything else."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.core import catalogue
from agent.core.effects import Authorize, Heartbeat, VariablesAnswer
from agent.core.events import CallDone, Event, TransactionAnswered
from agent.core.requests import Request, VariablesRequested
from agent.core.types import TxKind
from agent.core.variables import Variables
from agent.errors import RpcError
from agent.ocpp import dialect
from agent.ocpp.dialect import Dialect, Payload
from agent.ocpp.v16.keys import KEYS
from drivers.api import IdToken
from tests.ocpp import (
    test_certificates,
    test_firmware_words,
    test_lists_and_reservations,
    test_logs,
    test_v16_requests,
    test_v201_requests,
)
from tests.ocpp.words import NOON, STATION, damaged, event, faults, json_values, ref

DIALECTS = [dialect.load(name) for name in dialect.VERSIONS]
V16, V201 = DIALECTS
MODEL = Variables(catalogue.rows(STATION.evses))
BY_NAME = pytest.mark.parametrize("spoken", DIALECTS, ids=lambda spoken: str(spoken.name))
THOROUGH = settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow])

REQUESTS: dict[str, list[tuple[str, Payload]]] = {
    "1.6": [
        *test_certificates.REQUESTS["1.6"],
        ("ChangeAvailability", {"connectorId": 1, "type": "Operative"}),
        ("ChangeConfiguration", {"key": "ConnectorPhaseRotation", "value": "1.RST"}),
        ("CancelReservation", {"reservationId": 7}),
        ("ClearCache", {}),
        ("ClearChargingProfile", {"id": 1, "connectorId": 1, "chargingProfilePurpose": "TxProfile", "stackLevel": 1}),
        ("DataTransfer", {"vendorId": "v", "messageId": "m", "data": "d"}),
        ("GetCompositeSchedule", {"connectorId": 1, "duration": 60, "chargingRateUnit": "A"}),
        ("GetConfiguration", {"key": ["HeartbeatInterval", "Nonsense"]}),
        ("GetDiagnostics", test_logs.DIAGNOSTICS),
        ("GetLocalListVersion", {}),
        ("GetLog", test_logs.LOG),
        (
            "RemoteStartTransaction",
            {"idTag": "A1", "connectorId": 1, "chargingProfile": test_v16_requests.PROFILE},
        ),
        ("RemoteStopTransaction", {"transactionId": 42}),
        ("ReserveNow", test_lists_and_reservations.RESERVE["1.6"]),
        ("Reset", {"type": "Hard"}),
        ("SendLocalList", test_lists_and_reservations.LOCAL_LIST["1.6"]),
        ("SetChargingProfile", {"connectorId": 1, "csChargingProfiles": test_v16_requests.PROFILE}),
        ("SignedUpdateFirmware", test_firmware_words.SIGNED_ORDER),
        ("TriggerMessage", {"requestedMessage": "MeterValues", "connectorId": 1}),
        ("UpdateFirmware", test_firmware_words.PLAIN_ORDER),
        ("ExtendedTriggerMessage", {"requestedMessage": "LogStatusNotification", "connectorId": 1}),
        ("UnlockConnector", {"connectorId": 1}),
    ],
    "2.0.1": [
        *test_certificates.REQUESTS["2.0.1"],
        ("ChangeAvailability", {"operationalStatus": "Operative", "evse": {"id": 1, "connectorId": 1}}),
        ("CancelReservation", {"reservationId": 7}),
        ("ClearCache", {}),
        (
            "ClearChargingProfile",
            {"chargingProfileId": 1, "chargingProfileCriteria": {"evseId": 1, "chargingProfilePurpose": "TxProfile"}},
        ),
        ("DataTransfer", {"vendorId": "v", "messageId": "m", "data": {"a": [1]}}),
        ("GetBaseReport", {"requestId": 1, "reportBase": "FullInventory"}),
        ("GetCompositeSchedule", {"evseId": 1, "duration": 60, "chargingRateUnit": "A"}),
        ("GetLocalListVersion", {}),
        ("GetLog", test_logs.LOG),
        ("GetTransactionStatus", {"transactionId": "x"}),
        (
            "GetVariables",
            {
                "getVariableData": [
                    {
                        "component": {"name": "A", "instance": "i", "evse": {"id": 1, "connectorId": 1}},
                        "variable": {"name": "B", "instance": "j"},
                        "attributeType": "Target",
                    }
                ]
            },
        ),
        (
            "RequestStartTransaction",
            {
                "idToken": test_v201_requests.TOKEN,
                "groupIdToken": test_v201_requests.TOKEN,
                "remoteStartId": 1,
                "evseId": 1,
                "chargingProfile": test_v201_requests.PROFILE,
            },
        ),
        ("RequestStopTransaction", {"transactionId": "x"}),
        ("ReserveNow", test_lists_and_reservations.RESERVE["2.0.1"]),
        ("Reset", {"type": "OnIdle", "evseId": 1}),
        ("SendLocalList", test_lists_and_reservations.LOCAL_LIST["2.0.1"]),
        ("UpdateFirmware", test_firmware_words.SIGNED_ORDER),
        ("SetChargingProfile", {"evseId": 1, "chargingProfile": test_v201_requests.PROFILE}),
        (
            "SetVariables",
            {
                "setVariableData": [
                    {
                        "component": {"name": "A", "evse": {"id": 1}},
                        "variable": {"name": "B"},
                        "attributeValue": "1",
                        "attributeType": "Actual",
                    }
                ]
            },
        ),
        ("TriggerMessage", {"requestedMessage": "MeterValues", "evse": {"id": 1}}),
        ("UnlockConnector", {"evseId": 1, "connectorId": 1}),
    ],
}


@BY_NAME
def test_every_request_of_the_tables_is_tried_here(spoken: Dialect) -> None:
    assert {action for action, _payload in REQUESTS[spoken.name]} == set(spoken.requests)


@BY_NAME
def test_the_examples_pass_their_schemas(spoken: Dialect) -> None:
    assert [faults(spoken, action, payload) for action, payload in REQUESTS[spoken.name]] == [[]] * len(
        REQUESTS[spoken.name]
    )


def outcome(spoken: Dialect, action: str, payload: Payload) -> Request | RpcError:
    """What comes of a request; any other exception fails the test."""
    try:
        return spoken.asked(ref(action), payload)
    except RpcError as refused:
        return refused


@BY_NAME
@THOROUGH
@given(data=st.data())
def test_a_damaged_request_is_refused_or_understood(spoken: Dialect, data: st.DataObject) -> None:
    action, payload = data.draw(st.sampled_from(REQUESTS[spoken.name]))
    found = outcome(spoken, action, data.draw(damaged(payload)))
    assert isinstance(found, Request) or found.code in set(spoken.codes.code.values())


@BY_NAME
@THOROUGH
@given(payload=st.dictionaries(st.text(max_size=10), json_values, max_size=4), data=st.data())
def test_a_foreign_request_is_refused_or_understood(spoken: Dialect, payload: Payload, data: st.DataObject) -> None:
    found = outcome(spoken, data.draw(st.sampled_from(sorted(spoken.requests))), payload)
    assert isinstance(found, Request) or len(found.why) <= 255


ANSWERS: dict[str, Any] = {
    "status": "Accepted",
    "interval": 300,
    "currentTime": "2026-11-21T12:00:00Z",
    "transactionId": 42,
    "idTagInfo": {"status": "Accepted", "parentIdTag": "P", "expiryDate": "2026-11-21T12:00:00Z"},
    "idTokenInfo": {
        "status": "Accepted",
        "cacheExpiryDateTime": "2026-11-21T12:00:00Z",
        "groupIdToken": {"idToken": "P", "type": "Central"},
        "evseId": [1, 2],
    },
}


@pytest.mark.parametrize(("spoken", "action"), [(V16, "TransactionEvent"), (V201, "StartTransaction")])
def test_a_late_answer_in_the_words_of_another_version_says_only_that_it_was_taken(
    spoken: Dialect, action: str
) -> None:
    started = event(TxKind.STARTED)
    assert spoken.answered(started, action, {"transactionId": 7}) == TransactionAnswered(started)


def test_a_late_answer_to_a_call_of_another_version_says_only_that_it_is_done() -> None:
    assert V16.answered(Heartbeat(), "NotifyReport", {}) == CallDone(Heartbeat())


ROWS = ("StartTransaction", "StopTransaction", "TransactionEvent")


@BY_NAME
@THOROUGH
@given(data=st.data())
def test_any_answer_is_an_event(spoken: Dialect, data: st.DataObject) -> None:
    action = data.draw(st.sampled_from(sorted(spoken.answers)))
    sent: Any = event(TxKind.STARTED) if action in ROWS else Authorize(IdToken("A1"), (1,))
    assert isinstance(spoken.answered(sent, action, data.draw(damaged(ANSWERS))), Event)


names = st.text(max_size=50) | st.sampled_from(
    ["TxCtrlr", "EVSE", "Connector", "MessageAttempts", "Power", "Available"]
)
instances = {"instance": st.text(max_size=50) | st.just("TransactionEvent")}
places = st.fixed_dictionaries({"id": st.integers()}, optional={"connectorId": st.integers()})
VARIABLES: dict[str, tuple[str, st.SearchStrategy[Payload]]] = {
    "1.6": (
        "GetConfiguration",
        st.fixed_dictionaries(
            {}, optional={"key": st.lists(st.sampled_from(list(KEYS)) | st.text(max_size=50), max_size=8)}
        ),
    ),
    "2.0.1": (
        "GetVariables",
        st.fixed_dictionaries(
            {
                "getVariableData": st.lists(
                    st.fixed_dictionaries(
                        {
                            "component": st.fixed_dictionaries({"name": names}, optional=instances | {"evse": places}),
                            "variable": st.fixed_dictionaries({"name": names}, optional=instances),
                        },
                        optional={"attributeType": st.sampled_from(["Actual", "Target", "MinSet", "MaxSet"])},
                    ),
                    min_size=1,
                    max_size=6,
                )
            }
        ),
    ),
}


@BY_NAME
@THOROUGH
@given(data=st.data())
def test_variables_asked_for_in_any_way_are_answered_in_a_valid_way(spoken: Dialect, data: st.DataObject) -> None:
    action, strategy = VARIABLES[spoken.name]
    payload = data.draw(strategy)
    request = outcome(spoken, action, payload)
    if isinstance(request, VariablesRequested) and request.ids is not None:  # a negative EVSE is refused
        answer = VariablesAnswer(tuple(MODEL.view(id_, NOON) for id_ in request.ids))
        assert faults(spoken, action, spoken.reply(action, payload, answer, STATION), answer=True) == []
