"""OCPP 1.6-J: configuration keys over the device model, through the same doors as the CSMS uses."""

from __future__ import annotations

import pytest

from agent.core import catalogue
from agent.core.effects import VariablesAnswer, WritesAnswer
from agent.core.requests import VariablesRequested, VariablesSetRequested
from agent.core.types import SetStatus, VariableId
from agent.core.variables import Variables
from agent.ocpp import dialect
from agent.ocpp.dialect import Payload
from agent.ocpp.v16 import keys
from tests.ocpp.words import NOON, STATION, faults, ref

V16 = dialect.load("1.6")
CORE = (
    "AllowOfflineTxForUnknownId",
    "AuthorizationCacheEnabled",
    "AuthorizeRemoteTxRequests",
    "ClockAlignedDataInterval",
    "ConnectionTimeOut",
    "ConnectorPhaseRotation",
    "ConnectorPhaseRotationMaxLength",
    "GetConfigurationMaxKeys",
    "HeartbeatInterval",
    "LocalAuthorizeOffline",
    "LocalPreAuthorize",
    "MaxEnergyOnInvalidId",
    "MeterValuesAlignedData",
    "MeterValuesAlignedDataMaxLength",
    "MeterValuesSampledData",
    "MeterValuesSampledDataMaxLength",
    "MeterValueSampleInterval",
    "MinimumStatusDuration",
    "NumberOfConnectors",
    "ResetRetries",
    "StopTransactionOnEVSideDisconnect",
    "StopTransactionOnInvalidId",
    "StopTxnAlignedData",
    "StopTxnAlignedDataMaxLength",
    "StopTxnSampledData",
    "StopTxnSampledDataMaxLength",
    "SupportedFeatureProfiles",
    "TransactionMessageAttempts",
    "TransactionMessageRetryInterval",
    "UnlockConnectorOnEVSideDisconnect",
    "WebSocketPingInterval",
    "MessageTimeout",
    "StopTransactionMaxMeterValues",
    "ChargeProfileMaxStackLevel",
    "ChargingScheduleAllowedChargingRateUnit",
    "ChargingScheduleMaxPeriods",
    "ConnectorSwitch3to1PhaseSupported",
    "MaxChargingProfilesInstalled",
    "CpoName",
    "SecurityProfile",
)


@pytest.fixture
def model() -> Variables:
    model = Variables(catalogue.rows(STATION.evses))
    assert model.layer("pin", V16.pins) == []
    assert model.layer("preset", V16.presets) == []
    return model


def get(model: Variables, *names: str) -> Payload:
    payload: Payload = {"key": list(names)} if names else {}
    request = V16.asked(ref("GetConfiguration"), payload)
    assert isinstance(request, VariablesRequested) and request.ids is not None
    answer = VariablesAnswer(tuple(model.view(id_, NOON) for id_ in request.ids))
    told = V16.reply("GetConfiguration", payload, answer, STATION)
    assert faults(V16, "GetConfiguration", told, answer=True) == []
    return told


def value(model: Variables, name: str) -> object:
    (only,) = get(model, name)["configurationKey"]
    return only["value"]


def change(model: Variables, name: str, text: str) -> str:
    payload = {"key": name, "value": text}
    request = V16.asked(ref("ChangeConfiguration"), payload)
    assert isinstance(request, VariablesSetRequested)
    results = tuple((w.id, w.verdict or model.write(w.id, w.value)) for w in request.writes)
    told = V16.reply("ChangeConfiguration", payload, WritesAnswer(results), STATION)
    assert faults(V16, "ChangeConfiguration", told, answer=True) == []
    return str(told["status"])


@pytest.mark.parametrize("name", CORE)
def test_a_key_that_must_be_known_is_known(model: Variables, name: str) -> None:
    assert [row["key"] for row in get(model, name)["configurationKey"]] == [name]


def test_all_keys_are_told_when_none_is_named(model: Variables) -> None:
    told = get(model)
    assert {row["key"] for row in told["configurationKey"]} >= set(CORE)


def test_no_key_is_unknown_when_none_is_named(model: Variables) -> None:
    assert "unknownKey" not in get(model)


def test_every_row_has_its_variables_in_the_catalogue() -> None:
    there = Variables(catalogue.rows(range(1, 33), True, range(1, 33)))
    missing = [str(id_) for key in keys.KEYS.values() for id_ in key.variables if there.row(id_) is None]
    assert missing == []


def test_keys_are_found_without_regard_to_case_and_answered_as_the_specification_spells_them(model: Variables) -> None:
    assert get(model, "HEARTBEATINTERVAL")["configurationKey"] == [
        {"key": "HeartbeatInterval", "readonly": False, "value": "300"}
    ]


def test_an_unknown_key_is_given_back(model: Variables) -> None:
    assert get(model, "Nonsense", "LightIntensity") == {
        "configurationKey": [],
        "unknownKey": ["Nonsense", "LightIntensity"],
    }


def test_a_key_asked_for_twice_is_told_once(model: Variables) -> None:
    assert len(get(model, "ResetRetries", "ResetRetries")["configurationKey"]) == 1


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("NumberOfConnectors", "2"),
        ("SupportedFeatureProfiles", "Core,LocalAuthListManagement,Reservation,RemoteTrigger,SmartCharging"),
        ("ConnectorPhaseRotationMaxLength", "3"),
        ("ConnectorPhaseRotation", "0.Unknown,1.Unknown,2.Unknown"),
        ("GetConfigurationMaxKeys", "200"),
        ("ChargingScheduleAllowedChargingRateUnit", "Current,Power"),
        ("MaxChargingProfilesInstalled", "50"),
        ("StopTxnSampledData", ""),
        ("MeterValueSampleInterval", "60"),
        ("ConnectorSwitch3to1PhaseSupported", "false"),
    ],
)
def test_a_key_has_this_value_on_a_new_station(model: Variables, name: str, text: str) -> None:
    assert value(model, name) == text


def test_the_length_of_a_measurand_list_is_the_number_of_measurands(model: Variables) -> None:
    row = model.find("SampledDataCtrlr.TxUpdatedMeasurands")
    assert row is not None and value(model, "MeterValuesSampledDataMaxLength") == str(len(row.values))


def test_a_fact_is_read_only(model: Variables) -> None:
    assert get(model, "NumberOfConnectors")["configurationKey"][0]["readonly"] is True


@pytest.mark.parametrize(
    "name", ["NumberOfConnectors", "MeterValuesSampledDataMaxLength", "ChargeProfileMaxStackLevel"]
)
def test_a_read_only_key_cannot_be_changed(model: Variables, name: str) -> None:
    assert change(model, name, "7") == "Rejected"


def test_an_unknown_key_is_not_supported(model: Variables) -> None:
    assert change(model, "Nonsense", "7") == "NotSupported"


@pytest.mark.parametrize("name", ["MeterValueSampleInterval", "WebSocketPingInterval", "ConnectionTimeOut"])
def test_a_negative_interval_is_rejected(model: Variables, name: str) -> None:
    assert change(model, name, "-1") == "Rejected"


def test_a_change_is_read_back(model: Variables) -> None:
    change(model, "ConnectionTimeOut", "45")
    assert value(model, "ConnectionTimeOut") == "45"


@pytest.mark.parametrize("text", ["True", "TRUE", "true"])
def test_a_boolean_may_be_spelt_in_any_case(model: Variables, text: str) -> None:
    assert change(model, "AuthorizeRemoteTxRequests", text) == "Accepted"


def test_one_key_writes_all_its_variables(model: Variables) -> None:
    change(model, "MeterValueSampleInterval", "15")
    assert [model.text(f"SampledDataCtrlr.{name}") for name in ("TxUpdatedInterval", "TxEndedInterval")] == ["15", "15"]


def test_a_change_that_counts_after_a_restart_says_so() -> None:
    results = ((VariableId("A", "B"), SetStatus.ACCEPTED), (VariableId("A", "C"), SetStatus.REBOOT_REQUIRED))
    assert V16.reply("ChangeConfiguration", {}, WritesAnswer(results), STATION) == {"status": "RebootRequired"}


def test_one_refused_variable_refuses_the_key() -> None:
    results = ((VariableId("A", "B"), SetStatus.ACCEPTED), (VariableId("A", "C"), SetStatus.REJECTED))
    assert V16.reply("ChangeConfiguration", {}, WritesAnswer(results), STATION) == {"status": "Rejected"}


def test_measurands_are_taken(model: Variables) -> None:
    change(model, "MeterValuesSampledData", "Energy.Active.Import.Register, Voltage")
    assert value(model, "MeterValuesSampledData") == "Energy.Active.Import.Register,Voltage"


def test_a_phase_behind_a_measurand_asks_for_the_measurand(model: Variables) -> None:
    change(model, "StopTxnSampledData", "Voltage.L1,Voltage.L2-N,Current.Import.L3,Power.Active.Import")
    assert value(model, "StopTxnSampledData") == "Voltage,Current.Import,Power.Active.Import"


def test_a_measurand_that_does_not_exist_is_rejected(model: Variables) -> None:
    assert change(model, "MeterValuesSampledData", "Voltage,Mood") == "Rejected"


def test_no_measurand_at_all_is_a_choice(model: Variables) -> None:
    change(model, "MeterValuesAlignedData", "")
    assert value(model, "MeterValuesAlignedData") == ""


def test_all_measurands_at_once_are_taken_and_read_back_as_far_as_the_field_goes(model: Variables) -> None:
    row = model.find("SampledDataCtrlr.TxUpdatedMeasurands")
    assert row is not None
    change(model, "MeterValuesSampledData", ",".join(row.values))
    assert set(str(value(model, "MeterValuesSampledData")).split(",")) <= set(row.values)


def test_phase_rotation_is_kept_for_each_connector(model: Variables) -> None:
    change(model, "ConnectorPhaseRotation", "1.rst, 2.STR")
    assert value(model, "ConnectorPhaseRotation") == "0.Unknown,1.RST,2.STR"


@pytest.mark.parametrize("text", ["1.ABC", "RST", "x.RST", "1:RST"])
def test_a_phase_rotation_that_is_none_is_rejected(model: Variables, text: str) -> None:
    assert change(model, "ConnectorPhaseRotation", text) == "Rejected"


def test_a_list_that_is_too_long_loses_whole_members() -> None:
    assert keys.shorten(",".join(["abcdefghi"] * 60)) == ",".join(["abcdefghi"] * 50)


def test_the_points_of_a_transaction_are_pinned(model: Variables) -> None:
    assert model.write(VariableId("TxCtrlr", "TxStartPoint"), "Authorized") is SetStatus.REJECTED


# --- the configuration file ---


def test_a_key_resolves_to_its_variables() -> None:
    assert keys.resolve("transactionmessageattempts") == ("OCPPCommCtrlr.MessageAttempts[TransactionEvent]",)


def test_a_variable_resolves_to_itself() -> None:
    assert keys.resolve("TxCtrlr.TxStartPoint") == ("TxCtrlr.TxStartPoint",)


@pytest.mark.parametrize("name", ["Nonsense", "NumberOfConnectors"])
def test_what_cannot_be_set_resolves_to_nothing(name: str) -> None:
    assert keys.resolve(name) == ()


def test_an_assignment_by_key_is_converted() -> None:
    assert keys.assignments("MeterValuesSampledData", "Voltage.L1,SoC") == {
        "SampledDataCtrlr.TxUpdatedMeasurands": "Voltage,SoC"
    }


def test_an_assignment_by_variable_stays_as_it_is() -> None:
    assert keys.assignments("TxCtrlr.EVConnectionTimeOut", "30") == {"TxCtrlr.EVConnectionTimeOut": "30"}


@pytest.mark.parametrize(
    ("name", "text"), [("Nonsense", "1"), ("NumberOfConnectors", "1"), ("ConnectorPhaseRotation", "?")]
)
def test_an_assignment_that_cannot_be_is_none(name: str, text: str) -> None:
    assert keys.assignments(name, text) is None
