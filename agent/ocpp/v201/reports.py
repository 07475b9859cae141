"""OCPP 2.0.1: the device model as it is reported (NotifyReport, B07 and B08)."""

from __future__ import annotations

from agent.core.effects import ReportPart
from agent.core.types import Mutability, VariableView
from agent.ocpp.dialect import Message, Payload, Station
from agent.ocpp.fields import stamp, tidy, without_empty
from agent.ocpp.v201.values import variable_out

LONGEST_VALUE = 2500
LONGEST_CHOICE = 1000
LONGEST_UNIT = 16


def report_part(call: ReportPart, _station: Station) -> Message:
    told: Payload = {
        "requestId": call.request_id,
        "generatedAt": stamp(call.at),
        "seqNo": call.seq,
        "tbc": not call.last,
    }
    if call.views:
        told["reportData"] = [_data(view) for view in call.views]
    return "NotifyReport", told


def _data(view: VariableView) -> Payload:
    return variable_out(view.id) | {"variableAttribute": [_attribute(view)], "variableCharacteristics": _limits(view)}


def _attribute(view: VariableView) -> Payload:
    """The actual value; a value that may only be written is not told."""
    attribute: Payload = {
        "type": "Actual",
        "mutability": str(view.mutability),
        "persistent": view.persistent,
        "constant": False,
    }
    if view.value is not None and view.mutability is not Mutability.WRITE_ONLY:
        attribute["value"] = view.value[:LONGEST_VALUE]
    return attribute


def _limits(view: VariableView) -> Payload:
    choice = ",".join(view.values)
    return {"dataType": view.data_type, "supportsMonitoring": False} | without_empty(
        unit=view.unit[:LONGEST_UNIT],
        minLimit=None if view.minimum is None else tidy(view.minimum),
        maxLimit=None if view.maximum is None else tidy(view.maximum),
        valuesList=choice if len(choice) <= LONGEST_CHOICE else None,
    )
