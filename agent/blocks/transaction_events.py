"""The rows that a transaction leaves in the journal, and the lines in the technician's journal, built in one place."""

from __future__ import annotations

from agent.core.effects import Note
from agent.core.evse import Evse, Grant, Transaction
from agent.core.types import ChargingState, Instant, Reading, StopReason, TransactionEvent, Trigger, TxKind
from drivers.api import IdToken, shorten


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
        reservation_id=tx.reservation_id if kind is TxKind.STARTED else None,
        remote_start_id=tx.remote_start_id,
        cable_a=int(cable) if cable else None,
    )


def authorize(tx: Transaction, grant: Grant) -> None:
    tx.token, tx.group = grant.token, grant.info.group
    tx.remote_start_id, tx.reservation_id = grant.remote_start_id, grant.reservation_id


def note(code: str, evse: Evse, tx: Transaction, what: str, *fields: tuple[str, str | int | float]) -> Note:
    card = f" (card {shorten(tx.token.value)})" if tx.token else ""
    return Note(
        "info", code, f"EVSE {evse.id}: transaction {tx.id}{card} {what}", (("EVSE", evse.id), ("TX", tx.id), *fields)
    )
