"""The configuration keys of OCPP 1.6 (section 9, its errata of 2025, the security whitepaper), as rows over the device
model: key, variables, conversion. A key that stands for several variables writes them all and is read from the first.

Keys without a variable are facts of this build. A key that is not here is NotSupported, which for an optional key says
that the feature is absent. Names compare without regard to case; they are answered as the specification spells them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import product

from agent.core.network import SLOTS
from agent.core.record import record
from agent.core.types import Mutability, SetStatus, VariableId, VariableView
from agent.ocpp.dialect import Station

FEATURE_PROFILES = "Core,LocalAuthListManagement,Reservation,RemoteTrigger,SmartCharging"
UPDATES = ",FirmwareManagement"  # only where there is an installer
MAX_KEYS = 200  # in one GetConfiguration; more than there are
LONGEST_VALUE = 500
LONGEST_AUTHORIZATION_KEY = 40
_ROTATIONS = ("NotApplicable", "Unknown", "RST", "RTS", "SRT", "STR", "TRS", "TSR")
_RATE_UNITS = {"A": "Current", "W": "Power"}

_NETWORK = (
    *("ActiveNetworkProfile", "NetworkConfigurationPriority", "NetworkLastResortAfter"),
    *("NetworkProfileConnectionAttempts", "NetworkReturnInterval", "NetworkTrialTimeout"),
)
_SLOTS = range(1, SLOTS + 1)
_EVSES = range(1, 33)
_SLOT = ("BasicAuthPassword", "Identity", "OcppCsmsUrl", "OcppVersion", "SecurityProfile")

Show = Callable[[VariableView, Station], str | None]
Take = Callable[[str], str | None]


# --- conversions: `show` makes the key's value from a variable, `take` the variable's from the key's, None: refused ---


def plain(view: VariableView, _station: Station) -> str | None:
    return view.value


def as_is(value: str) -> str | None:
    return value


def count(view: VariableView, _station: Station) -> str:
    """How many members the list may have."""
    return str(len(view.values))


def maximum(view: VariableView, _station: Station) -> str:
    return f"{view.maximum or 0:.0f}"


def rate_units(view: VariableView, _station: Station) -> str:
    return ",".join(_RATE_UNITS.get(unit, unit) for unit in (view.value or "").split(",") if unit)


def measurands(value: str) -> str:
    """A measurand may carry a phase ("Voltage.L1", section 9.1.17); the device model knows measurands and reports all
    of their phases, so that what was asked for is among what is sent."""
    folded = (_without_phase(part.strip()) for part in value.split(","))
    return ",".join(dict.fromkeys(part for part in folded if part))


def _without_phase(measurand: str) -> str:
    head, dot, tail = measurand.rpartition(".")
    return head if dot and tail.upper().split("-")[0] in ("L1", "L2", "L3", "N") else measurand


def show_rotation(view: VariableView, station: Station) -> str:
    """Every connector is named; one that was not set is Unknown."""
    known = dict(part.split(".", 1) for part in (view.value or "").split(",") if "." in part)
    return ",".join(f"{number}.{known.get(str(number), 'Unknown')}" for number in (0, *station.evses))


def take_rotation(value: str) -> str | None:
    words = {word.lower(): word for word in _ROTATIONS}
    parts = [part.strip().partition(".") for part in value.split(",") if part.strip()]
    if any(not number.isdecimal() or word.lower() not in words for number, _dot, word in parts):
        return None
    if len({int(number) for number, _dot, _word in parts}) < len(parts):
        return None  # one connector, two rotations
    return ",".join(f"{int(number)}.{words[word.lower()]}" for number, _dot, word in parts)


def authorization_key(value: str) -> str | None:
    """At most 20 bytes in hex; what is shorter or no hex is the link's to judge."""
    return value if len(value) <= LONGEST_AUTHORIZATION_KEY else None


# --- the table ---


@record
class Key:
    """One key. `fact`: its value when there is no variable behind it."""

    name: str
    variables: tuple[VariableId, ...] = ()
    show: Show = plain
    take: Take = as_is
    fact: Callable[[Station], str] | None = None
    read_only: bool = False  # also where the variable itself could be written


def _id(name: str) -> VariableId:
    """The id that is written as `name`, for a variable of the station as a whole or of one EVSE."""
    where, _dot, rest = name.partition(".")
    component, _at, evse = where.partition("@")
    variable, _bracket, instance = rest.rstrip("]").partition("[")
    return VariableId(component, variable, instance, int(evse or 0))


def _key(name: str, *variables: str, show: Show = plain, take: Take = as_is, read_only: bool = False) -> Key:
    return Key(name, tuple(_id(variable) for variable in variables), show, take, None, read_only)


def _fact(name: str, fact: Callable[[Station], str]) -> Key:
    return Key(name, fact=fact, read_only=True)


_ROWS: tuple[Key, ...] = (
    # section 9.1, Core
    _key("AllowOfflineTxForUnknownId", "AuthCtrlr.OfflineTxForUnknownIdEnabled"),
    _key("AuthorizationCacheEnabled", "AuthCacheCtrlr.Enabled"),
    _key("AuthorizeRemoteTxRequests", "AuthCtrlr.AuthorizeRemoteStart"),
    _key("ClockAlignedDataInterval", "AlignedDataCtrlr.Interval", "AlignedDataCtrlr.TxEndedInterval"),
    _key("ConnectionTimeOut", "TxCtrlr.EVConnectionTimeOut"),
    _key("ConnectorPhaseRotation", "ChargingStation.ConnectorPhaseRotation", show=show_rotation, take=take_rotation),
    _fact("ConnectorPhaseRotationMaxLength", lambda station: str(len(station.evses) + 1)),
    _fact("GetConfigurationMaxKeys", lambda _station: str(MAX_KEYS)),
    _key("HeartbeatInterval", "OCPPCommCtrlr.HeartbeatInterval"),
    _key("LocalAuthorizeOffline", "AuthCtrlr.LocalAuthorizeOffline"),
    _key("LocalPreAuthorize", "AuthCtrlr.LocalPreAuthorize"),
    _key("MaxEnergyOnInvalidId", "TxCtrlr.MaxEnergyOnInvalidId"),
    _key("MeterValuesAlignedData", "AlignedDataCtrlr.Measurands", take=measurands),
    _key("MeterValuesAlignedDataMaxLength", "AlignedDataCtrlr.Measurands", show=count, read_only=True),
    _key("MeterValuesSampledData", "SampledDataCtrlr.TxUpdatedMeasurands", take=measurands),
    _key("MeterValuesSampledDataMaxLength", "SampledDataCtrlr.TxUpdatedMeasurands", show=count, read_only=True),
    _key("MeterValueSampleInterval", "SampledDataCtrlr.TxUpdatedInterval", "SampledDataCtrlr.TxEndedInterval"),
    _key("MinimumStatusDuration", "ChargingStation.StatusMinimumDuration"),
    _fact("NumberOfConnectors", lambda station: str(len(station.evses))),
    _key("ResetRetries", "OCPPCommCtrlr.ResetRetries"),
    _key("StopTransactionOnEVSideDisconnect", "TxCtrlr.StopTxOnEVSideDisconnect"),
    _key("StopTransactionOnInvalidId", "TxCtrlr.StopTxOnInvalidId"),
    _key("StopTxnAlignedData", "AlignedDataCtrlr.TxEndedMeasurands", take=measurands),
    _key("StopTxnAlignedDataMaxLength", "AlignedDataCtrlr.TxEndedMeasurands", show=count, read_only=True),
    _key("StopTxnSampledData", "SampledDataCtrlr.TxEndedMeasurands", take=measurands),
    _key("StopTxnSampledDataMaxLength", "SampledDataCtrlr.TxEndedMeasurands", show=count, read_only=True),
    _fact("SupportedFeatureProfiles", lambda station: FEATURE_PROFILES + (UPDATES if station.updates else "")),
    _key("SupportedFileTransferProtocols", "OCPPCommCtrlr.FileTransferProtocols"),
    _key("TransactionMessageAttempts", "OCPPCommCtrlr.MessageAttempts[TransactionEvent]"),
    _key("TransactionMessageRetryInterval", "OCPPCommCtrlr.MessageAttemptInterval[TransactionEvent]"),
    _key("UnlockConnectorOnEVSideDisconnect", "OCPPCommCtrlr.UnlockOnEVSideDisconnect"),
    _key("WebSocketPingInterval", "OCPPCommCtrlr.WebSocketPingInterval"),
    # errata 3.83 and 3.91
    _key("MessageTimeout", "OCPPCommCtrlr.MessageTimeout[Default]"),
    _key("StopTransactionMaxMeterValues", "SampledDataCtrlr.MaxMeterValues[TxEnded]", read_only=True),
    # section 9.4, Smart Charging
    _key("ChargeProfileMaxStackLevel", "SmartChargingCtrlr.ProfileStackLevel", read_only=True),
    _key("ChargingScheduleAllowedChargingRateUnit", "SmartChargingCtrlr.RateUnit", show=rate_units, read_only=True),
    _key("ChargingScheduleMaxPeriods", "SmartChargingCtrlr.PeriodsPerSchedule", read_only=True),
    _key("ConnectorSwitch3to1PhaseSupported", "SmartChargingCtrlr.Phases3to1", read_only=True),
    _key("MaxChargingProfilesInstalled", "SmartChargingCtrlr.Entries[ChargingProfiles]", show=maximum, read_only=True),
    # section 9.2, Local Auth List Management, and 9.3, Reservation
    _key("LocalAuthListEnabled", "LocalAuthListCtrlr.Enabled"),
    _key("LocalAuthListMaxLength", "LocalAuthListCtrlr.Entries", show=maximum, read_only=True),
    _key("SendLocalListMaxLength", "LocalAuthListCtrlr.ItemsPerMessage", read_only=True),
    _key("ReserveConnectorZeroSupported", "ReservationCtrlr.NonEvseSpecific", read_only=True),
    # security whitepaper, edition 3
    _key("AdditionalRootCertificateCheck", "SecurityCtrlr.AdditionalRootCertificateCheck", read_only=True),
    _key("CertificateSignedMaxChainSize", "SecurityCtrlr.MaxCertificateChainSize", read_only=True),
    _key("CertificateStoreMaxLength", "SecurityCtrlr.CertificateEntries", show=maximum, read_only=True),
    _key("CpoName", "SecurityCtrlr.OrganizationName"),
    _key("SecurityEventNotificationEnabled", "SecurityCtrlr.EventNotificationEnabled"),
    _key("CertSigningWaitMinimum", "SecurityCtrlr.CertSigningWaitMinimum"),
    _key("CertSigningRepeatTimes", "SecurityCtrlr.CertSigningRepeatTimes"),
    _key("AuthorizationKey", "SecurityCtrlr.BasicAuthPassword", take=authorization_key),
    _key("SecurityProfile", "NetworkConfiguration.SecurityProfile"),
    # application note on signed meter values; there where a meter signs
    _key("PublicKeyWithSignedMeterValue", "OCPPCommCtrlr.PublicKeyWithSignedMeterValue"),
    _key("SampledDataSignReadings", "SampledDataCtrlr.SignReadings"),
    _key("SampledDataSignStartedReadings", "SampledDataCtrlr.SignStartedReadings"),
    *(_key(f"MeterPublicKey{n}", f"FiscalMetering@{n}.PublicKey", read_only=True) for n in _EVSES),
    # ours, in the words of later versions: etc/README.md
    _key("AuthorizationKeyForm", "SecurityCtrlr.BasicAuthPasswordForm"),
    *(_key(f"OCPPCommCtrlr.{name}", f"OCPPCommCtrlr.{name}") for name in _NETWORK),
    *(
        _key(f"NetworkConfiguration[{n}].{name}", f"NetworkConfiguration[{n}].{name}")
        for n, name in product(_SLOTS, _SLOT)
    ),
)
KEYS: Mapping[str, Key] = {key.name.lower(): key for key in _ROWS}


def find(name: str) -> Key | None:
    return KEYS.get(name.strip().lower())


def asked(names: Iterable[str]) -> tuple[VariableId, ...]:
    """The variables to read for these keys, each once."""
    found = [key.variables[0] for key in map(find, names) if key and key.variables]
    return tuple(dict.fromkeys(found)) if len(found) > 1 else tuple(found)  # most ask for one


def read_out(key: Key, view: VariableView | None, station: Station) -> dict[str, str | bool] | None:
    """One KeyValue of GetConfiguration.conf; None when the variable behind the key is not there."""
    if key.fact is not None:
        return {"key": key.name, "readonly": True, "value": key.fact(station)[:LONGEST_VALUE]}
    if view is None or view.status in (SetStatus.UNKNOWN_COMPONENT, SetStatus.UNKNOWN_VARIABLE):
        return None
    told: dict[str, str | bool] = {
        "key": key.name,
        "readonly": key.read_only or view.mutability is Mutability.READ_ONLY,
    }
    value = key.show(view, station)
    return told if value is None else told | {"value": shorten(value)}


def shorten(value: str) -> str:
    """A list that is too long for the field loses whole members."""
    return (
        value if len(value) <= LONGEST_VALUE else value[: LONGEST_VALUE + 1].rpartition(",")[0] or value[:LONGEST_VALUE]
    )


# --- for the configuration file ---


def resolve(name: str) -> tuple[str, ...]:
    """The variables that a written name means: those of a 1.6 key, or the variable itself ("Component.Variable").
    Empty for a name that is no key, and for a key that is a fact."""
    if "." in name:
        return (name,)
    key = find(name)
    return tuple(str(variable) for variable in key.variables) if key else ()


def assignments(name: str, value: str) -> dict[str, str] | None:
    """What `name = value` in the configuration file sets, in the device model's words; None: no such name, or the value
    cannot be right."""
    if "." in name:
        return {name: value}
    key = find(name)
    taken = key.take(value) if key and key.variables else None
    return None if key is None or taken is None else {str(variable): taken for variable in key.variables}
