"""All that a station can want done. Effects are orders; the runtime first commits what must be durable, then acts.

Durable effects (`Record`, `Remember`, `Forget`) of one step go into one commit. Hardware effects are levels. Calls to
the CSMS other than transaction events are wishes: the outbox may replace them by newer ones, and answers each with an
event (`CallDone`, `CallFailed` or the special one).
"""

from __future__ import annotations

from typing import Any

from agent.core.record import record
from agent.core.types import (
    CertificateHash,
    ConnectorStatus,
    Instant,
    Reading,
    SetStatus,
    TransactionEvent,
    VariableId,
    VariableView,
)
from drivers.api import IdToken


class Effect:
    """Anything that the runtime does for a block."""

    __slots__ = ()


# --- durable ------------------------------------------------------------------------------------------------


@record
class Record(Effect):
    """Append to the journal; it stays there until the CSMS has answered it."""

    event: TransactionEvent


@record
class Remember(Effect):
    """Keep `value` (JSON types only) under table and key over restarts; replaces what was there."""

    table: str
    key: str
    value: Any


@record
class Forget(Effect):
    """Drop one key, or the whole table when `key` is None."""

    table: str
    key: str | None = None


# --- hardware -----------------------------------------------------------------------------------------------


@record
class Offer(Effect):
    """Hold this current on offer from now on; 0 withholds power."""

    evse: int
    current_a: float


@record
class Share(Effect):
    """So many phases share what a controller that is ordered in watts is ordered."""

    evse: int
    phases: int


@record
class Unlock(Effect):
    """Open the connector lock; answered by `events.UnlockDone`."""

    evse: int


@record
class SwitchPhases(Effect):
    """Feed the outlet by this many phases; what has come of it is told by the next readings."""

    evse: int
    phases: int


@record
class WakeCar(Effect):
    """Take the pilot away from the car for some seconds."""

    evse: int


@record
class Show(Effect):
    """Show this word on the charger's indicator."""

    evse: int
    state: str


# --- towards the CSMS ---------------------------------------------------------------------------------------


class Call:
    """A message of ours to the CSMS, in neutral words."""

    __slots__ = ()


@record
class Boot(Call):
    reason: str  # OCPP 2 BootReasonEnumType


@record
class Heartbeat(Call):
    pass


@record
class Status(Call):
    """`evse` 0: the station as a whole, where the version has such a message. `error`: a fault id or ""."""

    evse: int
    connector: int
    status: ConnectorStatus
    at: Instant
    error: str = ""
    info: str = ""
    connected: bool = True  # something is plugged in; a version without Preparing tells by it Occupied from Available


@record
class Authorize(Call):
    token: IdToken
    evses: tuple[int, ...]
    purpose: str = "start"  # "start", "stop" or "remote"


@record
class MeterReport(Call):
    """Meter values outside of any transaction (or asked for by the CSMS)."""

    evse: int
    readings: tuple[Reading, ...]
    transaction: str | None = None


@record
class DataSend(Call):
    vendor: str
    message: str | None = None
    data: Any = None


@record
class ReportPart(Call):
    """One NotifyReport."""

    request_id: int
    seq: int
    last: bool
    at: Instant
    views: tuple[VariableView, ...]


@record
class FirmwareStatus(Call):
    """`status` in the words of OCPP 2 FirmwareStatusEnumType. `request_id`: the request that this is about."""

    status: str = "Idle"
    request_id: int | None = None
    signed: bool = False  # the update was asked for as a signed one


@record
class LogStatus(Call):
    """`status` in the words of OCPP 2 UploadLogStatusEnumType. `request_id`: the request that this is about. `log`: it
    is told of a log that was asked for as such, and not of the diagnostics of an older version."""

    status: str = "Idle"
    request_id: int | None = None
    log: bool = False


@record
class SecurityNotice(Call):
    """SecurityEventNotification. `kind` is a word of the list of security events (OCPP 2 part 2 appendix 1)."""

    kind: str
    at: Instant
    info: str = ""
    number: int = 0  # ours, in the order of their happening
    message_id: str = ""  # the same at every try, also after a restart


@record
class SignCertificate(Call):
    """`csr` is PEM; `purpose`: "ChargingStation" or "V2G"."""

    csr: str
    purpose: str = "ChargingStation"


@record
class ReservationUpdate(Call):
    """`status`: "Expired" or "Removed"."""

    id: int
    status: str


@record
class Ask(Effect):
    """Send this when it is its turn. `triggered`: the CSMS asked for it, so it may go even while it is Pending."""

    call: Call
    triggered: bool = False


# --- answers to the CSMS ------------------------------------------------------------------------------------


class Answer:
    """What we answer to a request, in neutral words."""

    __slots__ = ()


@record
class StatusAnswer(Answer):
    """Most requests: one word of OCPP ("Accepted", "Rejected", "Scheduled", "NotImplemented", "Unlocked" ...)."""

    status: str
    transaction: str | None = None  # a running transaction, where the answer has room for it
    reason: str = ""  # statusInfo.reasonCode, at most 20 characters


@record
class VariablesAnswer(Answer):
    views: tuple[VariableView, ...]


@record
class WritesAnswer(Answer):
    """In the order of the writes."""

    results: tuple[tuple[VariableId, SetStatus], ...]


@record
class TransactionStatusAnswer(Answer):
    """`ongoing` None when no transaction was named."""

    messages_in_queue: bool
    ongoing: bool | None = None


@record
class DataAnswer(Answer):
    status: str
    data: Any = None


@record
class ScheduleAnswer(Answer):
    """`periods`: (start_s, limit, phases) from `start`; empty with status "Rejected"."""

    status: str
    evse: int = 0
    start: Instant | None = None
    duration_s: int = 0
    unit: str = "A"
    periods: tuple[tuple[int, float, int | None], ...] = ()


@record
class VersionAnswer(Answer):
    """Of the local list; 0: there is none, -1: local lists are not supported."""

    version: int


@record
class LogAnswer(Answer):
    """`filename` of what will be uploaded; empty with "Rejected", or when there is nothing to upload."""

    status: str
    filename: str = ""


@record
class CertificateIdsAnswer(Answer):
    """`found`: the kind, as in `requests.CertificateInstallRequested`, and the hash of each; empty: "NotFound"."""

    found: tuple[tuple[str, CertificateHash], ...]


@record
class RefuseCall(Answer):
    """Answer with a CALLERROR: `code` as "NotSupported", "InternalError" ..."""

    code: str
    why: str = ""


@record
class Reply(Effect):
    """Answer the request named by `ref` (requests.Ref)."""

    ref: Any
    answer: Answer


# --- errands ------------------------------------------------------------------------------------------------


class Errand(Effect):
    """Work that takes time and is done beside the loop (a transfer, a signature, an installer). It is begun after the
    commit, and answered by an event. What must survive a restart is the block's to remember and to order again."""

    __slots__ = ()


# --- the process --------------------------------------------------------------------------------------------


@record
class Redial(Effect):
    """Close the link and dial anew with the settings as they are now. `at_once` False: after the wait that follows any
    failure."""

    why: str
    at_once: bool = True


@record
class Restart(Effect):
    """End the process so that the service manager starts it again; `hard` also runs the configured reboot command."""

    hard: bool
    why: str


@record
class LearnTime(Effect):
    """The CSMS told its time in the answer being handled; the runtime knows when request and answer crossed."""

    utc: float


@record
class Note(Effect):
    """A line for the technician's journal. `level`: "debug", "info", "warning" or "error"."""

    level: str
    code: str
    text: str
    fields: tuple[tuple[str, str | int | float], ...] = ()
