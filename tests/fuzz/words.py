"""Hypothesis strategies over the schemas: payloads that are right in form and aim at something in their content.

`TX` in a text stands for the name of the transaction that runs on EVSE 1, put in when the message is sent.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from hypothesis import strategies as st

from agent.core.catalogue import rows
from agent.ocpp.v16.keys import KEYS
from drivers.api import Measurand
from tests.fuzz.shapes import Schema, schema

TX = "$TX"
_ROWS = list(rows([1, 2]))
_TIMES = (
    "2026-11-21T11:59:00Z", "2026-11-21T12:30:00Z", "2026-11-21T12:30:00+02:00", "2027-01-01T00:00:00Z",
    "1970-01-01T00:00:00Z", "9999-12-31T23:59:59Z",
)  # fmt: skip
_VALUES = (
    "", "true", "false", "0", "1", "10", "300", "-1", "86400", "999999999999", "1.5", "x", "A", "Voltage",
    "EVConnected", "Authorized", "ParkingBayOccupancy,EnergyTransfer", "Energy.Active.Import.Register,Voltage.L1",
    "1.RST,2.SRT", "NTP", "00112233445566778899AABBCCDDEEFF", "ws://127.0.0.1:1/x", "2", "3", "1,2", "é" * 40,
)  # fmt: skip
_TEXTS: dict[str, st.SearchStrategy[str]] = {
    "idTag": st.sampled_from(["FUZZ", "0102030405", "0102030405 ", "GROUP", "Ä"]),
    "idToken": st.sampled_from(["FUZZ", "0102030405", "GROUP", ""]),
    "transactionId": st.sampled_from([TX, TX, "1", "x"]),
    "key": st.sampled_from([*KEYS, "NoSuchKey"]).map(lambda key: KEYS[key].name if key in KEYS else key),
    "value": st.sampled_from(_VALUES),
    "attributeValue": st.sampled_from(_VALUES),
    "location": st.sampled_from(["http://127.0.0.1:9/a", "ftp://x/y", "nonsense", "", "file:///etc/passwd"]),
    "requestedMessage": st.sampled_from(["Heartbeat"]),
}
_NUMBERS: dict[str, st.SearchStrategy[int]] = {
    "connectorId": st.sampled_from([0, 1, 1, 2, 3, -1]),
    "evseId": st.sampled_from([0, 1, 1, 2, 3]),
    "transactionId": st.sampled_from([1, 1, 2, 0, -1]),
    "stackLevel": st.integers(0, 11),
    "numberPhases": st.integers(0, 4),
    "startPeriod": st.sampled_from([0, 0, 60, 3600, 2**31 - 1]),
    "duration": st.sampled_from([0, 1, 600, 86400, 2**31 - 1]),
    "listVersion": st.integers(-1, 5),
    "versionNumber": st.integers(0, 5),
    "reservationId": st.integers(0, 3),
    "requestId": st.integers(0, 3),
    "retries": st.integers(0, 5),
    "retryInterval": st.sampled_from([0, 1, 60, 2**31 - 1]),
}
_PLACES = st.sampled_from(_ROWS)


@cache
def payloads(version: str, action: str) -> st.SearchStrategy[Any]:
    return _of(schema(version, action), "", action)


def _of(node: Schema, name: str, action: str) -> st.SearchStrategy[Any]:
    if "enum" in node:
        return st.sampled_from(node["enum"])
    kind = node.get("type")
    if kind == "object":
        return _object(node, name, action)
    if kind == "array":
        most = min(node.get("maxItems", 3), 3)
        return st.lists(_of(node["items"], name, action), min_size=min(node.get("minItems", 0), most), max_size=most)
    if kind == "string":
        return _text(node, name)
    if kind == "boolean":
        return st.booleans()
    if kind == "integer":
        return _NUMBERS.get(name, st.integers(0, 5) | st.integers(-(2**63), 2**63 - 1)).filter(_within(node))
    if kind == "number":
        return (st.sampled_from([0.0, 5.9, 6.0, 10.0, 16.0, 32.0, 7400.0, 1e300, -1.0]) | st.floats(0, 50)).filter(
            _within(node)
        )
    return st.none() | st.text(max_size=5) | st.lists(st.integers(), max_size=2)


def _object(node: Schema, name: str, action: str) -> st.SearchStrategy[Any]:
    if name == "component":
        return _PLACES.map(lambda row: {"name": row.id.component} | _place(row.id.evse, row.id.connector))
    if name == "variable":
        return _PLACES.map(lambda row: {"name": row.id.variable})
    required = node.get("required", ())
    members = {key: _of(inner, key, action) for key, inner in node.get("properties", {}).items() if key != "customData"}
    return st.fixed_dictionaries(
        {key: member for key, member in members.items() if key in required},
        optional={key: member for key, member in members.items() if key not in required},
    )


def _place(evse: int, connector: int) -> dict[str, Any]:
    if not evse:
        return {}
    return {"evse": {"id": evse} | ({"connectorId": connector} if connector else {})}


def _text(node: Schema, name: str) -> st.SearchStrategy[str]:
    longest = node.get("maxLength", 200)
    if node.get("format") == "date-time":
        return st.sampled_from(_TIMES)
    found = _TEXTS.get(
        name, st.sampled_from(["x", "v", "", *(m.value for m in list(Measurand)[:3])]) | st.text(max_size=20)
    )
    return found.map(lambda text: text[:longest])


def _within(node: Schema) -> Any:
    low, high = node.get("minimum", float("-inf")), node.get("maximum", float("inf"))
    return lambda number: low <= number <= high
