"""Transaction events as short text and back, and the correction of their times. Pure; the round trip is exact.

The text is a JSON array by position, in ASCII; a reading of twelve samples takes about 400 bytes. Rules: positions are
only ever added at the end (missing ones have their defaults), codes are never given a second meaning. Instants repeat
clock quality and power-up only where they differ from the event's own.

A time that was written before anybody knew the time is corrected when it is read, by the clock that its power-up was
given later (`Clocks`); so one small row corrects a whole journal, and nothing is rewritten.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from agent.core.record import replace
from agent.core.types import (
    ChargingState,
    ClockQuality,
    Context,
    Instant,
    Reading,
    StopReason,
    TransactionEvent,
    Trigger,
    TxKind,
)
from drivers.api import IdToken, Measurand, Phase, Sample, SignedData

_KINDS = {"S": TxKind.STARTED, "U": TxKind.UPDATED, "E": TxKind.ENDED}
_MEASURANDS = {
    "Ie": Measurand.CURRENT_EXPORT,
    "I": Measurand.CURRENT_IMPORT,
    "Io": Measurand.CURRENT_OFFERED,
    "Ee": Measurand.ENERGY_ACTIVE_EXPORT_REGISTER,
    "E": Measurand.ENERGY_ACTIVE_IMPORT_REGISTER,
    "Re": Measurand.ENERGY_REACTIVE_EXPORT_REGISTER,
    "R": Measurand.ENERGY_REACTIVE_IMPORT_REGISTER,
    "ee": Measurand.ENERGY_ACTIVE_EXPORT_INTERVAL,
    "e": Measurand.ENERGY_ACTIVE_IMPORT_INTERVAL,
    "re": Measurand.ENERGY_REACTIVE_EXPORT_INTERVAL,
    "r": Measurand.ENERGY_REACTIVE_IMPORT_INTERVAL,
    "F": Measurand.FREQUENCY,
    "Pe": Measurand.POWER_ACTIVE_EXPORT,
    "P": Measurand.POWER_ACTIVE_IMPORT,
    "pf": Measurand.POWER_FACTOR,
    "Po": Measurand.POWER_OFFERED,
    "Qe": Measurand.POWER_REACTIVE_EXPORT,
    "Q": Measurand.POWER_REACTIVE_IMPORT,
    "n": Measurand.RPM,
    "soc": Measurand.SOC,
    "T": Measurand.TEMPERATURE,
    "U": Measurand.VOLTAGE,
}
_PHASES: dict[str | None, Phase | None] = {None: None, **{phase.value: phase for phase in Phase}}
_KIND_CODES = {kind: code for code, kind in _KINDS.items()}
_MEASURAND_CODES = {measurand: code for code, measurand in _MEASURANDS.items()}
_DEFAULTS: list[Any] = [None, None, None, [], None, 0, None, None, None, None]  # from `started_at` on
_SAME = 0  # an instant that equals the event's own

Clocks = Mapping[str, tuple[float, ClockQuality]]  # by power-up: seconds to add to `mono`, and how good that is
_dumps = json.JSONEncoder(separators=(",", ":")).encode


class Unreadable(ValueError):
    """Not the text of a transaction event."""


def encode_event(event: TransactionEvent) -> str:
    at = event.at
    optional: list[Any] = [
        _instant(event.started_at, at) if event.started_at else None,
        _token(event.token),
        _token(event.group),
        [_reading(reading, at) for reading in event.readings],
        event.stop_reason,
        int(event.offline),
        event.reservation_id,
        event.remote_start_id,
        event.phases,
        event.cable_a,
    ]
    while optional and optional[-1] == _DEFAULTS[len(optional) - 1]:
        optional.pop()
    return _dumps(
        [
            event.transaction,
            event.seq,
            _KIND_CODES[event.kind],
            [at.mono, at.utc, int(at.quality), at.boot],
            event.trigger,
            event.evse,
            event.connector,
            event.started_wh,
            event.energy_wh,
            event.charging_state,
            *optional,
        ]
    )


def decode_event(text: str) -> TransactionEvent:
    """Raises `Unreadable`."""
    try:
        return _decode(json.loads(text))
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError) as error:
        raise Unreadable(f"{type(error).__name__}: {error}") from error


def _decode(parts: list[Any]) -> TransactionEvent:
    tx, seq, kind, when, trigger, evse, connector, started_wh, energy_wh, state, *optional = parts
    optional += _DEFAULTS[len(optional) :]
    started_at, token, group, readings, stop, offline, reservation, remote, phases, cable_a = optional
    at = _to_instant(when)
    return TransactionEvent(
        transaction=tx,
        seq=seq,
        kind=_KINDS[kind],
        at=at,
        trigger=Trigger(trigger),
        evse=evse,
        connector=connector,
        started_wh=started_wh,
        energy_wh=energy_wh,
        charging_state=ChargingState(state),
        started_at=None if started_at is None else _to_instant(started_at, at),
        token=IdToken(*token) if token else None,
        group=IdToken(*group) if group else None,
        readings=tuple(_to_reading(reading, at) for reading in readings),
        stop_reason=StopReason(stop) if stop else None,
        offline=bool(offline),
        reservation_id=reservation,
        remote_start_id=remote,
        phases=phases,
        cable_a=cable_a,
    )


def _instant(instant: Instant, at: Instant) -> Any:
    if instant == at:
        return _SAME
    short = [instant.mono, instant.utc]
    if instant.quality is at.quality and instant.boot == at.boot:
        return short
    return [*short, int(instant.quality), instant.boot]


def _to_instant(value: Any, at: Instant | None = None) -> Instant:
    if at is not None and value == _SAME:
        return at
    if at is not None and len(value) == 2:
        return Instant(value[0], value[1], at.quality, at.boot)
    mono, utc, quality, boot = value
    return Instant(mono, utc, ClockQuality(quality), boot)


def _token(token: IdToken | None) -> list[str] | None:
    return [token.value, token.kind] if token else None


def _reading(reading: Reading, at: Instant) -> list[Any]:
    samples: list[Any] = []
    for sample in reading.samples:
        samples += (_MEASURAND_CODES[sample.measurand], sample.value, sample.phase)
    told = [_instant(reading.at, at), reading.context, samples]
    signed = reading.signed
    return told if signed is None else [*told, [signed.text, signed.encoding, signed.method, signed.public_key]]


def _to_reading(value: list[Any], at: Instant) -> Reading:
    when, context, flat, *more = value
    triples = zip(flat[::3], flat[1::3], flat[2::3], strict=True)
    samples = tuple(Sample(_MEASURANDS[m], v, _PHASES[p]) for m, v, p in triples)
    return Reading(_to_instant(when, at), Context(context), samples, SignedData(*more[0]) if more else None)


def retimed(event: TransactionEvent, clocks: Clocks) -> TransactionEvent:
    """The event with the true times, as far as `clocks` knows better than the event did."""
    if not clocks:
        return event
    return replace(
        event,
        at=_correct(event.at, clocks),
        started_at=_correct(event.started_at, clocks) if event.started_at else None,
        readings=tuple(replace(reading, at=_correct(reading.at, clocks)) for reading in event.readings),
    )


def _correct(instant: Instant, clocks: Clocks) -> Instant:
    offset_s, quality = clocks.get(instant.boot, (0.0, ClockQuality.UNKNOWN))
    if instant.quality >= quality:
        return instant
    return Instant(instant.mono, instant.mono + offset_s, quality, instant.boot)


def retimed_json(value: Any, clocks: Clocks) -> Any:
    """The same for what blocks remember, where an instant is the list [mono, utc, quality, boot]."""
    if isinstance(value, dict):
        return {key: retimed_json(part, clocks) for key, part in value.items()}
    if not isinstance(value, list):
        return value
    if _is_instant(value) and value[3] in clocks:
        fixed = _correct(Instant(value[0], value[1], ClockQuality(value[2]), value[3]), clocks)
        return [fixed.mono, fixed.utc, int(fixed.quality), fixed.boot]
    return [retimed_json(part, clocks) for part in value]


def _is_instant(value: list[Any]) -> bool:
    """By its shape; what a newer firmware has remembered may look alike."""
    if len(value) != 4 or not isinstance(value[3], str) or type(value[2]) is not int:
        return False
    return value[2] in list(ClockQuality) and all(type(part) in (int, float) for part in value[:2])
