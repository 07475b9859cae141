"""The values that everybody speaks in: time, tokens, transactions, states. Frozen, compared by value, no behaviour
beyond simple questions.

Words are those of OCPP 2, widened where its predecessor knows more; each protocol version narrows them in its own
tables. The words of the hardware (Pilot, Measurand, Phase, Sample, IdToken, Fault) come from `drivers.api`.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum

from agent.core.record import record
from drivers.api import IdToken, Sample, SignedData


class ClockQuality(IntEnum):
    """How far `Instant.utc` can be trusted; a greater value is better."""

    UNKNOWN = 0  # nobody has told the time since this board was powered
    SYSTEM = 1  # the operating system claims a plausible time
    SYNCED = 2  # NTP or the CSMS has confirmed it


@record
class Instant:
    """A moment: `mono` in seconds of a clock that never jumps within a `boot`, and the best guess of UTC (epoch s)."""

    mono: float
    utc: float
    quality: ClockQuality = ClockQuality.SYNCED
    boot: str = ""  # changes with each power-up of the board, not with a restart of the agent


class Registration(StrEnum):
    """What the CSMS has said to our BootNotification. NONE: nothing yet since this process began."""

    NONE = "None"
    ACCEPTED = "Accepted"
    PENDING = "Pending"
    REJECTED = "Rejected"


class TokenStatus(StrEnum):
    """OCPP 2 AuthorizationStatusEnumType; the first five are known to every version."""

    ACCEPTED = "Accepted"
    BLOCKED = "Blocked"
    EXPIRED = "Expired"
    INVALID = "Invalid"
    CONCURRENT_TX = "ConcurrentTx"
    NO_CREDIT = "NoCredit"
    NOT_ALLOWED_TYPE_EVSE = "NotAllowedTypeEVSE"
    NOT_AT_THIS_LOCATION = "NotAtThisLocation"
    NOT_AT_THIS_TIME = "NotAtThisTime"
    UNKNOWN = "Unknown"


@record
class TokenInfo:
    """What the CSMS, the local list or the cache says of a token. `expires` is UTC epoch seconds, None = never."""

    status: TokenStatus
    group: IdToken | None = None
    expires: float | None = None

    def accepted(self, utc: float) -> bool:
        return self.status is TokenStatus.ACCEPTED and (self.expires is None or utc < self.expires)


@record
class ListEntry:
    """One token of a local authorization list; `info` None takes it out of the list (differential updates only)."""

    token: IdToken
    info: TokenInfo | None


@record
class CertificateHash:
    """Names a certificate without showing it (OCPP CertificateHashData): hex digests by `algorithm` of the issuer's
    distinguished name and of its public key, and the serial number in hex without leading zeros."""

    algorithm: str
    issuer_name: str
    issuer_key: str
    serial: str


class ChargingState(StrEnum):
    """OCPP 2 ChargingStateEnumType; derived, see `agent.core.evse`."""

    IDLE = "Idle"
    EV_CONNECTED = "EVConnected"
    CHARGING = "Charging"
    SUSPENDED_EV = "SuspendedEV"
    SUSPENDED_EVSE = "SuspendedEVSE"


class ConnectorStatus(StrEnum):
    """The finer of the two status words of OCPP; version 2 folds Preparing to Finishing into Occupied."""

    AVAILABLE = "Available"
    PREPARING = "Preparing"
    CHARGING = "Charging"
    SUSPENDED_EVSE = "SuspendedEVSE"
    SUSPENDED_EV = "SuspendedEV"
    FINISHING = "Finishing"
    RESERVED = "Reserved"
    UNAVAILABLE = "Unavailable"
    FAULTED = "Faulted"


class TxKind(StrEnum):
    STARTED = "Started"
    UPDATED = "Updated"
    ENDED = "Ended"


class TxPoint(StrEnum):
    """When a transaction starts and stops: OCPP 2 TxStartPoint and TxStopPoint."""

    EV_CONNECTED = "EVConnected"
    AUTHORIZED = "Authorized"
    POWER_PATH_CLOSED = "PowerPathClosed"
    ENERGY_TRANSFER = "EnergyTransfer"


class Trigger(StrEnum):
    """Why a transaction event is told: OCPP 2 TriggerReasonEnumType."""

    AUTHORIZED = "Authorized"
    CABLE_PLUGGED_IN = "CablePluggedIn"
    CHARGING_RATE_CHANGED = "ChargingRateChanged"
    CHARGING_STATE_CHANGED = "ChargingStateChanged"
    DEAUTHORIZED = "Deauthorized"
    ENERGY_LIMIT_REACHED = "EnergyLimitReached"
    EV_COMMUNICATION_LOST = "EVCommunicationLost"
    EV_CONNECT_TIMEOUT = "EVConnectTimeout"
    METER_VALUE_CLOCK = "MeterValueClock"
    METER_VALUE_PERIODIC = "MeterValuePeriodic"
    TIME_LIMIT_REACHED = "TimeLimitReached"
    TRIGGER = "Trigger"
    UNLOCK_COMMAND = "UnlockCommand"
    STOP_AUTHORIZED = "StopAuthorized"
    EV_DEPARTED = "EVDeparted"
    EV_DETECTED = "EVDetected"
    REMOTE_STOP = "RemoteStop"
    REMOTE_START = "RemoteStart"
    ABNORMAL_CONDITION = "AbnormalCondition"
    SIGNED_DATA_RECEIVED = "SignedDataReceived"
    RESET_COMMAND = "ResetCommand"


class StopReason(StrEnum):
    """Why a transaction ended: OCPP 2 ReasonEnumType and the three that only its predecessor has."""

    DE_AUTHORIZED = "DeAuthorized"
    EMERGENCY_STOP = "EmergencyStop"
    ENERGY_LIMIT_REACHED = "EnergyLimitReached"
    EV_DISCONNECTED = "EVDisconnected"
    GROUND_FAULT = "GroundFault"
    IMMEDIATE_RESET = "ImmediateReset"
    LOCAL = "Local"
    MASTER_PASS = "MasterPass"  # noqa: S105  OCPP's word for a kind of card
    OTHER = "Other"
    OVERCURRENT_FAULT = "OvercurrentFault"
    POWER_LOSS = "PowerLoss"
    POWER_QUALITY = "PowerQuality"
    REBOOT = "Reboot"
    REMOTE = "Remote"
    STOPPED_BY_EV = "StoppedByEV"
    TIMEOUT = "Timeout"
    HARD_RESET = "HardReset"
    SOFT_RESET = "SoftReset"
    UNLOCK_COMMAND = "UnlockCommand"


class Context(StrEnum):
    """Why a meter was read: ReadingContext of both versions."""

    PERIODIC = "Sample.Periodic"
    CLOCK = "Sample.Clock"
    BEGIN = "Transaction.Begin"
    END = "Transaction.End"
    TRIGGER = "Trigger"
    INTERRUPTION_BEGIN = "Interruption.Begin"
    INTERRUPTION_END = "Interruption.End"
    OTHER = "Other"


@record
class Reading:
    """What a meter said at one moment. `at` is when it was read, never when it is sent. `signed`: the same by its own
    signature; then its register is among the samples."""

    at: Instant
    context: Context
    samples: tuple[Sample, ...]
    signed: SignedData | None = None


class SignedState(StrEnum):
    """How a transaction stands with the meter's signed session. LOST: it goes, or ends, without."""

    NONE = ""
    ASKED = "asked"
    OPEN = "open"
    ENDING = "ending"
    DONE = "done"
    LOST = "lost"


@record
class TransactionEvent:
    """One row of the journal: everything that either protocol version will ever need to tell it; nothing is
    recomputed when it is sent. `energy_wh` and `started_wh` are the meter's lifetime import register."""

    transaction: str  # our own id, unique for ever
    seq: int  # from 0, without gaps within the transaction
    kind: TxKind
    at: Instant
    trigger: Trigger
    evse: int
    connector: int
    started_wh: int
    energy_wh: int
    charging_state: ChargingState
    started_at: Instant | None = None
    token: IdToken | None = None  # who started; on Ended: who stopped, if a token did
    group: IdToken | None = None
    readings: tuple[Reading, ...] = ()
    stop_reason: StopReason | None = None
    offline: bool = False
    reservation_id: int | None = None
    remote_start_id: int | None = None
    phases: int | None = None
    cable_a: int | None = None

    @property
    def message_id(self) -> str:
        """The same at every try, also after a restart, so that a CSMS can tell a repeat from a second event."""
        return f"{self.transaction}-{self.seq}"


class ResetKind(StrEnum):
    """How a reset is asked for: at once, or when no transaction is active (OnIdle); HARD may reboot the board."""

    SOFT = "Soft"  # end transactions, then restart
    HARD = "Hard"  # restart now
    IMMEDIATE = "Immediate"
    ON_IDLE = "OnIdle"


class Mutability(StrEnum):
    READ_ONLY = "ReadOnly"
    WRITE_ONLY = "WriteOnly"
    READ_WRITE = "ReadWrite"


@record
class VariableId:
    """Names one variable of the device model; component and variable compare without regard to case in OCPP."""

    component: str
    variable: str
    instance: str = ""
    evse: int = 0
    connector: int = 0

    def __str__(self) -> str:
        where = f"@{self.evse}" + (f"/{self.connector}" if self.connector else "") if self.evse else ""
        return f"{self.component}{where}.{self.variable}" + (f"[{self.instance}]" if self.instance else "")


class SetStatus(StrEnum):
    ACCEPTED = "Accepted"
    REJECTED = "Rejected"
    UNKNOWN_COMPONENT = "UnknownComponent"
    UNKNOWN_VARIABLE = "UnknownVariable"
    NOT_SUPPORTED = "NotSupportedAttributeType"
    REBOOT_REQUIRED = "RebootRequired"


@record
class VariableView:
    """One variable as it is told to the CSMS or to a technician. `value` is None when unknown or write-only."""

    id: VariableId
    status: SetStatus
    value: str | None = None
    mutability: Mutability = Mutability.READ_ONLY
    data_type: str = "string"
    unit: str = ""
    values: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    persistent: bool = True
