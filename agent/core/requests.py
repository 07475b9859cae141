"""All that the CSMS can ask of a station, in neutral words: the part of the events that comes in as CALLs.

`ref` names a request until it is answered with `effects.Reply`; every request is answered exactly once.
"""

from __future__ import annotations

from typing import Any

from agent.core.events import Event
from agent.core.record import record
from agent.core.types import CertificateHash, ListEntry, ResetKind, SetStatus, VariableId
from drivers.api import IdToken


@record
class Ref:
    """Names one request. `by`: who asks here at the charger, by the operating system's word; "": the CSMS asks."""

    id: str
    action: str
    by: str = ""


@record
class Request(Event):
    ref: Ref


@record
class StartRequested(Request):
    """`evse` None: the station chooses. `profile`: a charging profile for the transaction, see `core.profile`."""

    token: IdToken
    evse: int | None = None
    remote_start_id: int | None = None
    group: IdToken | None = None
    profile: Any = None


@record
class StopRequested(Request):
    """`transaction` is our id or the CSMS's, whichever the version uses."""

    transaction: str


@record
class ResetRequested(Request):
    kind: ResetKind
    evse: int | None = None


@record
class AvailabilityRequested(Request):
    """`evse` None: the whole station. `connector` is only checked for existence."""

    operative: bool
    evse: int | None = None
    connector: int | None = None


@record
class VariablesRequested(Request):
    """`ids` None: all that are readable. Others as asked, unknown ones included."""

    ids: tuple[VariableId, ...] | None
    attribute: str = "Actual"


@record
class VariableWrite:
    id: VariableId
    value: str
    verdict: SetStatus | None = None  # decided already while decoding (an unknown name, a value no row can convert)


@record
class VariablesSetRequested(Request):
    writes: tuple[VariableWrite, ...]


@record
class ReportRequested(Request):
    """`base`: "ConfigurationInventory", "FullInventory" or "SummaryInventory"."""

    request_id: int
    base: str


@record
class UnlockRequested(Request):
    evse: int
    connector: int = 1


@record
class ClearCacheRequested(Request):
    pass


@record
class TriggerRequested(Request):
    """`message`: "Boot" ("BootAgain": also after it was accepted), "Heartbeat", "Status", "MeterValues" (those of the
    clock; "SampledValues": those of the interval), "TransactionEvent", "Diagnostics" (the status of a log or bundle on
    its way), "Firmware", "SignCertificate", or the CSMS's own word for what we do not know. A version with two kinds
    of logs and updates says "Log" and "SignedFirmware" for the newer kind. `evse` 0: the station as a whole."""

    message: str
    evse: int | None = None


@record
class TransactionStatusRequested(Request):
    transaction: str | None = None


@record
class DataReceived(Request):
    vendor: str
    message: str | None = None
    data: Any = None


@record
class ProfileSetRequested(Request):
    """`profile` is a `core.profile.Profile`; `evse` 0 = the whole station."""

    evse: int
    profile: Any


@record
class ProfileClearRequested(Request):
    profile_id: int | None = None
    evse: int | None = None
    purpose: str | None = None
    stack_level: int | None = None


@record
class ScheduleRequested(Request):
    evse: int
    duration_s: int
    unit: str | None = None


# --- local list and reservations ----------------------------------------------------------------------------


@record
class LocalListRequested(Request):
    """Which version the local list has; answered with `VersionAnswer`."""


@record
class LocalListSent(Request):
    """`full`: the entries replace the list; else they change it. `version` is at least 1."""

    version: int
    full: bool
    entries: tuple[ListEntry, ...] = ()


@record
class ReserveRequested(Request):
    """`evse` None: any EVSE. `expires` is UTC epoch seconds. The same `id` again replaces the reservation."""

    id: int
    expires: float
    token: IdToken
    evse: int | None = None
    group: IdToken | None = None
    connector_type: str | None = None


@record
class ReservationCancelRequested(Request):
    id: int


# --- firmware and logs --------------------------------------------------------------------------------------


@record
class UpdateRequested(Request):
    """`retrieve_at` and `install_at`: UTC epoch seconds, None = at once. `request_id` None: this version has none.
    `certificate` (PEM) and `signature` (base64) come with a signed update only."""

    location: str
    retrieve_at: float | None = None
    install_at: float | None = None
    retries: int | None = None
    retry_interval_s: int | None = None
    request_id: int | None = None
    certificate: str | None = None
    signature: str | None = None


@record
class LogRequested(Request):
    """`kind`: "Diagnostics" or "Security". `oldest`, `latest`: UTC epoch seconds. Answered with `LogAnswer`."""

    kind: str
    location: str
    retries: int | None = None
    retry_interval_s: int | None = None
    request_id: int | None = None
    oldest: float | None = None
    latest: float | None = None


# --- certificates -------------------------------------------------------------------------------------------


@record
class CertificateSigned(Request):
    """The chain (PEM) that answers a SignCertificate of ours; `purpose`: "ChargingStation" or "V2G"."""

    chain: str
    purpose: str = "ChargingStation"


@record
class CertificateInstallRequested(Request):
    """`kind`: "CSMSRoot", "ManufacturerRoot", "V2GRoot", "MORoot". `certificate` is PEM."""

    kind: str
    certificate: str


@record
class CertificateDeleteRequested(Request):
    hash: CertificateHash


@record
class CertificateIdsRequested(Request):
    """`kinds` empty: all. Answered with `CertificateIdsAnswer`."""

    kinds: tuple[str, ...] = ()
