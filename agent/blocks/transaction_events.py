"""The rows that a transaction leaves in the journal, and the lines in the technician's journal, built in one place."""

from __future__ import annotations

from collections.abc import Sequence

from agent.core.effects import Note
from agent.core.events import StopWanted
from agent.core.evse import Evse, Grant, MeterState, Transaction
from agent.core.record import replace
from agent.core.types import ChargingState, Instant, Reading, StopReason, TransactionEvent, Trigger, TxKind, TxPoint
from agent.core.variables import Variables
from drivers.api import IdToken, StopButton, shorten

BUTTONS = {
    StopButton.LOCAL: StopReason.LOCAL,
    StopButton.EMERGENCY: StopReason.EMERGENCY_STOP,
    StopButton.OTHER: StopReason.OTHER,
}

LEAP_S = 30.0  # less is what two clocks differ by as they run
AUTHORIZATIONS = (Trigger.AUTHORIZED, Trigger.REMOTE_START)  # what brings a token to a transaction


def points_of(evse: Evse) -> frozenset[TxPoint]:
    """Which of the points where transactions start and stop are true now."""
    truth = {
        TxPoint.EV_CONNECTED: evse.plugged,
        TxPoint.AUTHORIZED: evse.grant is not None,
        TxPoint.POWER_PATH_CLOSED: evse.plugged and evse.grant is not None,
        TxPoint.ENERGY_TRANSFER: evse.grant is not None and evse.energy_flows and evse.drawing,
    }
    return frozenset(point for point, true in truth.items() if true)


def start_points(evse: Evse, variables: Variables) -> tuple[str, ...]:
    """TxStartPoint; a meter that signs has to begin before energy flows."""
    points = variables.members("TxCtrlr.TxStartPoint")
    return (*points, TxPoint.POWER_PATH_CLOSED) if evse.signs and TxPoint.ENERGY_TRANSFER in points else points


def first_of(evse: Evse, trigger: Trigger) -> MeterState:
    """The reading that a transaction begins with. What flowed before the meter told of power belongs to it, too."""
    assert evse.meter is not None
    return evse.rest if trigger is Trigger.CHARGING_STATE_CHANGED and evse.rest is not None else evse.meter


def start_trigger(evse: Evse, grant: Grant | None, start_points: Sequence[str]) -> Trigger:
    """What came last and made the transaction start."""
    if grant is None:
        return Trigger.CABLE_PLUGGED_IN
    if TxPoint.ENERGY_TRANSFER in start_points and evse.energy_flows:
        return Trigger.CHARGING_STATE_CHANGED
    plugged_last = evse.plugged and evse.plugged_at > grant.at.mono
    return Trigger.CABLE_PLUGGED_IN if plugged_last else grant.trigger


def build(
    evse_id: int,
    tx: Transaction,
    at: Instant,
    kind: TxKind,
    trigger: Trigger,
    state: ChargingState,
    token: IdToken | None = None,
    readings: tuple[Reading, ...] = (),
    reason: StopReason | None = None,
    offline: bool = False,
    evse: Evse | None = None,
) -> TransactionEvent:
    at = by_its_clock(tx, at)
    readings = tuple(_by_its_clock(tx, reading) for reading in readings)
    seq, tx.next_seq = tx.next_seq, tx.next_seq + 1
    cable = evse.cable_a if evse is not None and kind is not TxKind.ENDED else None
    return TransactionEvent(
        transaction=tx.id,
        seq=seq,
        kind=kind,
        at=at,
        trigger=trigger,
        evse=evse_id,
        connector=1,
        started_wh=tx.started_wh,
        energy_wh=tx.last_wh,
        charging_state=state,
        started_at=tx.started_at,
        token=token,
        group=tx.group,
        readings=readings,
        stop_reason=reason,
        offline=offline,
        reservation_id=tx.reservation_id if kind is TxKind.STARTED or trigger in AUTHORIZATIONS else None,
        remote_start_id=tx.remote_start_id,
        phases=evse.phases_now if evse is not None and kind is not TxKind.ENDED else None,
        cable_a=int(cable) if cable else None,
    )


def by_its_clock(tx: Transaction, at: Instant) -> Instant:
    """This moment by the clock with which the transaction began. A clock that was known and is set to something else
    meanwhile must not make it end before its start, nor last longer than it did: what lies between is measured."""
    began = tx.started_at
    if at.boot != began.boot or at.quality is not began.quality:
        return at
    utc = began.utc + (at.mono - began.mono)
    return at if abs(at.utc - utc) < LEAP_S else replace(at, utc=utc)


def _by_its_clock(tx: Transaction, reading: Reading) -> Reading:
    at = by_its_clock(tx, reading.at)
    return reading if at is reading.at else replace(reading, at=at)


def count(tx: Transaction, meter: MeterState) -> None:
    tx.last_wh = max(tx.last_wh, round(meter.energy_wh))
    tx.last_read = tx.last_wh, meter.at


def is_over_limit(evse: Evse, tx: Transaction) -> bool:
    """The energy that a refused card may still take has been taken."""
    limit_wh, meter = tx.energy_limit_wh, evse.meter
    return limit_wh is not None and meter is not None and meter.energy_wh - tx.started_wh >= limit_wh


def restored_stop(evse: Evse, tx: Transaction, power_lost: bool) -> StopWanted:
    """Why a transaction from before the restart does not go on. One by a card that told nothing since its start has not
    seen a car yet: a car would have been told."""
    waited = tx.token is not None and tx.next_seq == 1
    reason = StopReason.REBOOT if evse.plugged or waited else StopReason.EV_DISCONNECTED
    if power_lost:
        reason = StopReason.POWER_LOSS
    left = reason is StopReason.EV_DISCONNECTED
    return StopWanted(evse.id, reason, Trigger.EV_COMMUNICATION_LOST if left else Trigger.ABNORMAL_CONDITION)


def authorize(tx: Transaction, grant: Grant) -> None:
    tx.token, tx.group = grant.token, grant.info.group
    tx.remote_start_id, tx.reservation_id = grant.remote_start_id, grant.reservation_id


def note(code: str, evse: Evse, tx: Transaction, what: str, *fields: tuple[str, str | int | float]) -> Note:
    card = f" (card {shorten(tx.token.value)})" if tx.token else ""
    return Note(
        "info", code, f"EVSE {evse.id}: transaction {tx.id}{card} {what}", (("EVSE", evse.id), ("TX", tx.id), *fields)
    )
