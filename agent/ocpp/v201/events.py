"""OCPP 2.0.1: faults as events of the device model (NotifyEvent, N07). `techCode` is the minimum required error code
where there is one (so that every CSMS knows it), else the id of our own catalogue."""

from __future__ import annotations

from collections.abc import Mapping

from agent.core.effects import Call
from agent.core.faults import CATALOGUE
from agent.core.supervision import Problem
from agent.ocpp.dialect import DecodeAnswer, Encode, Message, Payload, Station
from agent.ocpp.fields import stamp, without_empty
from agent.ocpp.v201.calls import done


def notify_event(call: Problem, _station: Station) -> Message:
    row = CATALOGUE[call.fault]
    component, variable = row.tells
    what = row.text if call.present else row.cleared or f"no longer: {row.text}"
    event: Payload = {
        "eventId": call.number,
        "timestamp": stamp(call.at),
        "trigger": "Alerting",
        "actualValue": "true" if call.present or call.others else "false",
        "cleared": not call.present,
        "techCode": (row.mrec or str(row.id))[:50],
        "techInfo": f"{row.id}: {what}" + (f": {call.info}" if call.info and call.present else ""),
        "eventNotificationType": "HardWiredNotification",
        "component": {"name": component} | _where(call, component),
        "variable": {"name": variable},
    } | without_empty(transactionId=call.transaction)
    event["techInfo"] = event["techInfo"][:500]
    return "NotifyEvent", {"generatedAt": stamp(call.at), "seqNo": 0, "tbc": False, "eventData": [event]}


def _where(call: Problem, component: str) -> Payload:
    if not call.evse:
        return {}
    return {"evse": {"id": call.evse} | ({"connectorId": 1} if component == "Connector" else {})}


CALLS: Mapping[type[Call], Encode] = {Problem: notify_event}
ANSWERS: Mapping[str, DecodeAnswer] = {"NotifyEvent": done}
