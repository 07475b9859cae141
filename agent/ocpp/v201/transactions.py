"""OCPP 2.0.1: a transaction event as TransactionEvent. The event is a superset of the message, so this is a copy with
the few rules about what is told only once:

* `evse` with the event that begins the transaction, and again when an EV is plugged in after that (E01, E02).
* `idToken`, `reservationId` and `remoteStartId` with the event that brings them: the first one, or an authorization
  during the transaction (E03.FR.01, F01.FR.25); `idToken` also with an end by a token.
* The register at the start and at the end is told whatever measurands were chosen when it was recorded (another version
  may have been spoken then): a bill needs it.
* `stoppedReason` only at the end. Words that only 1.6 has are told by the nearest word of ours.
"""

from __future__ import annotations

from collections.abc import Mapping

from agent.core.events import Event, TransactionAnswered
from agent.core.types import Context, Reading, StopReason, TransactionEvent, Trigger, TxKind
from agent.ocpp.dialect import Message, Payload
from agent.ocpp.fields import stamp, without_empty
from agent.ocpp.v201.calls import token_info
from agent.ocpp.v201.values import meter_values, place_out, token_out
from drivers.api import Measurand, Sample

REASONS: Mapping[StopReason, str] = {
    **{reason: str(reason) for reason in StopReason},
    StopReason.HARD_RESET: "ImmediateReset",
    StopReason.SOFT_RESET: "ImmediateReset",
    StopReason.UNLOCK_COMMAND: "Other",
}
_AUTHORIZATIONS = (Trigger.AUTHORIZED, Trigger.REMOTE_START, Trigger.STOP_AUTHORIZED)
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
    if event.token is not None and (event.kind is TxKind.ENDED or _authorizes(event)):
        told["idToken"] = token_out(event.token)
    told |= without_empty(
        numberOfPhasesUsed=event.phases,
        cableMaxCurrent=event.cable_a,
        reservationId=event.reservation_id if _authorizes(event) else None,
        meterValue=meter_values(event.readings) or meter_values(_register(event)) or None,
    )
    return "TransactionEvent", told


def _register(event: TransactionEvent) -> tuple[Reading, ...]:
    if event.kind is TxKind.UPDATED:
        return ()
    context = Context.BEGIN if event.kind is TxKind.STARTED else Context.END
    energy = Sample(Measurand.ENERGY_ACTIVE_IMPORT_REGISTER, float(event.energy_wh))
    return (Reading(event.at, context, (energy,)),)


def _info(event: TransactionEvent) -> Payload:
    assert len(event.transaction) <= LONGEST_ID, event.transaction
    info: Payload = {"transactionId": event.transaction, "chargingState": str(event.charging_state)}
    if event.kind is TxKind.ENDED and event.stop_reason is not None:
        info["stoppedReason"] = REASONS[event.stop_reason]
    if event.remote_start_id is not None and _authorizes(event):
        info["remoteStartId"] = event.remote_start_id
    return info


def _authorizes(event: TransactionEvent) -> bool:
    return event.kind is TxKind.STARTED or (event.kind is TxKind.UPDATED and event.trigger in _AUTHORIZATIONS)


def answered(sent: TransactionEvent, answer: Payload) -> Event:
    return TransactionAnswered(sent, token_info(answer, (sent.evse,)))


ANSWERS = {"TransactionEvent": answered}
