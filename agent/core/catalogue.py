"""The table of all variables (OCPP 2 part 2 appendix, referenced components and variables), one line each.

A variable stands here only when it changes what the station does, or tells something true about it. For strings,
`minimum` and `maximum` are lengths; for lists, they are numbers of members.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from agent.core.faults import CATALOGUE
from agent.core.network import SLOTS
from agent.core.types import Mutability, VariableId
from agent.core.variables import RO, RW, WO, Row
from drivers.api import Measurand

_DAY_S = 86400
_WEEK_S = 7 * _DAY_S
_MEASURANDS = tuple(
    m.value
    for m in Measurand
    if m not in (Measurand.RPM, Measurand.SOC) and not m.value.endswith(".Interval") and m is not Measurand.TEMPERATURE
)
_ENERGY = Measurand.ENERGY_ACTIVE_IMPORT_REGISTER.value
_USUAL = ",".join((_ENERGY, "Power.Active.Import", "Current.Import", "Voltage", "Current.Offered"))
_POINTS = ("EVConnected", "Authorized", "PowerPathClosed", "EnergyTransfer")

# component, variable, instance, type, default, mutability, more fields of Row
_T = tuple[str, str, str, str, str, Mutability, dict[str, object]]
_STATION: tuple[_T, ...] = (
    ("AlignedDataCtrlr", "Available", "", "boolean", "true", RO, {}),
    ("AlignedDataCtrlr", "Enabled", "", "boolean", "true", RW, {}),
    ("AlignedDataCtrlr", "Interval", "", "integer", "0", RW, {"unit": "s", "minimum": 0, "maximum": _DAY_S}),
    ("AlignedDataCtrlr", "Measurands", "", "MemberList", _ENERGY, RW, {"values": _MEASURANDS}),
    ("AlignedDataCtrlr", "SendDuringIdle", "", "boolean", "false", RW, {}),
    ("AlignedDataCtrlr", "TxEndedInterval", "", "integer", "0", RW, {"unit": "s", "minimum": 0, "maximum": _DAY_S}),
    ("AlignedDataCtrlr", "TxEndedMeasurands", "", "MemberList", "", RW, {"values": _MEASURANDS}),
    ("AuthCacheCtrlr", "Available", "", "boolean", "true", RO, {}),
    ("AuthCacheCtrlr", "Enabled", "", "boolean", "true", RW, {}),
    ("AuthCacheCtrlr", "LifeTime", "", "integer", "0", RW, {"unit": "s", "minimum": 0, "maximum": 366 * _DAY_S}),
    ("AuthCacheCtrlr", "DisablePostAuthorize", "", "boolean", "false", RW, {}),
    ("AuthCtrlr", "Enabled", "", "boolean", "true", RW, {}),
    ("AuthCtrlr", "AuthorizeRemoteStart", "", "boolean", "false", RW, {}),
    ("AuthCtrlr", "LocalAuthorizeOffline", "", "boolean", "true", RW, {}),
    ("AuthCtrlr", "LocalPreAuthorize", "", "boolean", "false", RW, {}),
    ("AuthCtrlr", "MasterPassGroupId", "", "string", "", RW, {"maximum": 36}),
    ("AuthCtrlr", "OfflineTxForUnknownIdEnabled", "", "boolean", "false", RW, {}),
    ("ChargingStation", "AllowNewSessionsPendingFirmwareUpdate", "", "boolean", "false", RW, {}),
    ("ChargingStation", "Available", "", "boolean", "true", RO, {}),
    ("ChargingStation", "AvailabilityState", "", "OptionList", "Available", RO, {}),
    ("ChargingStation", "Model", "", "string", "", RO, {}),
    ("ChargingStation", "StatusMinimumDuration", "", "integer", "0", RW, {"unit": "s", "minimum": 0, "maximum": 3600}),
    ("ChargingStation", "SupplyPhases", "", "integer", "3", RO, {}),
    ("ChargingStation", "VendorName", "", "string", "", RO, {}),
    ("ClockCtrlr", "DateTime", "", "dateTime", "", RO, {}),
    ("ClockCtrlr", "TimeSource", "", "SequenceList", "Heartbeat", RW, {"values": ("Heartbeat", "NTP")}),
    ("DeviceDataCtrlr", "BytesPerMessage", "GetReport", "integer", "65536", RO, {"unit": "B"}),
    ("DeviceDataCtrlr", "BytesPerMessage", "GetVariables", "integer", "65536", RO, {"unit": "B"}),
    ("DeviceDataCtrlr", "BytesPerMessage", "SetVariables", "integer", "65536", RO, {"unit": "B"}),
    ("DeviceDataCtrlr", "ItemsPerMessage", "GetReport", "integer", "40", RO, {}),
    ("DeviceDataCtrlr", "ItemsPerMessage", "GetVariables", "integer", "200", RO, {}),
    ("DeviceDataCtrlr", "ItemsPerMessage", "SetVariables", "integer", "200", RO, {}),
    ("LocalAuthListCtrlr", "Available", "", "boolean", "true", RO, {}),
    ("LocalAuthListCtrlr", "BytesPerMessage", "", "integer", "524288", RO, {"unit": "B"}),
    ("LocalAuthListCtrlr", "DisablePostAuthorize", "", "boolean", "false", RW, {}),
    ("LocalAuthListCtrlr", "Enabled", "", "boolean", "true", RW, {}),
    ("LocalAuthListCtrlr", "Entries", "", "integer", "0", RO, {"maximum": 10000}),
    ("LocalAuthListCtrlr", "ItemsPerMessage", "", "integer", "250", RO, {}),
    ("LocalAuthListCtrlr", "SupportsExpiryDateTime", "", "boolean", "true", RO, {}),
    ("OCPPCommCtrlr", "ActiveNetworkProfile", "", "integer", "1", RO, {}),
    ("OCPPCommCtrlr", "FileTransferProtocols", "", "MemberList", "", RO, {}),
    ("OCPPCommCtrlr", "HeartbeatInterval", "", "integer", "300", RW, {"unit": "s", "minimum": 0, "maximum": _DAY_S}),
    ("OCPPCommCtrlr", "MessageTimeout", "Default", "integer", "30", RW, {"unit": "s", "minimum": 1, "maximum": 600}),
    ("OCPPCommCtrlr", "MessageAttempts", "TransactionEvent", "integer", "5", RW, {"minimum": 1, "maximum": 1000}),
    (
        "OCPPCommCtrlr",
        "MessageAttemptInterval",
        "TransactionEvent",
        "integer",
        "30",
        RW,
        {"unit": "s", "minimum": 0, "maximum": _DAY_S},
    ),
    ("OCPPCommCtrlr", "NetworkConfigurationPriority", "", "SequenceList", "1", RW, {"minimum": 1, "maximum": SLOTS}),
    (
        "OCPPCommCtrlr",
        "NetworkLastResortAfter",
        "",
        "integer",
        "86400",
        RW,
        {"unit": "s", "minimum": 0, "maximum": _WEEK_S},
    ),
    ("OCPPCommCtrlr", "NetworkProfileConnectionAttempts", "", "integer", "3", RW, {"minimum": 1, "maximum": 1000}),
    (
        "OCPPCommCtrlr",
        "NetworkReturnInterval",
        "",
        "integer",
        "1800",
        RW,
        {"unit": "s", "minimum": 60, "maximum": _DAY_S},
    ),
    ("OCPPCommCtrlr", "NetworkTrialTimeout", "", "integer", "300", RW, {"unit": "s", "minimum": 10, "maximum": 3600}),
    ("OCPPCommCtrlr", "OfflineThreshold", "", "integer", "60", RW, {"unit": "s", "minimum": 0, "maximum": _DAY_S}),
    ("OCPPCommCtrlr", "ResetRetries", "", "integer", "3", RW, {"minimum": 0, "maximum": 10}),
    ("OCPPCommCtrlr", "RetryBackOffRandomRange", "", "integer", "10", RW, {"unit": "s", "minimum": 0, "maximum": 3600}),
    ("OCPPCommCtrlr", "RetryBackOffRepeatTimes", "", "integer", "5", RW, {"minimum": 0, "maximum": 20}),
    ("OCPPCommCtrlr", "RetryBackOffWaitMinimum", "", "integer", "5", RW, {"unit": "s", "minimum": 0, "maximum": 3600}),
    ("OCPPCommCtrlr", "WebSocketPingInterval", "", "integer", "30", RW, {"unit": "s", "minimum": 0, "maximum": _DAY_S}),
    ("ReservationCtrlr", "Available", "", "boolean", "true", RO, {}),
    ("ReservationCtrlr", "Enabled", "", "boolean", "true", RW, {}),
    ("ReservationCtrlr", "NonEvseSpecific", "", "boolean", "true", RO, {}),
    ("SampledDataCtrlr", "Available", "", "boolean", "true", RO, {}),
    ("SampledDataCtrlr", "Enabled", "", "boolean", "true", RW, {}),
    ("SampledDataCtrlr", "MaxMeterValues", "TxEnded", "integer", "500", RO, {}),
    ("SampledDataCtrlr", "TxStartedMeasurands", "", "MemberList", _ENERGY, RW, {"values": _MEASURANDS}),
    ("SampledDataCtrlr", "TxUpdatedInterval", "", "integer", "60", RW, {"unit": "s", "minimum": 0, "maximum": _DAY_S}),
    ("SampledDataCtrlr", "TxUpdatedMeasurands", "", "MemberList", _USUAL, RW, {"values": _MEASURANDS}),
    ("SampledDataCtrlr", "TxEndedInterval", "", "integer", "0", RW, {"unit": "s", "minimum": 0, "maximum": _DAY_S}),
    ("SampledDataCtrlr", "TxEndedMeasurands", "", "MemberList", _ENERGY, RW, {"values": _MEASURANDS}),
    ("SecurityCtrlr", "BasicAuthPassword", "", "string", "", WO, {"maximum": 64}),
    ("SecurityCtrlr", "BasicAuthPasswordForm", "", "OptionList", "try", RW, {"values": ("text", "hex", "try")}),
    ("SecurityCtrlr", "AdditionalRootCertificateCheck", "", "boolean", "false", RO, {}),
    ("SecurityCtrlr", "CertificateEntries", "", "integer", "0", RO, {"maximum": 20}),
    ("SecurityCtrlr", "CertSigningRepeatTimes", "", "integer", "3", RW, {"minimum": 0, "maximum": 100}),
    (
        "SecurityCtrlr",
        "CertSigningWaitMinimum",
        "",
        "integer",
        "60",
        RW,
        {"unit": "s", "minimum": 1, "maximum": _DAY_S},
    ),
    ("SecurityCtrlr", "EventNotificationEnabled", "", "boolean", "true", RW, {}),
    ("SecurityCtrlr", "Identity", "", "string", "", RO, {}),
    ("SecurityCtrlr", "MaxCertificateChainSize", "", "integer", "10000", RO, {}),
    ("SecurityCtrlr", "OrganizationName", "", "string", "", RW, {"maximum": 255}),
    ("SecurityCtrlr", "SecurityProfile", "", "integer", "0", RO, {}),
    ("SmartChargingCtrlr", "Available", "", "boolean", "true", RO, {}),
    ("SmartChargingCtrlr", "Enabled", "", "boolean", "true", RW, {}),
    ("SmartChargingCtrlr", "Entries", "ChargingProfiles", "integer", "0", RO, {"maximum": 50}),
    (
        "SmartChargingCtrlr",
        "LimitChangeSignificance",
        "",
        "decimal",
        "1",
        RW,
        {"unit": "Percent", "minimum": 0, "maximum": 100},
    ),
    ("SmartChargingCtrlr", "PauseMinimum", "", "integer", "30", RW, {"unit": "s", "minimum": 0, "maximum": 3600}),
    ("SmartChargingCtrlr", "PeriodsPerSchedule", "", "integer", "100", RO, {}),
    ("SmartChargingCtrlr", "ProfileStackLevel", "", "integer", "10", RO, {}),
    ("SmartChargingCtrlr", "RateUnit", "", "MemberList", "A,W", RO, {"values": ("A", "W")}),
    ("TxCtrlr", "EVConnectionTimeOut", "", "integer", "120", RW, {"unit": "s", "minimum": 0, "maximum": _DAY_S}),
    ("TxCtrlr", "MaxEnergyOnInvalidId", "", "integer", "0", RW, {"unit": "Wh", "minimum": 0, "maximum": 1000000}),
    ("TxCtrlr", "StopTxOnEVSideDisconnect", "", "boolean", "true", RW, {}),
    ("TxCtrlr", "StopTxOnInvalidId", "", "boolean", "true", RW, {}),
    ("TxCtrlr", "StopTxOnUnlock", "", "boolean", "false", RW, {}),
    ("TxCtrlr", "TxStartPoint", "", "MemberList", "PowerPathClosed", RW, {"values": _POINTS, "minimum": 1}),
    ("TxCtrlr", "TxStopPoint", "", "MemberList", "EVConnected,Authorized", RW, {"values": _POINTS, "minimum": 1}),
)
# One set for each slot of a network profile; the one without a number means the slot in use.
_NETWORK: tuple[_T, ...] = (
    ("NetworkConfiguration", "SecurityProfile", "", "integer", "0", RW, {"minimum": 0, "maximum": 3}),
)
_SLOT: tuple[_T, ...] = (
    ("NetworkConfiguration", "BasicAuthPassword", "", "string", "", WO, {"maximum": 64}),
    ("NetworkConfiguration", "Identity", "", "string", "", RW, {"maximum": 48}),
    ("NetworkConfiguration", "OcppCsmsUrl", "", "string", "", RW, {"maximum": 512}),
    ("NetworkConfiguration", "OcppVersion", "", "SequenceList", "", RW, {"maximum": 4}),
    ("NetworkConfiguration", "SecurityProfile", "", "integer", "0", RW, {"minimum": 0, "maximum": 3}),
)
_EVSE: tuple[_T, ...] = (
    ("EVSE", "Available", "", "boolean", "true", RO, {}),
    ("EVSE", "AvailabilityState", "", "OptionList", "Available", RO, {}),
    ("EVSE", "Power", "", "decimal", "0", RO, {"unit": "W"}),
    ("EVSE", "SupplyPhases", "", "integer", "3", RO, {}),
)
_CONNECTOR: tuple[_T, ...] = (
    ("Connector", "Available", "", "boolean", "true", RO, {}),
    ("Connector", "AvailabilityState", "", "OptionList", "Available", RO, {}),
    ("Connector", "ConnectorType", "", "string", "cType2", RO, {}),
    ("Connector", "SupplyPhases", "", "integer", "3", RO, {}),
)


_WIRED = ("RST", "RTS", "SRT", "STR", "TRS", "TSR")
_ROTATIONS = ("NotApplicable", "Unknown", *_WIRED)


def _hardware(evses: Sequence[int], unlocks: bool, wiring: str, switches: bool) -> Iterator[_T]:
    """Rows whose rules follow from the hardware: how its connectors are wired, whether any is locked or switched."""
    wired = tuple(f"{number}.{word}" for number in (0, *evses) for word in _ROTATIONS)
    more: dict[str, object] = {"values": wired, "maximum": len(evses) + 1}
    yield ("ChargingStation", "ConnectorPhaseRotation", "", "MemberList", wiring, RW, more)
    yield ("SmartChargingCtrlr", "Phases3to1", "", "boolean", str(switches).lower(), RO, {})
    # Controllers let go of a cable whose car has left, so that nobody is locked in; a choice would change nothing.
    yield ("OCPPCommCtrlr", "UnlockOnEVSideDisconnect", "", "boolean", str(unlocks).lower(), RO, {})


def _signing(evses: Sequence[int]) -> Iterator[Row]:
    """What is there only where meters sign; `evses` are those."""
    wanted: dict[str, object] = {"values": ("Never", "OncePerTransaction", "EveryMeterValue")}
    if evses:
        yield _row(("SampledDataCtrlr", "SignReadings", "", "boolean", "true", RW, {}), 0, 0)
        yield _row(("SampledDataCtrlr", "SignStartedReadings", "", "boolean", "true", RW, {}), 0, 0)
        name = "PublicKeyWithSignedMeterValue"
        yield _row(("OCPPCommCtrlr", name, "", "OptionList", "EveryMeterValue", RW, wanted), 0, 0)
    for evse in evses:
        yield _row(("FiscalMetering", "PublicKey", "", "string", "", RO, {"maximum": 2500}), evse, 0)


def rows(
    evses: Sequence[int],
    unlocks: bool = True,
    signing: Sequence[int] = (),
    wiring: str = "0.Unknown",
    switches: bool = False,
) -> Iterator[Row]:
    """The catalogue for a station with these EVSEs, one connector each. `unlocks`: one of them holds a loose cable.
    `signing`: those whose meters sign. `wiring`: the phase rotation of each, where it is known.
    `switches`: one of them can be fed by one phase instead of three."""
    yield from _signing(signing)
    for line in (*_STATION, *_NETWORK, *_hardware(evses, unlocks, wiring, switches)):
        yield _row(line, 0, 0)
    for slot in range(1, SLOTS + 1):
        for component, *rest in _SLOT:
            yield _row((f"{component}[{slot}]", *rest), 0, 0)  # type: ignore[arg-type]
    for component, variable in dict.fromkeys(row.tells for row in CATALOGUE.values()):
        for place in (0,) if component == "ChargingStation" else evses:
            problem: _T = (component, variable, "", "boolean", "false", RO, {})
            yield _row(problem, place, 1 if component == "Connector" else 0)
    for number, _dot, word in (part.partition(".") for part in wiring.split(",")):
        if int(number) and word in _WIRED:
            yield _row(("Connector", "PhaseRotation", "", "string", word, RO, {}), int(number), 1)
    for evse in evses:
        for line in _EVSE:
            yield _row(line, evse, 0)
        for line in _CONNECTOR:
            yield _row(line, evse, 1)


def _row(line: _T, evse: int, connector: int) -> Row:
    component, variable, instance, kind, default, mutability, more = line
    return Row(VariableId(component, variable, instance, evse, connector), kind, default, mutability, **more)  # type: ignore[arg-type]
