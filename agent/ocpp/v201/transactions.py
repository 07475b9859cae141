"""OCPP 2.0.1: a transaction event as TransactionEvent. The event is a superset of the message, so this is a copy with
the few rules about what is told only once:

* `evse` with the event that begins the transaction, and again when an EV is plugged in after that (E01, E02).
* `idToken`, `reservationId` and `remoteStartId` with the event that brings them: the first one, an authorization during
  the transaction, and an end by a token (E03.FR.01, F01.FR.25, H01).
* `stoppedReason` only at the end. Words that only 1.6 has are told by the nearest word of ours.
"""

from __future__ import annotations

from collections.abc import Mapping

from agent.core.events import Event, TransactionAnswered
from agent.core.types import StopReason, TransactionEvent, Trigger, TxKind
from agent.ocpp.dialect import Message, Payload
from agent.ocpp.fields import stamp
from agent.ocpp.v201.calls import token_info
from agent.ocpp.v201.values import meter_values, place_out, token_out

REASONS: Mapping[StopReason, str] = {
    **{reason: str(reason) for reason in StopReason},
    StopReason.HARD_RESET: "ImmediateReset",
    StopReason.SOFT_RESET: "ImmediateReset",
    StopReason.UNLOCK_COMMAND: "Other",
}
_BRINGS_TOKEN = (Trigger.AUTHORIZED, Trigger.REMOTE_START, Trigger.STOP_AUTHORIZED)
LONGEST_ID = 36


def tell(event: TransactionEvent, _csms_id: str | None) -> Message:
    """The CSMS calls the transaction as we do."""
    told: Payload = {
        "eventType": str(event.kind),
        "timestamp": stamp(event.at),
        "triggerReason": str(event.trigger),
        "seqNo": event.seq,
        "transactionInfo": _info(event),
    }
    if event.offline:
        told["offline"] = True
    if event.kind is TxKind.STARTED or event.trigger is Trigger.CABLE_PLUGGED_IN:
        told["evse"] = place_out(event.evse, event.connector)
    told |= _electric(event)
    if _brings_token(event):
        told |= _who(event)
    values = meter_values(event.readings)
    if values:
        told["meterValue"] = values
    return "TransactionEvent", told


def _info(event: TransactionEvent) -> Payload:
    assert len(event.transaction) <= LONGEST_ID, event.transaction
    info: Payload = {"transactionId": event.transaction, "chargingState": str(event.charging_state)}
    if event.kind is TxKind.ENDED and event.stop_reason is not None:
        info["stoppedReason"] = REASONS[event.stop_reason]
    if event.remote_start_id is not None and _brings_token(event):
        info["remoteStartId"] = event.remote_start_id
    return info


def _electric(event: TransactionEvent) -> Payload:
    told: Payload = {}
    if event.phases is not None:
        told["numberOfPhasesUsed"] = event.phases
    if event.cable_a is not None:
        told["cableMaxCurrent"] = event.cable_a
    return told


def _brings_token(event: TransactionEvent) -> bool:
    return event.kind is not TxKind.UPDATED or event.trigger in _BRINGS_TOKEN


def _who(event: TransactionEvent) -> Payload:
    told: Payload = {}
    if event.token is not None:
        told["idToken"] = token_out(event.token)
    if event.reservation_id is not None:
        told["reservationId"] = event.reservation_id
    return told


def answered(sent: TransactionEvent, answer: Payload) -> Event:
    return TransactionAnswered(sent, token_info(answer, (sent.evse,)))


ANSWERS = {"TransactionEvent": answered}
