"""Payloads from the schemas of the package `ocpp`: right ones, and each way in which one of them can be wrong.

`right(node)` is one payload that its schema allows. `variations(node)` goes to every member, however deep, and drops
it, puts other types and null in its place, goes to its bounds and past them, makes it huge, strange or deep. Nothing
is random here: the same schemas give the same payloads, and a message that is new among them is covered by itself.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

Schema = dict[str, Any]
FOLDERS = {"1.6": "v16", "2.0.1": "v201"}
MOST_PATHS = 160  # of one message; those of the largest repeat themselves
# Members that mean something to a charger: what stands in them where the schema says only "string" or "integer".
MEANT: dict[str, Any] = {
    "connectorId": 1, "evseId": 1, "id": 1, "transactionId": "1", "idTag": "FUZZ", "idToken": "FUZZ", "duration": 600,
    "key": "HeartbeatInterval", "value": "300", "vendorId": "v", "location": "http://127.0.0.1:9/x", "csr": "c",
    "status": "Accepted", "interval": 300, "limit": 16.0, "startPeriod": 0, "stackLevel": 0, "listVersion": 1,
    "reservationId": 1, "requestId": 1, "numberPhases": 3, "attributeValue": "300", "versionNumber": 1, "seqNo": 0,
    "remoteStartId": 1, "chargingProfileId": 1, "configurationSlot": 1, "parentIdTag": "GROUP",
}  # fmt: skip
TIME = "2030-01-01T00:00:00Z"
TIMES = (
    "", "now", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999+14:00", "2026-11-21", "2026-11-21T12:00:00",
    "2026-11-21T12:00:00+25:00", "1969-12-31T23:59:59-14:00", "2026-02-30T00:00:00Z", "2026-11-21T24:00:01Z",
)  # fmt: skip
TEXTS = (
    "",
    " ",
    "\u0000",
    "\x1b[2J\r\n",
    "\u202e\u0301ß🚗" * 5,
    "'; DROP TABLE journal; --",
    "%s%n{0}",
    "../../etc",
    "NaN",
)
NUMBERS = (0, -1, 1, 2, 99, 2**31 - 1, -(2**31), 2**53 + 1, 2**63 - 1, 2**63, -(2**63) - 1, 10**30, 0.1, -0.0, 1e308)
TYPES: tuple[Any, ...] = (None, True, False, 7, -1.5, "x", [], [[]], {}, {"a": None})
HUGE = "A" * 20_000


@cache
def folder(version: str) -> Path:
    spec = find_spec("ocpp")
    assert spec is not None and spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0]) / FOLDERS[version] / "schemas"


@cache
def actions(version: str) -> tuple[str, ...]:
    """Every message of the version, whoever is meant to send it."""
    stems = (path.stem for path in folder(version).glob("*.json"))
    return tuple(sorted({stem.removesuffix("Response").removesuffix("Request") for stem in stems}))


@cache
def schema(version: str, action: str, answer: bool = False) -> Schema:
    """With every `$ref` put in its place."""
    stem = action + ("Response" if answer else "" if version == "1.6" else "Request")
    raw: Schema = json.loads((folder(version) / f"{stem}.json").read_text("utf-8-sig"))
    whole: Schema = _resolved(raw, raw.get("definitions", {}))
    return whole


def _resolved(node: Any, definitions: Schema) -> Any:
    if isinstance(node, list):
        return [_resolved(item, definitions) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        return _resolved(definitions[node["$ref"].rsplit("/", 1)[1]], definitions)
    return {key: _resolved(value, definitions) for key, value in node.items() if key != "definitions"}


# --- right ones -----------------------------------------------------------------------------------------------------


def right(node: Schema, name: str = "", full: bool = True) -> Any:
    """A value that this schema allows; with `full` every member that may be there."""
    if "enum" in node:
        return MEANT[name] if MEANT.get(name) in node["enum"] else node["enum"][0]
    return _RIGHT[node.get("type")](node, name, full)


def _object(node: Schema, _name: str, full: bool) -> Any:
    required = node.get("required", ())
    members = {k: v for k, v in node.get("properties", {}).items() if k != "customData" and (full or k in required)}
    return {key: right(inner, key, full) for key, inner in members.items()}


def _array(node: Schema, name: str, full: bool) -> Any:
    return [right(node["items"], name, full) for _ in range(max(1, node.get("minItems", 1)))]


def _string(node: Schema, name: str, _full: bool) -> Any:
    if node.get("format") == "date-time":
        return TIME
    meant = MEANT.get(name)
    return (meant if isinstance(meant, str) else "x")[: node.get("maxLength", 99)]


def _number(node: Schema, name: str, _full: bool) -> Any:
    meant = str(MEANT.get(name, 1)).removesuffix(".0")
    number = int(meant) if meant.isdecimal() else 1
    return min(max(number, node.get("minimum", number)), node.get("maximum", number))


_RIGHT: dict[str | None, Callable[[Schema, str, bool], Any]] = {
    "object": _object,
    "array": _array,
    "string": _string,
    "integer": _number,
    "number": _number,
    "boolean": lambda _node, _name, _full: True,
    None: lambda _node, _name, _full: "x",
}


# --- all others -----------------------------------------------------------------------------------------------------


def variations(node: Schema) -> Iterator[tuple[str, Any]]:
    """What was done to a right payload, and the payload."""
    whole = right(node)
    yield "as it should be", whole
    yield "no more than it must be", right(node, full=False)
    yield "a stranger", whole | {"aStranger": {"deep": [1]}}
    yield "a vendor's own", whole | {"customData": {"vendorId": "v", "more": [None]}}
    for number, (path, inner) in enumerate(_paths(node, whole)):
        if number >= MOST_PATHS:
            return
        where = ".".join(map(str, path))
        yield f"no {where}", _changed(whole, path, drop=True)
        for value in _values(inner, path[-1]):
            yield f"{where} = {_shown(value)}", _changed(whole, path, value)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 40 else f"{text[:20]}... ({len(text)})"


def _paths(node: Schema, value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Schema]]:
    """Every place in the payload, with its schema."""
    if isinstance(value, dict):
        for key, item in value.items():
            inner = node["properties"][key]
            yield (*path, key), inner
            yield from _paths(inner, item, (*path, key))
    elif isinstance(value, list):
        yield (*path, 0), node["items"]
        yield from _paths(node["items"], value[0], (*path, 0))


def _changed(whole: Any, path: tuple[Any, ...], value: Any = None, drop: bool = False) -> Any:
    changed = copy.deepcopy(whole)
    owner = changed
    for step in path[:-1]:
        owner = owner[step]
    if drop:
        del owner[path[-1]]
    else:
        owner[path[-1]] = value
    return changed


def _values(node: Schema, name: Any) -> Iterator[Any]:
    yield from TYPES
    if "enum" in node:
        yield from node["enum"]
        yield node["enum"][0].lower()
        yield "NoSuchWord"
        return
    kind = node.get("type")
    if kind == "string" and node.get("format") == "date-time":
        yield from TIMES
    elif kind == "string":
        yield from TEXTS
        longest = node.get("maxLength", 500)
        yield from ("B" * longest, "B" * (longest + 1), HUGE, "é" * longest)
    elif kind in ("integer", "number"):
        yield from NUMBERS
        yield from (node[bound] + step for bound in ("minimum", "maximum") if bound in node for step in (-1, 0, 1))
    elif kind == "array":
        item = right(node["items"], str(name))
        yield from ([item] * n for n in (2, node.get("maxItems", 50), node.get("maxItems", 50) + 1, 500))
    elif kind is None:
        yield from (HUGE, _deep(50), _deep(5000))


def _deep(levels: int) -> Any:
    value: Any = []
    for _ in range(min(levels, 900)):  # more, and our own encoder would refuse
        value = [value]
    return value
