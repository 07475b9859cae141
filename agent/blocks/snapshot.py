"""What is remembered of an open transaction beside its journal: JSON in, JSON out, both ways tested for equality."""

from __future__ import annotations

from typing import Any

from agent.blocks.kept import UNREADABLE, flag, instant, maybe, number, text, token, whole
from agent.core.events import OpenTransaction
from agent.core.evse import Stop, Transaction
from agent.core.types import Context, Instant, Reading, SignedState, StopReason, Trigger
from drivers.api import IdToken, Measurand, Phase, Sample, SignedData

OPEN = "open"  # the table of snapshots
NOWHERE = 0  # in place of an EVSE
LONGEST_NUMBER = 16
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
        "last": [tx.last_read[0], _instant(tx.last_read[1])] if tx.last_read else None,
    } | _signing(tx)


def read(found: OpenTransaction, now: Instant) -> tuple[int, Transaction]:
    """As `decode`; of what cannot be read, a transaction at no EVSE that the journal's facts suffice to end."""
    try:
        return decode(found)
    except UNREADABLE:
        energy_wh = found.energy_wh or 0
        tx = Transaction(found.transaction, now, energy_wh, found.next_seq, last_wh=energy_wh)
        tx.csms_id = found.csms_id
        return NOWHERE, tx


def decode(found: OpenTransaction) -> tuple[int, Transaction]:
    """The EVSE's number, and the transaction as it is known after a restart."""
    s = found.snapshot
    tx = Transaction(found.transaction, instant(s["started_at"]), whole(s["started_wh"]), found.next_seq)
    tx.token, tx.group = maybe(token, s["token"]), maybe(token, s["group"])
    tx.csms_id = found.csms_id
    tx.remote_start_id, tx.reservation_id = maybe(whole, s["remote_start_id"]), maybe(whole, s["reservation_id"])
    tx.begin = decode_reading(s["begin"]) if s["begin"] else None
    tx.stop, tx.leaving = _to_stop(s["stop"]), _to_stop(s.get("leaving"))
    tx.withheld, tx.energy_limit_wh = flag(s["withheld"]), maybe(whole, s["energy_limit_wh"])
    last_wh, last_at = s.get("last") or (tx.started_wh, s["started_at"])
    tx.last_read = whole(last_wh), instant(last_at)
    tx.last_wh = max(tx.started_wh, found.energy_wh or 0, tx.last_read[0])
    signed, tx.key_told = s.get("signed") or ["", None], flag(s.get("key_told", False))
    tx.signed_state, tx.signed_begin = SignedState(signed[0]), SignedData(*map(text, signed[1])) if signed[1] else None
    return whole(s["evse"]), tx


def number_of(transaction: str) -> int:
    """The running number at the end of an id of ours; 0 of any other."""
    end = transaction.rpartition("-")[2]
    return int(end) if len(end) < LONGEST_NUMBER and end.isascii() and end.isdecimal() else 0


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
    return Stop(StopReason(value[0]), Trigger(value[1]), maybe(token, value[2])) if value else None


def _instant(at: Instant) -> list[Any]:
    return [at.mono, at.utc, int(at.quality), at.boot]


def _token(bearer: IdToken | None) -> list[str] | None:
    return [bearer.value, bearer.kind] if bearer else None


def encode_reading(reading: Reading) -> dict[str, Any]:
    samples = [[str(s.measurand), s.value, str(s.phase) if s.phase else None] for s in reading.samples]
    return {"at": _instant(reading.at), "context": str(reading.context), "samples": samples}


def decode_reading(value: dict[str, Any]) -> Reading:
    samples = tuple(Sample(Measurand(m), number(v), Phase(p) if p else None) for m, v, p in value["samples"])
    return Reading(instant(value["at"]), Context(value["context"]), samples)
