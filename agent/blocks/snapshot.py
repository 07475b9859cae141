"""What is remembered of an open transaction beside its journal: JSON in, JSON out, both ways tested for equality."""

from __future__ import annotations

from typing import Any

from agent.core.events import OpenTransaction
from agent.core.evse import Stop, Transaction
from agent.core.types import ClockQuality, Context, Instant, Reading, SignedState, StopReason, Trigger
from drivers.api import IdToken, Measurand, Phase, Sample, SignedData

OPEN = "open"  # the table of snapshots
_SIGNED = {SignedState.ASKED: SignedState.NONE, SignedState.ENDING: SignedState.OPEN}  # asked again after a restart


def encode(evse: int, tx: Transaction) -> dict[str, Any]:
    return {
        "evse": evse,
        "started_at": _instant(tx.started_at),
        "started_wh": tx.started_wh,
        "token": _token(tx.token),
        "group": _token(tx.group),
        "remote_start_id": tx.remote_start_id,
        "reservation_id": tx.reservation_id,
        "begin": encode_reading(tx.begin) if tx.begin else None,
        "stop": _stop(tx.stop),
        "leaving": _stop(tx.leaving),
        "withheld": tx.withheld,
        "energy_limit_wh": tx.energy_limit_wh,
    } | _signing(tx)


def decode(found: OpenTransaction) -> tuple[int, Transaction]:
    """The EVSE's number, and the transaction as it is known after a restart."""
    s = found.snapshot
    tx = Transaction(found.transaction, _to_instant(s["started_at"]), s["started_wh"], found.next_seq)
    tx.token, tx.group = _to_token(s["token"]), _to_token(s["group"])
    tx.csms_id = found.csms_id
    tx.remote_start_id, tx.reservation_id = s["remote_start_id"], s["reservation_id"]
    tx.begin = decode_reading(s["begin"]) if s["begin"] else None
    tx.stop, tx.leaving = _to_stop(s["stop"]), _to_stop(s.get("leaving"))
    tx.withheld, tx.energy_limit_wh = s["withheld"], s["energy_limit_wh"]
    tx.last_wh = max(tx.started_wh, found.energy_wh or 0)
    signed, tx.key_told = s.get("signed") or ["", None], s.get("key_told", False)
    tx.signed_state, tx.signed_begin = SignedState(signed[0]), SignedData(*signed[1]) if signed[1] else None
    return s["evse"], tx


def _signing(tx: Transaction) -> dict[str, Any]:
    """Nothing where no meter signs."""
    state, begin = _SIGNED.get(tx.signed_state, tx.signed_state), tx.signed_begin
    if not state:
        return {}
    parts = [begin.text, begin.encoding, begin.method, begin.public_key] if begin else None
    return {"signed": [str(state), parts], "key_told": tx.key_told}


def _stop(stop: Stop | None) -> list[Any] | None:
    return [str(stop.reason), str(stop.trigger), _token(stop.token)] if stop else None


def _to_stop(value: list[Any] | None) -> Stop | None:
    return Stop(StopReason(value[0]), Trigger(value[1]), _to_token(value[2])) if value else None


def _instant(at: Instant) -> list[Any]:
    return [at.mono, at.utc, int(at.quality), at.boot]


def _to_instant(value: list[Any]) -> Instant:
    return Instant(value[0], value[1], ClockQuality(value[2]), value[3])


def _token(token: IdToken | None) -> list[str] | None:
    return [token.value, token.kind] if token else None


def _to_token(value: list[str] | None) -> IdToken | None:
    return IdToken(*value) if value else None


def encode_reading(reading: Reading) -> dict[str, Any]:
    samples = [[str(s.measurand), s.value, str(s.phase) if s.phase else None] for s in reading.samples]
    return {"at": _instant(reading.at), "context": str(reading.context), "samples": samples}


def decode_reading(value: dict[str, Any]) -> Reading:
    samples = tuple(Sample(Measurand(m), v, Phase(p) if p else None) for m, v, p in value["samples"])
    return Reading(_to_instant(value["at"]), Context(value["context"]), samples)
