"""Configuration keys of 1.6 and variables of 2.0.1: reading, writing, refusing, reporting."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.csms import Csms, Payload
from tests.conformance.ledger import change, read
from tests.end_to_end.agent_helpers import Charger

pytestmark = pytest.mark.asyncio(loop_scope="module")
# Section 9 of 1.6: required keys of Core
_REQUIRED_KEYS = """
AuthorizeRemoteTxRequests ClockAlignedDataInterval ConnectionTimeOut ConnectorPhaseRotation GetConfigurationMaxKeys
HeartbeatInterval LocalAuthorizeOffline LocalPreAuthorize MeterValuesAlignedData MeterValuesSampledData
MeterValueSampleInterval NumberOfConnectors ResetRetries StopTransactionOnInvalidId StopTxnAlignedData
StopTxnSampledData SupportedFeatureProfiles TransactionMessageAttempts TransactionMessageRetryInterval
UnlockConnectorOnEVSideDisconnect ChargeProfileMaxStackLevel ChargingScheduleAllowedChargingRateUnit
ChargingScheduleMaxPeriods MaxChargingProfilesInstalled
"""
REQUIRED_KEYS = tuple(_REQUIRED_KEYS.split())
# Part 5 of 2.0.1: required variables of the Core controllers
_REQUIRED_VARIABLES = """
ChargingStation.Available ChargingStation.AvailabilityState ChargingStation.SupplyPhases EVSE@1.Available
EVSE@1.AvailabilityState EVSE@1.Power EVSE@1.SupplyPhases Connector@1.Available Connector@1.AvailabilityState
Connector@1.ConnectorType Connector@1.SupplyPhases OCPPCommCtrlr.FileTransferProtocols
OCPPCommCtrlr.MessageTimeout[Default] OCPPCommCtrlr.MessageAttempts[TransactionEvent]
OCPPCommCtrlr.MessageAttemptInterval[TransactionEvent] OCPPCommCtrlr.NetworkConfigurationPriority
OCPPCommCtrlr.NetworkProfileConnectionAttempts OCPPCommCtrlr.OfflineThreshold OCPPCommCtrlr.ResetRetries
OCPPCommCtrlr.RetryBackOffRandomRange OCPPCommCtrlr.RetryBackOffRepeatTimes OCPPCommCtrlr.RetryBackOffWaitMinimum
OCPPCommCtrlr.UnlockOnEVSideDisconnect OCPPCommCtrlr.WebSocketPingInterval TxCtrlr.EVConnectionTimeOut
TxCtrlr.StopTxOnEVSideDisconnect TxCtrlr.StopTxOnInvalidId TxCtrlr.TxStartPoint TxCtrlr.TxStopPoint
AuthCtrlr.AuthorizeRemoteStart AuthCtrlr.LocalAuthorizeOffline AuthCtrlr.LocalPreAuthorize
SampledDataCtrlr.TxStartedMeasurands SampledDataCtrlr.TxUpdatedMeasurands SampledDataCtrlr.TxUpdatedInterval
SampledDataCtrlr.TxEndedMeasurands SampledDataCtrlr.TxEndedInterval AlignedDataCtrlr.Measurands
AlignedDataCtrlr.Interval AlignedDataCtrlr.TxEndedMeasurands AlignedDataCtrlr.TxEndedInterval ClockCtrlr.DateTime
ClockCtrlr.TimeSource DeviceDataCtrlr.BytesPerMessage[GetReport] DeviceDataCtrlr.ItemsPerMessage[GetReport]
DeviceDataCtrlr.BytesPerMessage[GetVariables] DeviceDataCtrlr.ItemsPerMessage[GetVariables]
DeviceDataCtrlr.BytesPerMessage[SetVariables] DeviceDataCtrlr.ItemsPerMessage[SetVariables]
SecurityCtrlr.CertificateEntries SecurityCtrlr.OrganizationName SecurityCtrlr.SecurityProfile
"""
REQUIRED_VARIABLES = tuple(_REQUIRED_VARIABLES.split())


@pytest.mark.parametrize(
    "name, value, word",
    [
        ("ConnectionTimeOut", "60", "Accepted"),
        ("ConnectionTimeOut", "-1", "Rejected"),
        ("ConnectionTimeOut", "sixty", "Rejected"),
        ("ConnectionTimeOut", "6_0", "Rejected"),
        ("ConnectionTimeOut", "1e3", "Rejected"),
        ("ConnectionTimeOut", "99999999999999999999", "Rejected"),
        ("LocalPreAuthorize", "TRUE", "Accepted"),
        ("LocalPreAuthorize", "yes", "Rejected"),
        ("MeterValuesSampledData", "Energy.Active.Import.Register,Voltage", "Accepted"),
        ("MeterValuesSampledData", "Energy.Active.Import.Register,Nonsense", "Rejected"),
        ("MeterValuesSampledData", "Voltage,Power.Active.Export", "Rejected"),  # this meter does not tell it
        ("MeterValuesSampledData", "", "Accepted"),
        ("WebSocketPingInterval", "-1", "Rejected"),
        ("SecurityProfile", "2", "Rejected"),
    ],
)
async def test_a_write_is_judged_by_what_the_variable_can_be(both: Charger, name: str, value: str, word: str) -> None:
    before = await read(both.csms, name)
    assert await change(both.csms, name, value) == word
    if word == "Rejected":
        assert await read(both.csms, name) == before


async def test_what_was_written_is_read(both: Charger) -> None:
    assert await change(both.csms, "MinimumStatusDuration", "0") == "Accepted"
    assert await change(both.csms, "ResetRetries", "2") == "Accepted"
    assert await read(both.csms, "ResetRetries") == "2"


# --- 1.6 ---


async def test_all_keys_are_told_at_once_with_every_required_one(v16: Charger) -> None:
    answer = await v16.csms.call("GetConfiguration", {})
    told = {entry["key"]: entry for entry in answer["configurationKey"]}
    assert set(REQUIRED_KEYS) <= told.keys()
    assert len(told) == len(answer["configurationKey"])
    assert "unknownKey" not in answer
    assert told["NumberOfConnectors"] == {"key": "NumberOfConnectors", "readonly": True, "value": "2"}


async def test_unknown_keys_are_told_as_unknown(v16: Charger) -> None:
    answer = await v16.csms.call("GetConfiguration", {"key": ["heartbeatinterval", "Nonsense"]})
    assert [entry["key"] for entry in answer["configurationKey"]] == ["HeartbeatInterval"]
    assert answer["unknownKey"] == ["Nonsense"]


@pytest.mark.parametrize("key, word", [("Nonsense", "NotSupported"), ("NumberOfConnectors", "Rejected")])
async def test_keys_that_cannot_be_written(v16: Charger, key: str, word: str) -> None:
    assert (await v16.csms.call("ChangeConfiguration", {"key": key, "value": "1"}))["status"] == word


async def test_the_authorization_key_is_never_told(v16: Charger) -> None:
    answer = await v16.csms.call("GetConfiguration", {"key": ["AuthorizationKey"]})
    assert not any("value" in entry for entry in answer.get("configurationKey", []))


# --- 2.0.1 ---


def named(text: str) -> Payload:
    where, _, rest = text.partition(".")
    component, _, evse = where.partition("@")
    variable, _, instance = rest.rstrip("]").partition("[")
    place: Payload = {"id": int(evse), "connectorId": 1} if component == "Connector" else {"id": int(evse or 0)}
    about: Payload = {"name": component} | ({"evse": place} if evse else {})
    return {"component": about, "variable": {"name": variable} | ({"instance": instance} if instance else {})}


async def get(csms: Csms, *names: str, **more: Any) -> list[Payload]:
    answer = await csms.call("GetVariables", {"getVariableData": [named(name) | more for name in names]})
    return list(answer["getVariableResult"])


async def test_every_required_variable_is_there(v201: Charger) -> None:
    results = await get(v201.csms, *REQUIRED_VARIABLES)
    missing = [n for n, r in zip(REQUIRED_VARIABLES, results, strict=True) if r["attributeStatus"] != "Accepted"]
    assert missing == []


@pytest.mark.parametrize(
    "name, word",
    [
        ("NoCtrlr.Enabled", "UnknownComponent"),
        ("TxCtrlr.NoVariable", "UnknownVariable"),
        ("EVSE@9.Available", "UnknownComponent"),
        ("OCPPCommCtrlr.MessageTimeout[Other]", "UnknownVariable"),
        ("txctrlr.EVCONNECTIONTIMEOUT", "Accepted"),
    ],
)
async def test_what_is_not_there_is_told_so(v201: Charger, name: str, word: str) -> None:
    assert (await get(v201.csms, name))[0]["attributeStatus"] == word


async def test_an_attribute_that_a_variable_lacks_is_not_supported(v201: Charger) -> None:
    found = await get(v201.csms, "TxCtrlr.EVConnectionTimeOut", attributeType="Target")
    assert found[0]["attributeStatus"] == "NotSupportedAttributeType"


@pytest.mark.parametrize(
    "name, value, word",
    [
        ("ChargingStation.Model", "Other", "Rejected"),
        ("NoCtrlr.Enabled", "true", "UnknownComponent"),
        ("TxCtrlr.NoVariable", "1", "UnknownVariable"),
        ("TxCtrlr.TxStartPoint", "EVConnected,Authorized", "Accepted"),
        ("TxCtrlr.TxStartPoint", "Sunrise", "Rejected"),
        ("TxCtrlr.TxStartPoint", "PowerPathClosed", "Accepted"),
    ],
)
async def test_variables_are_set_by_their_rules(v201: Charger, name: str, value: str, word: str) -> None:
    answer = await v201.csms.call("SetVariables", {"setVariableData": [named(name) | {"attributeValue": value}]})
    assert answer["setVariableResult"][0]["attributeStatus"] == word


async def test_several_variables_are_set_in_order_and_each_is_judged_alone(v201: Charger) -> None:
    writes = [("TxCtrlr.EVConnectionTimeOut", "61"), ("No.Such", "1"), ("TxCtrlr.EVConnectionTimeOut", "62")]
    answer = await v201.csms.call(
        "SetVariables", {"setVariableData": [named(n) | {"attributeValue": v} for n, v in writes]}
    )
    words = [result["attributeStatus"] for result in answer["setVariableResult"]]
    assert words == ["Accepted", "UnknownComponent", "Accepted"]
    assert (await get(v201.csms, "TxCtrlr.EVConnectionTimeOut"))[0]["attributeValue"] == "62"


async def report(csms: Csms, base: str, request_id: int) -> list[Payload]:
    mark = csms.mark()
    answer = await csms.call("GetBaseReport", {"requestId": request_id, "reportBase": base})
    assert answer["status"] == "Accepted"
    await csms.until(lambda: any(not p["tbc"] for p in csms.calls("NotifyReport", mark)), "the last part")
    parts = csms.calls("NotifyReport", mark)
    assert [part["seqNo"] for part in parts] == list(range(len(parts)))
    assert {part["requestId"] for part in parts} == {request_id}
    assert [part["tbc"] for part in parts] == [True] * (len(parts) - 1) + [False]
    return [entry for part in parts for entry in part["reportData"]]


async def test_the_full_inventory_has_every_required_variable_once(v201: Charger) -> None:
    found = [str([e["component"], e["variable"]]).lower() for e in await report(v201.csms, "FullInventory", 11)]
    assert len(found) == len(set(found))
    missing = [n for n in REQUIRED_VARIABLES if str(list(named(n).values())).lower() not in found]
    assert missing == []


async def test_the_configuration_inventory_has_what_can_be_set(v201: Charger) -> None:
    entries = await report(v201.csms, "ConfigurationInventory", 12)
    assert {e["variableAttribute"][0]["mutability"] for e in entries} <= {"ReadWrite", "WriteOnly"}
    assert len(entries) > 30


async def test_the_summary_tells_availability(v201: Charger) -> None:
    entries = await report(v201.csms, "SummaryInventory", 13)
    assert {e["variable"]["name"] for e in entries} == {"AvailabilityState", "Available", "Problem"}
