"""OCPP 2.0.1: tokens, places, variables and meter values as they stand in a message."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from agent.core.types import Reading, VariableId
from agent.ocpp import metervalues
from agent.ocpp.dialect import Payload
from agent.ocpp.fields import branch, natural, need, one_of, same, text, tidy, want
from drivers.api import UNIT, IdToken, Measurand, Sample, SignedData

LONGEST_TOKEN = 36
LONGEST_SIGNED = 2500
# IdTokenEnumType, in the only spelling that is right
TOKEN_KINDS = same(("Central", "eMAID", "ISO14443", "ISO15693", "KeyCode", "Local", "MacAddress", "NoAuthorization"))
_NO_MEASURAND = frozenset((Measurand.RPM, Measurand.TEMPERATURE))
_UNITS: Mapping[Measurand, dict[str, str]] = {measurand: {"unit": unit} for measurand, unit in UNIT.items() if unit}


def token_out(token: IdToken) -> Payload:
    return {"idToken": token.value[:LONGEST_TOKEN], "type": TOKEN_KINDS.get(token.kind, "Local")}


def token_in(value: object) -> IdToken:
    token = branch(value)
    return IdToken(need(token, "idToken", text), need(token, "type", one_of(TOKEN_KINDS)))


def place_in(value: object) -> tuple[int, int]:
    """An EVSEType as (EVSE, connector); connector 0: none is named."""
    place = branch(value)
    return need(place, "id", natural), want(place, "connectorId", natural) or 0


def place_out(evse: int, connector: int) -> Payload:
    return {"id": evse, "connectorId": connector} if connector else {"id": evse}


def variable_in(data: Payload) -> VariableId:
    """`component` and `variable` of one element. An instance of a component is part of its name here."""
    component, variable = need(data, "component", branch), need(data, "variable", branch)
    evse, connector = want(component, "evse", place_in) or (0, 0)
    name, instance = need(component, "name", text), want(component, "instance", text)
    return VariableId(
        f"{name}[{instance}]" if instance else name,
        need(variable, "name", text),
        want(variable, "instance", text) or "",
        evse,
        connector,
    )


def variable_out(variable: VariableId) -> Payload:
    name, bracket, instance = variable.component.partition("[")
    component: Payload = {"name": name} | ({"instance": instance.rstrip("]")} if bracket else {})
    if variable.evse:
        component["evse"] = place_out(variable.evse, variable.connector)
    named: Payload = {"name": variable.variable}
    if variable.instance:
        named["instance"] = variable.instance
    return {"component": component, "variable": named}


def meter_values(readings: Iterable[Reading]) -> list[dict[str, Any]]:
    return metervalues.meter_values(readings, _NO_MEASURAND, _write, _sign)


def _sign(values: list[dict[str, Any]], place: int, signed: SignedData) -> None:
    """In the value; what the message has no room for is not cut, since it would prove nothing."""
    told = metervalues.encoded(signed)
    if max(len(told["signedMeterData"]), len(told["publicKey"])) <= LONGEST_SIGNED:
        values[place]["signedMeterValue"] = told


def _write(sample: Sample) -> dict[str, Any]:
    value: dict[str, Any] = {"value": tidy(sample.value)}
    unit = _UNITS.get(sample.measurand)
    if unit is not None:
        value["unitOfMeasure"] = unit
    return value
