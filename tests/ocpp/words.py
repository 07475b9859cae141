"""What the tests of the dialects share: neutral words to encode, hypothesis strategies for them, and the oracle, which
is `jsonschema` over the schemas that the package `ocpp` ships."""

from __future__ import annotations

import json
from decimal import Decimal
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from jsonschema import Draft4Validator

from agent.core.requests import Ref
from agent.core.types import (
    ChargingState,
    Context,
    Instant,
    Reading,
    StopReason,
    TransactionEvent,
    Trigger,
    TxKind,
)
from agent.ocpp.dialect import Dialect, Message, Payload, Station
from drivers.api import IdToken, Measurand, Phase, Sample

STATION = Station(
    vendor="A vendor with a name that is longer than fifty characters in all",
    model="A model with a long name",
    serial="0123456789012345678901234567890",
    firmware="1.2.3",
    iccid="89490000000000000000",
    imsi="262010000000000",
    meter_type="Eastron SDM630-Modbus V2 MID",
    meter_serial="20123456",
    evses=(1, 2),
)
NOON = Instant(mono=1000.0, utc=1795262400.0)  # 2026-11-21T12:00:00Z
NOON_TEXT = "2026-11-21T12:00:00.000Z"
CARD = IdToken("04A1B2C3D4E5F6")


def ref(action: str) -> Ref:
    return Ref("m1", action)


def reading(*samples: Sample, context: Context = Context.PERIODIC, at: Instant = NOON) -> Reading:
    return Reading(at, context, samples or (Sample(Measurand.ENERGY_ACTIVE_IMPORT_REGISTER, 1234567.0),))


def event(kind: TxKind, **more: Any) -> TransactionEvent:
    facts: dict[str, Any] = {
        "transaction": "b3-1-7",
        "seq": 3,
        "kind": kind,
        "at": NOON,
        "trigger": Trigger.METER_VALUE_PERIODIC,
        "evse": 2,
        "connector": 1,
        "started_wh": 1234000,
        "energy_wh": 1240500,
        "charging_state": ChargingState.CHARGING,
    }
    return TransactionEvent(**(facts | more))


# --- the oracle ---


@cache
def _validator(folder: str, file: str) -> Draft4Validator:
    spec = find_spec("ocpp")
    assert spec is not None and spec.submodule_search_locations
    path = Path(spec.submodule_search_locations[0]) / folder / "schemas" / f"{file}.json"
    return Draft4Validator(json.loads(path.read_bytes(), parse_float=Decimal))


def faults(dialect: Dialect, action: str, payload: Payload, answer: bool = False) -> list[str]:
    """What the schema finds wrong. Decimals, since 0.1 is no binary fraction and limits are multiples of it."""
    request = action if dialect.schemas == "v16" else f"{action}Request"
    wire = json.loads(json.dumps(payload, allow_nan=False), parse_float=Decimal)
    return [
        error.message
        for error in _validator(dialect.schemas, f"{action}Response" if answer else request).iter_errors(wire)
    ]


def valid(dialect: Dialect, message: Message | None) -> Payload:
    """The payload of a message that passes its schema."""
    assert message is not None
    action, payload = message
    assert faults(dialect, action, payload) == []
    return payload


# --- strategies ---

instants = st.builds(
    Instant, mono=st.floats(0, 1e9), utc=st.floats(0, 4e9).map(lambda utc: round(utc, 3)), boot=st.just("")
)
samples = st.builds(
    Sample,
    measurand=st.sampled_from(Measurand),
    value=st.floats(),
    phase=st.none() | st.sampled_from(Phase),
)
readings = st.builds(
    Reading, at=instants, context=st.sampled_from(Context), samples=st.lists(samples, max_size=4).map(tuple)
)
tokens = st.builds(
    IdToken,
    value=st.text(max_size=60),
    kind=st.sampled_from(["ISO14443", "ISO15693", "Central", "Local", "NoAuthorization", "other"]),
)
transaction_events = st.builds(
    TransactionEvent,
    transaction=st.text("abcdef0123456789-", min_size=1, max_size=36),
    seq=st.integers(0, 10**6),
    kind=st.sampled_from(TxKind),
    at=instants,
    trigger=st.sampled_from(Trigger),
    evse=st.integers(1, 16),
    connector=st.integers(1, 2),
    started_wh=st.integers(0, 10**10),
    energy_wh=st.integers(0, 10**10),
    charging_state=st.sampled_from(ChargingState),
    started_at=st.none() | instants,
    token=st.none() | tokens,
    group=st.none() | tokens,
    readings=st.lists(readings, max_size=3).map(tuple),
    stop_reason=st.none() | st.sampled_from(StopReason),
    offline=st.booleans(),
    reservation_id=st.none() | st.integers(0, 10**6),
    remote_start_id=st.none() | st.integers(0, 10**6),
    phases=st.none() | st.integers(1, 3),
    cable_a=st.none() | st.integers(0, 63),
)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(
        ["Accepted", "42", "2026-11-21T12:00:00Z", "0001-01-01T00:00:00+14:00", "Hard", "A", 42.0, 10**400]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def damaged(draw: st.DrawFn, payload: Payload) -> Payload:
    """The payload with one to three members, at any depth, dropped or replaced by something else."""
    broken: Payload = json.loads(json.dumps(payload))
    for _ in range(draw(st.integers(1, 3))):
        owner, key = _somewhere(draw, broken)
        if owner is None:
            return broken
        if draw(st.booleans()):
            owner[key] = draw(json_values)
        elif isinstance(owner, dict):
            del owner[key]
        else:
            owner.clear()
    return broken


def _somewhere(draw: st.DrawFn, node: Any) -> tuple[Any, Any]:
    owner: Any = None
    key: Any = None
    while isinstance(node, dict | list) and node:
        owner, key = node, draw(st.sampled_from(sorted(node) if isinstance(node, dict) else range(len(node))))
        node = owner[key]
        if draw(st.booleans()):
            break
    return owner, key
