"""The facts of one EVSE. What OCPP calls its status and its charging state are *functions* of these, never stored.

Each fact has one writer: `pilot` to `faults` the connection block, `meter` to `drawing` metering, `grant`
authorization, `tx` and `finished` transactions, `reserved` reservation, `operative` availability, `limit_a` profiles,
`phases_wanted` (None: all) profiles, `phases_now` (None: not switchable, or not told yet) and `switching` (why no power
may be offered meanwhile) phases, `offer_a`, `explanation` and `in_line` (since when it stands in line for a shared
supply, monotonic) power. All may read.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from agent.core.derating import Curve
from agent.core.faults import CATALOGUE
from agent.core.phases import Switching, WakeUp
from agent.core.record import record
from agent.core.types import (
    ChargingState,
    ConnectorStatus,
    Instant,
    Reading,
    SignedState,
    StopReason,
    TokenInfo,
    Trigger,
)
from drivers.api import IdToken, Pilot, Sample, SignedData

MINIMUM_A = 6.0  # IEC 61851-1: the least current that the pilot can offer; less means a pause
CONNECTED = (Pilot.B, Pilot.C, Pilot.D)
REQUESTING = (Pilot.C, Pilot.D)


@record
class EvseLimits:
    """What the manufacturer says of one EVSE."""

    id: int
    max_a: float = 32.0
    phases: int = 3
    attached_cable: bool = False
    ventilation: bool = False
    unlocks: bool = False
    signing: str = "off"  # "off", "if-possible" or "required": whether its meter is to sign transactions
    signs: bool = False  # the meter's driver can
    derating: Curve | None = None
    phase_rotation: str = "Unknown"  # OCPP's word for how its phases are wired to the supply's
    switching: Switching | None = None  # it may be fed by one phase instead of three
    wake_up: WakeUp | None = None
    in_watts: bool = False  # its controller is ordered a power, which the phases that the car uses share
    opens_s: float = 6.0  # its contactor opens so long after the offer has ended, though the car has not let go
    closes_s: float = 3.0  # it closes so long after a car that is offered power has asked for it
    measures: tuple[str, ...] | None = None  # the measurands that its meter tells; None: nobody knows beforehand


@record
class Grant:
    """Somebody may charge here."""

    token: IdToken
    info: TokenInfo
    trigger: Trigger
    at: Instant
    remote_start_id: int | None = None
    reservation_id: int | None = None


@record
class MeterState:
    """The last plausible reading of the meter."""

    at: Instant
    energy_wh: float
    samples: tuple[Sample, ...]


@record
class Stop:
    """Why and by whom a transaction is being ended."""

    reason: StopReason
    trigger: Trigger
    token: IdToken | None = None


@dataclass(slots=True)
class Transaction:
    """A transaction that has begun and not yet ended. `withheld`: it is open, yet may not take energy (any more)."""

    id: str
    started_at: Instant
    started_wh: int
    next_seq: int = 0
    token: IdToken | None = None
    group: IdToken | None = None
    csms_id: str | None = None
    remote_start_id: int | None = None
    reservation_id: int | None = None
    begin: Reading | None = None
    told_state: ChargingState | None = None
    stop: Stop | None = None
    stop_mono: float = 0.0
    last_wh: int = 0
    last_read: tuple[int, Instant] | None = None  # a register, and when it said so: what has flowed since is bounded
    leaving: Stop | None = None  # the authorization has ended, but only the cable's going ends the transaction
    withheld: bool = False
    energy_limit_wh: int | None = None
    kept: list[tuple[int, Reading]] = field(default_factory=list)  # readings for the end, numbered
    kept_count: int = 0
    restored: bool = False  # from before the restart, and not yet decided on
    reached_transfer: bool = False
    signed_state: SignedState = SignedState.NONE
    signed_begin: SignedData | None = None
    signed_end: SignedData | None = None
    signature_due: bool = False  # all else of its end is done
    key_told: bool = False


@dataclass(slots=True)
class Evse:
    """One EVSE with one connector."""

    limits: EvseLimits
    pilot: Pilot | None = None  # None: not read yet in this process
    plugged: bool = False
    plugged_at: float = 0.0
    contactor: bool | None = None
    open_since: float | None = None  # monotonic; None while energy may flow
    cable_a: float | None = None
    locked: bool | None = None
    faults: dict[str, str] = field(default_factory=dict)
    meter: MeterState | None = None
    rest: MeterState | None = None  # the newest reading before energy began to flow
    drawing: bool = False
    grant: Grant | None = None
    tx: Transaction | None = None
    finished: bool = False  # a transaction has ended and its EV is still here
    reserved: bool = False  # kept for somebody who has not come yet
    operative: bool = True
    limit_a: float | None = None
    limit_why: str = ""
    phases_wanted: int | None = None
    phases_now: int | None = None
    switching: str = ""
    in_line: float | None = None
    offer_a: float = 0.0
    explanation: str = ""

    @property
    def id(self) -> int:
        return self.limits.id

    @property
    def seen(self) -> bool:
        """The hardware has been read since this process began."""
        return self.pilot is not None

    @property
    def phases(self) -> int:
        """By how many the outlet is fed; as long as nobody tells, by as many as there can be."""
        return self.phases_now or self.limits.phases

    @property
    def cable_present(self) -> bool:
        """A cable sits in the socket (an attached cable is no news)."""
        return not self.limits.attached_cable and bool(self.cable_a)

    @property
    def stopped_by_fault(self) -> bool:
        return any(CATALOGUE[fault].stops for fault in self.faults)

    @property
    def signs(self) -> bool:
        """The meter is to sign each transaction, and can."""
        return self.limits.signs and self.limits.signing != "off"

    @property
    def unsigned(self) -> bool:
        """The meter has not opened its signed session yet, so no energy may flow."""
        tx = self.tx
        return self.signs and tx is not None and tx.signed_state in (SignedState.NONE, SignedState.ASKED)

    @property
    def energy_flows(self) -> bool:
        """Power is offered and the EV takes it."""
        if self.pilot not in REQUESTING or self.offer_a <= 0:
            return False
        return self.contactor is not False

    @property
    def free(self) -> bool:
        """A new authorization could be used here."""
        unused = self.grant is None and (self.tx is None or (self.tx.token is None and self.tx.stop is None))
        return unused and self.operative and not self.stopped_by_fault

    @property
    def clearing(self) -> bool:
        """Its EV has gone and its transaction is ending: soon it will be free."""
        tx = self.tx
        left = self.seen and tx is not None and tx.stop is not None and not self.plugged and self.grant is None
        return left and self.operative and not self.stopped_by_fault


def charging_state(evse: Evse) -> ChargingState:
    """OCPP 2 chargingState of the transaction on this EVSE."""
    if not evse.plugged:
        return ChargingState.IDLE
    if evse.grant is None or (evse.tx is not None and evse.tx.stop is not None):
        return ChargingState.EV_CONNECTED
    if evse.offer_a <= 0:
        return ChargingState.SUSPENDED_EVSE
    return ChargingState.CHARGING if evse.energy_flows and evse.drawing else ChargingState.SUSPENDED_EV


def connector_status(evse: Evse) -> ConnectorStatus:
    """Status of the connector, in the finer words; OCPP's own order of precedence."""
    if evse.stopped_by_fault:
        return ConnectorStatus.FAULTED
    if not evse.operative:
        return ConnectorStatus.UNAVAILABLE
    if evse.tx is not None and evse.tx.token is not None:
        if evse.tx.stop is not None:
            return ConnectorStatus.FINISHING
        return _RUNNING[charging_state(evse)]
    if evse.finished and evse.grant is None and (evse.plugged or evse.cable_present):
        return ConnectorStatus.FINISHING
    if evse.reserved and evse.grant is None and evse.tx is None:
        return ConnectorStatus.RESERVED  # until its bearer has come: a stranger's car does not change that
    if evse.plugged or evse.cable_present or evse.grant is not None:
        return ConnectorStatus.PREPARING
    return ConnectorStatus.AVAILABLE


_RUNNING = {
    ChargingState.IDLE: ConnectorStatus.SUSPENDED_EV,
    ChargingState.EV_CONNECTED: ConnectorStatus.SUSPENDED_EVSE,
    ChargingState.SUSPENDED_EV: ConnectorStatus.SUSPENDED_EV,
    ChargingState.SUSPENDED_EVSE: ConnectorStatus.SUSPENDED_EVSE,
    ChargingState.CHARGING: ConnectorStatus.CHARGING,
}
