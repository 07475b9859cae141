"""The payload check, rule by rule. Its equivalence with a full JSON-schema validator is in test_schema_oracle.py."""

from __future__ import annotations

import copy
import subprocess
import sys
from typing import Any

import pytest

from agent.ocpp.codes import V16, V201
from agent.ocpp.schema import Validator, Violation


@pytest.fixture(scope="module")
def v16() -> Validator:
    return Validator("v16")


@pytest.fixture(scope="module")
def v201() -> Validator:
    return Validator("v201")


def _boot(**changes: Any) -> dict[str, Any]:
    return {"chargePointVendor": "Acme", "chargePointModel": "One", **changes}


def _event(**changes: Any) -> dict[str, Any]:
    return {
        "eventType": "Started",
        "timestamp": "2026-01-01T00:00:00Z",
        "triggerReason": "Authorized",
        "seqNo": 0,
        "transactionInfo": {"transactionId": "b1"},
        **changes,
    }


def _wrong(violation: Violation | None) -> tuple[str, tuple[str | int, ...]]:
    assert violation is not None
    return violation.rule, violation.path


def test_a_right_payload_passes(v16: Validator) -> None:
    assert v16.outbound("BootNotification", "request", _boot()) is None


def test_a_missing_member_is_named(v16: Validator) -> None:
    violation = v16.outbound("BootNotification", "request", {"chargePointVendor": "Acme"})
    assert _wrong(violation) == ("required", ("chargePointModel",))
    assert str(violation) == "chargePointModel is missing"


def test_a_string_that_is_too_long_is_wrong(v16: Validator) -> None:
    assert _wrong(v16.outbound("BootNotification", "request", _boot(chargePointModel="x" * 21))) == (
        "maxLength",
        ("chargePointModel",),
    )


def test_length_is_counted_in_characters(v16: Validator) -> None:
    assert v16.outbound("BootNotification", "request", _boot(chargePointModel="ü" * 20)) is None


def test_a_word_outside_the_enumeration_is_wrong(v16: Validator) -> None:
    assert _wrong(v16.inbound("Reset", "request", {"type": "Gentle"})) == ("enum", ("type",))


def test_a_value_of_the_wrong_type_is_wrong(v16: Validator) -> None:
    assert _wrong(v16.inbound("Reset", "request", {"type": ["Soft"]})) == ("type", ("type",))


def test_a_payload_that_is_no_object_is_wrong(v16: Validator) -> None:
    assert _wrong(v16.inbound("Reset", "request", [])) == ("type", ())
    assert str(v16.inbound("Reset", "request", [])) == "payload must be an object"


def test_true_is_not_an_integer(v16: Validator) -> None:
    assert _wrong(v16.inbound("UnlockConnector", "request", {"connectorId": True})) == ("type", ("connectorId",))


def test_an_empty_list_is_wrong_where_one_item_is_asked_for(v201: Validator) -> None:
    assert _wrong(v201.inbound("GetVariables", "request", {"getVariableData": []})) == (
        "minItems",
        ("getVariableData",),
    )


def test_too_many_items_are_wrong(v201: Validator) -> None:
    profile = {"id": 1, "stackLevel": 0, "chargingProfilePurpose": "TxProfile", "chargingProfileKind": "Absolute"}
    profile |= {"chargingSchedule": [{}] * 4}
    payload = {"evseId": 1, "chargingProfile": profile}
    path = ("chargingProfile", "chargingSchedule")
    assert _wrong(v201.inbound("SetChargingProfile", "request", payload)) == ("maxItems", path)


def test_numbers_keep_to_their_range(v201: Validator) -> None:
    needs = {"requestedEnergyTransfer": "DC"}
    for state_of_charge, rule in ((-1, "minimum"), (101, "maximum")):
        needs["dcChargingParameters"] = {"evMaxCurrent": 1, "evMaxVoltage": 1, "stateOfCharge": state_of_charge}  # type: ignore[assignment]
        violation = v201.inbound("NotifyEVChargingNeeds", "request", {"evseId": 1, "chargingNeeds": needs})
        assert violation is not None and violation.rule == rule


def test_a_violation_inside_lists_says_where(v201: Validator) -> None:
    component = {"component": {"name": "EVSE", "evse": {"id": "x"}}, "variable": {"name": "Power"}}
    violation = v201.inbound("GetVariables", "request", {"getVariableData": [component]})
    assert str(violation) == "getVariableData[0].component.evse.id must be an integer"


def test_a_reason_never_quotes_the_value(v16: Validator) -> None:
    violation = v16.inbound("ChangeConfiguration", "request", {"key": "AuthorizationKey", "value": 4711})
    assert violation is not None
    assert "4711" not in str(violation)


# --- outbound is strict ---


def test_an_unknown_member_is_not_sent(v16: Validator) -> None:
    assert _wrong(v16.outbound("BootNotification", "request", _boot(colour="red"))) == (
        "additionalProperties",
        ("colour",),
    )


def test_a_float_is_not_sent_for_an_integer(v201: Validator) -> None:
    assert _wrong(v201.outbound("TransactionEvent", "request", _event(seqNo=1.0))) == ("type", ("seqNo",))


def test_null_is_not_sent_for_an_optional_member(v201: Validator) -> None:
    assert _wrong(v201.outbound("TransactionEvent", "request", _event(offline=None))) == ("type", ("offline",))


def test_a_number_that_json_does_not_have_is_not_sent(v16: Validator) -> None:
    schedule = {"chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": float("nan")}]}
    payload = {"status": "Accepted", "chargingSchedule": schedule}
    violation = v16.outbound("GetCompositeSchedule", "response", payload)
    assert violation is not None and violation.rule == "type"


def test_custom_data_may_hold_anything(v201: Validator) -> None:
    assert v201.outbound("Heartbeat", "request", {"customData": {"vendorId": "Acme", "FooBar": {"x": None}}}) is None


# --- inbound is calm ---


def test_an_unknown_member_that_comes_in_is_let_be(v16: Validator) -> None:
    payload = {"type": "Soft", "colour": {"x": None, "y": 1.0}}
    before = copy.deepcopy(payload)
    assert v16.inbound("Reset", "request", payload) is None
    assert payload == before


def test_an_integer_may_come_as_an_exact_float(v16: Validator) -> None:
    payload = {"currentTime": "2026-01-01T00:00:00Z", "interval": 300.0, "status": "Accepted"}
    assert v16.inbound("BootNotification", "response", payload) is None
    assert repr(payload["interval"]) == "300"


def test_an_integer_may_not_come_as_a_fraction(v16: Validator) -> None:
    assert _wrong(v16.inbound("UnlockConnector", "request", {"connectorId": 1.5})) == ("type", ("connectorId",))


def test_a_mended_number_still_keeps_to_its_range(v201: Validator) -> None:
    needs = {"requestedEnergyTransfer": "DC", "dcChargingParameters": {"evMaxCurrent": 1, "evMaxVoltage": 1}}
    needs["dcChargingParameters"]["stateOfCharge"] = 101.0  # type: ignore[index]
    violation = v201.inbound("NotifyEVChargingNeeds", "request", {"evseId": 1.0, "chargingNeeds": needs})
    assert violation is not None and violation.rule == "maximum"


def test_integers_in_a_list_are_mended_too(v201: Validator) -> None:
    payload = {"requestId": 1, "id": [7.0, 8]}
    assert v201.inbound("GetDisplayMessages", "request", payload) is None
    assert repr(payload["id"]) == "[7, 8]"


def test_an_optional_null_is_an_absent_member(v16: Validator) -> None:
    payload = {"idTagInfo": {"status": "Accepted", "parentIdTag": None, "expiryDate": None}}
    assert v16.inbound("Authorize", "response", payload) is None
    assert payload == {"idTagInfo": {"status": "Accepted"}}


def test_a_required_null_is_wrong(v16: Validator) -> None:
    assert _wrong(v16.inbound("Reset", "request", {"type": None})) == ("type", ("type",))


def test_a_number_in_quotes_passes_in_a_response(v16: Validator) -> None:
    payload: dict[str, Any] = {"idTagInfo": {"status": "Accepted"}, "transactionId": "42"}
    assert v16.inbound("StartTransaction", "response", payload) is None
    assert payload["transactionId"] == 42


@pytest.mark.parametrize("text", ["", "4_2", "x", "1.5", "٤", "9" * 5000, "1e3", "- 1"])
def test_other_text_is_no_number(v16: Validator, text: str) -> None:
    payload = {"idTagInfo": {"status": "Accepted"}, "transactionId": text}
    assert _wrong(v16.inbound("StartTransaction", "response", payload)) == ("type", ("transactionId",))


def test_a_number_in_quotes_is_wrong_in_a_request(v16: Validator) -> None:
    assert _wrong(v16.inbound("RemoteStopTransaction", "request", {"transactionId": "42"})) == (
        "type",
        ("transactionId",),
    )


def test_an_integer_beyond_64_bits_is_refused(v16: Validator) -> None:
    for number in (10**30, 1e30, -(10**30)):
        violation = v16.inbound("RemoteStopTransaction", "request", {"transactionId": number})
        assert violation is not None and violation.rule in ("minimum", "maximum")


def test_two_decimals_of_an_ampere_are_fine(v16: Validator) -> None:
    schedule = {"chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 16.25}]}
    profile = {"chargingProfileId": 1, "stackLevel": 0, "chargingProfilePurpose": "TxProfile"}
    profile |= {"chargingProfileKind": "Relative", "chargingSchedule": schedule}
    assert v16.inbound("SetChargingProfile", "request", {"connectorId": 1, "csChargingProfiles": profile}) is None


@pytest.mark.parametrize("data", [None, 1.0, "42", [None, {"FooBar": 1.0, "foo_bar": None}], {"vendorId": None}])
def test_opaque_data_is_never_touched(v201: Validator, data: Any) -> None:
    custom = {"vendorId": "Acme", "FooBar": 300.0, "foo_bar": None, "deep": [{"x": None}]}
    payload = {"vendorId": "Acme", "data": data, "customData": custom}
    before = copy.deepcopy(payload)
    assert v201.inbound("DataTransfer", "request", payload) is None
    assert repr(payload) == repr(before)


# --- what there is ---


@pytest.mark.parametrize(
    "action", ["ResetResponse", "Nonsense", "", "../v201/Reset", "reset", "RequestStartTransaction"]
)
def test_an_action_of_no_message_is_unknown(v16: Validator, action: str) -> None:
    violation = v16.inbound(action, "request", {})
    assert not v16.knows(action)
    assert violation is not None and violation.rule == "unknown-action"


def test_unknown_actions_leave_nothing_behind(v16: Validator) -> None:
    before = len(v16._inbound)
    for number in range(100):
        v16.inbound(f"Nonsense{number}", "request", {})
    assert len(v16._inbound) == before


@pytest.mark.parametrize(("folder", "count"), [("v16", 39), ("v201", 64)])
def test_every_message_of_a_version_compiles(folder: str, count: int) -> None:
    validator = Validator(folder)
    actions = [action for action, kind in validator._files if kind == "request"]
    assert len(actions) == count
    for action in actions:
        for kind in ("request", "response"):
            validator.inbound(action, kind, {})
            validator.outbound(action, kind, {})


def test_the_check_imports_neither_ocpp_nor_jsonschema() -> None:
    program = (
        "import sys; from agent.ocpp.schema import Validator; Validator('v201').inbound('Reset', 'request', {});"
        "sys.exit(any(name.split('.')[0] in ('jsonschema', 'ocpp') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", program], timeout=30, check=False).returncode == 0


def test_each_rule_of_a_payload_has_a_code_in_both_versions() -> None:
    rules = {"type", "required", "additionalProperties", "enum", "maxLength", "minItems", "maxItems"}
    rules |= {"minimum", "maximum", "unknown-action", "unsupported", "busy", "internal", "security", "generic"}
    assert rules <= set(V16.code) and rules <= set(V201.code)


def test_the_versions_spell_their_codes_as_their_specifications_do() -> None:
    common = {"NotImplemented", "NotSupported", "InternalError", "ProtocolError", "SecurityError", "GenericError"}
    common |= {"PropertyConstraintViolation", "TypeConstraintViolation"}
    assert set(V16.code.values()) == common | {"FormationViolation", "OccurenceConstraintViolation"}
    assert set(V201.code.values()) == common | {
        "FormatViolation",
        "OccurrenceConstraintViolation",
        "MessageTypeNotSupported",
        "RpcFrameworkError",
    }
