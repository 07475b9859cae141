"""What must hold for every dialect: complete tables; valid messages whatever the core says; calm whatever the CSMS
says."""

from __future__ import annotations

import subprocess
import sys
from datetime import datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.core import catalogue
from agent.core.effects import Authorize, Boot, Call, Heartbeat, MeterReport, Status, VariablesAnswer
from agent.core.events import CallDone, Event, Request, TransactionAnswered, VariablesRequested
from agent.core.types import ConnectorStatus, Reading, TransactionEvent, TxKind
from agent.core.variables import Variables
from agent.errors import RpcError
from agent.ocpp import dialect
from agent.ocpp.dialect import Dialect, Message, Payload, Station
from agent.ocpp.fields import tidy
from agent.ocpp.schema import Validator
from agent.ocpp.v16.keys import KEYS
from drivers.api import IdToken
from tests.ocpp import test_v16_requests, test_v201_requests
from tests.ocpp.words import (
    NOON,
    STATION,
    damaged,
    event,
    faults,
    instants,
    json_values,
    readings,
    ref,
    tokens,
    transaction_events,
    valid,
)

DIALECTS = [dialect.load(name) for name in dialect.VERSIONS]
V16, V201 = DIALECTS
MODEL = Variables(catalogue.rows(STATION.evses))
BY_NAME = pytest.mark.parametrize("spoken", DIALECTS, ids=lambda spoken: str(spoken.name))
THOROUGH = settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow])

REQUESTS: dict[str, list[tuple[str, Payload]]] = {
    "1.6": [
        ("ChangeAvailability", {"connectorId": 1, "type": "Operative"}),
        ("ChangeConfiguration", {"key": "ConnectorPhaseRotation", "value": "1.RST"}),
        ("ClearCache", {}),
        ("ClearChargingProfile", {"id": 1, "connectorId": 1, "chargingProfilePurpose": "TxProfile", "stackLevel": 1}),
        ("DataTransfer", {"vendorId": "v", "messageId": "m", "data": "d"}),
        ("GetCompositeSchedule", {"connectorId": 1, "duration": 60, "chargingRateUnit": "A"}),
        ("GetConfiguration", {"key": ["HeartbeatInterval", "Nonsense"]}),
        (
            "RemoteStartTransaction",
            {"idTag": "A1", "connectorId": 1, "chargingProfile": test_v16_requests.PROFILE},
        ),
        ("RemoteStopTransaction", {"transactionId": 42}),
        ("Reset", {"type": "Hard"}),
        ("SetChargingProfile", {"connectorId": 1, "csChargingProfiles": test_v16_requests.PROFILE}),
        ("TriggerMessage", {"requestedMessage": "MeterValues", "connectorId": 1}),
        ("UnlockConnector", {"connectorId": 1}),
    ],
    "2.0.1": [
        ("ChangeAvailability", {"operationalStatus": "Operative", "evse": {"id": 1, "connectorId": 1}}),
        ("ClearCache", {}),
        (
            "ClearChargingProfile",
            {"chargingProfileId": 1, "chargingProfileCriteria": {"evseId": 1, "chargingProfilePurpose": "TxProfile"}},
        ),
        ("DataTransfer", {"vendorId": "v", "messageId": "m", "data": {"a": [1]}}),
        ("GetBaseReport", {"requestId": 1, "reportBase": "FullInventory"}),
        ("GetCompositeSchedule", {"evseId": 1, "duration": 60, "chargingRateUnit": "A"}),
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
        ("Reset", {"type": "OnIdle", "evseId": 1}),
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


# --- the tables are complete ---


@BY_NAME
def test_every_call_has_a_row(spoken: Dialect) -> None:
    # by name: a dataclass with slots leaves its draft behind among the subclasses
    assert {call.__name__ for call in spoken.calls} == {call.__name__ for call in Call.__subclasses__()}


@BY_NAME
def test_every_request_that_is_read_can_be_answered(spoken: Dialect) -> None:
    assert set(spoken.requests) == set(spoken.replies)


@BY_NAME
def test_every_request_of_the_tables_is_tried_here(spoken: Dialect) -> None:
    assert {action for action, _payload in REQUESTS[spoken.name]} == set(spoken.requests)


@BY_NAME
def test_every_action_of_the_tables_is_an_action_of_the_version(spoken: Dialect) -> None:
    known = Validator(spoken.schemas)
    assert all(known.knows(action) for action in (*spoken.requests, *spoken.answers))


@BY_NAME
def test_presets_and_pins_are_variables_of_the_catalogue(spoken: Dialect) -> None:
    model = Variables(catalogue.rows((1,)))
    assert model.layer("pin", spoken.pins) + model.layer("preset", spoken.presets) == []


@pytest.mark.parametrize(
    ("spoken", "neutral", "code"),
    [
        (V16, "FormatViolation", "FormationViolation"),
        (V16, "OccurrenceConstraintViolation", "OccurenceConstraintViolation"),
        (V16, "required", "OccurenceConstraintViolation"),
        (V16, "NotSupported", "NotSupported"),
        (V16, "unknown-action", "NotImplemented"),
        (V201, "FormatViolation", "FormatViolation"),
        (V201, "required", "OccurrenceConstraintViolation"),
        (V201, "InternalError", "InternalError"),
    ],
)
def test_a_neutral_error_code_is_spelt_as(spoken: Dialect, neutral: str, code: str) -> None:
    assert spoken.error_code(neutral) == code


@BY_NAME
def test_each_subprotocol_leads_to_its_dialect(spoken: Dialect) -> None:
    assert dialect.SUBPROTOCOLS[spoken.subprotocol] == spoken.name


@pytest.mark.parametrize(("name", "other"), [("1.6", "v201"), ("2.0.1", "v16")])
def test_only_the_dialect_in_use_is_imported(name: str, other: str) -> None:
    code = (
        f"import sys; from agent.ocpp import dialect; dialect.load({name!r});"
        "never = ('ocpp', 'jsonschema', 'asyncio');"
        f"print([m for m in sys.modules if m in never or m.startswith('agent.ocpp.{other}.')])"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


# --- what leaves is valid, whatever the core says ---


def told(spoken: Dialect, row: TransactionEvent) -> Message | None:
    return spoken.tell(row, "42")


@BY_NAME
@THOROUGH
@given(row=transaction_events)
def test_every_transaction_event_is_valid(spoken: Dialect, row: TransactionEvent) -> None:
    message = told(spoken, row)
    assert message is None or faults(spoken, *message) == []


@BY_NAME
@THOROUGH
@given(row=transaction_events)
def test_our_own_check_agrees(spoken: Dialect, row: TransactionEvent) -> None:
    message = told(spoken, row)
    assert message is None or Validator(spoken.schemas).outbound(message[0], "request", message[1]) is None


@THOROUGH
@given(row=transaction_events)
def test_registers_survive_to_the_watt_hour(row: TransactionEvent) -> None:
    message = told(V16, row)
    if row.kind is TxKind.STARTED:
        assert valid(V16, message)["meterStart"] == row.started_wh
    elif row.kind is TxKind.ENDED:
        assert valid(V16, message)["meterStop"] == row.energy_wh


def moments(payload: Payload) -> list[float]:
    """The times of all meter values, as the CSMS understands them."""
    values = payload.get("meterValue") or payload.get("transactionData") or []
    return [datetime.fromisoformat(value["timestamp"]).timestamp() for value in values]


def numbers(payload: Payload) -> list[float]:
    values = payload.get("meterValue") or payload.get("transactionData") or []
    return [float(sample["value"]) for value in values for sample in value["sampledValue"]]


def sendable(reading: Reading, spoken: Dialect) -> list[float]:
    lacks = () if spoken is V16 else ("RPM", "Temperature")
    return [tidy(s.value) for s in reading.samples if abs(s.value) < 1e15 and s.measurand not in lacks]


@BY_NAME
@THOROUGH
@given(row=transaction_events)
def test_times_and_values_of_readings_survive(spoken: Dialect, row: TransactionEvent) -> None:
    message = told(spoken, row)
    if message is None or message[0] == "StartTransaction":
        return
    kept = [reading for reading in row.readings if sendable(reading, spoken)]
    expected = [round(reading.at.utc, 3) for reading in kept], [v for r in kept for v in sendable(r, spoken)]
    assert ([round(moment, 3) for moment in moments(message[1])], numbers(message[1])) == expected


@BY_NAME
@THOROUGH
@given(row=transaction_events)
def test_the_time_of_occurrence_survives(spoken: Dialect, row: TransactionEvent) -> None:
    message = told(spoken, row)
    if message is not None and message[0] != "MeterValues":
        assert round(datetime.fromisoformat(message[1]["timestamp"]).timestamp(), 3) == round(row.at.utc, 3)


stations = st.builds(Station, *[st.text(max_size=80) for _ in range(8)], evses=st.lists(st.integers(1, 9)).map(tuple))
calls = st.one_of(
    st.builds(Boot, st.text(max_size=30)),
    st.just(Heartbeat()),
    st.builds(
        Status,
        st.integers(0, 9),
        st.integers(0, 2),
        st.sampled_from(ConnectorStatus),
        instants,
        st.text(max_size=80),
        st.text(max_size=80),
    ),
    st.builds(Authorize, tokens, st.just((1,))),
    st.builds(MeterReport, st.integers(0, 9), st.lists(readings, max_size=3).map(tuple), st.none() | st.text()),
)


@BY_NAME
@THOROUGH
@given(call=calls, station=stations)
def test_every_call_is_valid(spoken: Dialect, call: Call, station: Station) -> None:
    message = spoken.encode(call, station)
    assert message is None or faults(spoken, *message) == []


# --- what comes in is survived, whatever the CSMS says ---


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
