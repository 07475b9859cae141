"""OCPP 1.6-J: a transaction event as StartTransaction, MeterValues or StopTransaction.

All that a bill depends on is in the event: the time when it happened (never when it is sent) and the lifetime register
of the meter (errata 3.9). The CSMS names the transaction in its answer to StartTransaction; `csms_id` is that name.
Errata 3.18: -1 stands for a transaction whose StartTransaction could not be delivered; who gave up on it passes "-1".
"""

from __future__ import annotations

from collections.abc import Mapping

from agent.core.effects import Call
from agent.core.events import CallDone, Event, TransactionAnswered
from agent.core.types import StopReason, TransactionEvent, TxKind
from agent.ocpp.dialect import Message, Payload
from agent.ocpp.fields import hope, integer, stamp, without_empty
from agent.ocpp.v16.calls import token_info
from agent.ocpp.v16.values import meter_values, token_text

REASONS: Mapping[StopReason, str] = {
    StopReason.DE_AUTHORIZED: "DeAuthorized",
    StopReason.EMERGENCY_STOP: "EmergencyStop",
    StopReason.ENERGY_LIMIT_REACHED: "Other",
    StopReason.EV_DISCONNECTED: "EVDisconnected",
    StopReason.GROUND_FAULT: "Other",
    StopReason.IMMEDIATE_RESET: "HardReset",
    StopReason.LOCAL: "Local",
    StopReason.MASTER_PASS: "Local",
    StopReason.OTHER: "Other",
    StopReason.OVERCURRENT_FAULT: "Other",
    StopReason.POWER_LOSS: "PowerLoss",
    StopReason.POWER_QUALITY: "Other",
    StopReason.REBOOT: "Reboot",
    StopReason.REMOTE: "Remote",
    StopReason.STOPPED_BY_EV: "Other",
    StopReason.TIMEOUT: "Other",
    StopReason.HARD_RESET: "HardReset",
    StopReason.SOFT_RESET: "SoftReset",
    StopReason.UNLOCK_COMMAND: "UnlockCommand",
}
UNNAMED = "0"  # the answer named no transaction; servers that leave zeros out mean 0


def tell(event: TransactionEvent, csms_id: str | None) -> Message | None:
    if event.kind is TxKind.STARTED:
        return _started(event)
    if event.kind is TxKind.UPDATED and not event.readings:
        return None  # a change of state is told by StatusNotification
    assert csms_id is not None, f"{event.message_id}: sent before its StartTransaction was answered"
    return _updated(event, int(csms_id)) if event.kind is TxKind.UPDATED else _ended(event, int(csms_id))


def _started(event: TransactionEvent) -> Message:
    return "StartTransaction", {
        "connectorId": event.evse,
        "idTag": token_text(event.token),
        "meterStart": event.started_wh,
        "timestamp": stamp(event.at),
    } | without_empty(reservationId=event.reservation_id)


def _updated(event: TransactionEvent, csms_id: int) -> Message | None:
    values = meter_values(event.readings)
    if not values:
        return None
    return "MeterValues", {"connectorId": event.evse, "transactionId": csms_id, "meterValue": values}


def _ended(event: TransactionEvent, csms_id: int) -> Message:
    told: Payload = {"transactionId": csms_id, "meterStop": event.energy_wh, "timestamp": stamp(event.at)}
    if event.token is not None and event.token.value.strip():
        told["idTag"] = token_text(event.token)
    if event.stop_reason is not None:
        told["reason"] = REASONS[event.stop_reason]
    values = meter_values(event.readings)
    if values:
        told["transactionData"] = values
    return "StopTransaction", told


# --- answers in ---


def started(sent: TransactionEvent, answer: Payload) -> Event:
    """0, and an id that was used before, are ids like any other."""
    csms_id = hope(answer, "transactionId", integer)
    return TransactionAnswered(sent, token_info(answer), UNNAMED if csms_id is None else str(csms_id))


def metered(sent: TransactionEvent | Call, _answer: Payload) -> Event:
    """MeterValues go out for transaction events and for reports."""
    return TransactionAnswered(sent) if isinstance(sent, TransactionEvent) else CallDone(sent)


def stopped(sent: TransactionEvent, answer: Payload) -> Event:
    return TransactionAnswered(sent, token_info(answer))


ANSWERS = {"StartTransaction": started, "MeterValues": metered, "StopTransaction": stopped}
