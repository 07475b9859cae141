"""Charging profiles off the wire. The versions differ in the name of the id, in the words for a purpose, and in whether
there is one schedule or a list of them (further ones belong to ISO 15118 and are not looked at)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agent.core.profile import Kind, Period, Profile, Purpose, Recurrency
from agent.errors import RpcError
from agent.ocpp.fields import Reader, branch, integer, listed, natural, need, number, one_of, same, time, want

MOST_PERIODS = 1024
UNITS = same(("A", "W"))
_KINDS = {str(kind): kind for kind in Kind}
_RECURRENCIES = {str(recurrency): recurrency for recurrency in Recurrency}


def profile(
    payload: Mapping[str, Any], id_name: str, purposes: Mapping[str, Purpose], transaction: Reader[str]
) -> Profile:
    schedule = _schedule(payload)
    return Profile(
        id=need(payload, id_name, integer),
        stack_level=need(payload, "stackLevel", natural),
        purpose=need(payload, "chargingProfilePurpose", one_of(purposes)),
        kind=need(payload, "chargingProfileKind", one_of(_KINDS)),
        unit=need(schedule, "chargingRateUnit", one_of(UNITS)),
        periods=need(schedule, "chargingSchedulePeriod", listed(_period, MOST_PERIODS)),
        recurrency=want(payload, "recurrencyKind", one_of(_RECURRENCIES)),
        start=want(schedule, "startSchedule", time),
        duration_s=want(schedule, "duration", natural),
        valid_from=want(payload, "validFrom", time),
        valid_to=want(payload, "validTo", time),
        minimum_rate=want(schedule, "minChargingRate", number),
        transaction=want(payload, "transactionId", transaction),
    )


def _schedule(payload: Mapping[str, Any]) -> dict[str, Any]:
    given = payload.get("chargingSchedule")
    return branch(given[0]) if isinstance(given, list) and given else need(payload, "chargingSchedule", branch)


def _period(value: object) -> Period:
    period = branch(value)
    limit = need(period, "limit", number)
    if limit < 0:
        raise RpcError("minimum", "limit: must not be negative")
    return Period(
        need(period, "startPeriod", natural),
        limit,
        want(period, "numberPhases", _phases),
        want(period, "phaseToUse", _phases),
    )


def _phases(value: object) -> int:
    count = integer(value)
    if not 1 <= count <= 3:
        raise RpcError("enum", "must be 1, 2 or 3")
    return count
