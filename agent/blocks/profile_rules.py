"""K: Smart charging, the rules of one profile by itself: whether it may be installed, what it replaces, and how it is
remembered.

Reasons are the reason codes of OCPP 2. Some things that its older sister allows are made plain here instead of being
refused: a schedule without a start, and a Relative one for the station (which is never plugged in), begin when they
were received.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from math import isfinite
from typing import Any

from agent.blocks.composite import STATION, Installed, is_over
from agent.blocks.kept import UNREADABLE, fields, maybe, number, text, whole
from agent.core.profile import Kind, Period, Profile, Purpose, Recurrency
from agent.core.record import as_dict, replace
from agent.core.types import ClockQuality, Instant
from agent.core.variables import Variables


def dated(now: Instant) -> bool:
    """The date is known."""
    return now.quality is not ClockQuality.UNKNOWN


def malformed(profile: Profile, variables: Variables, now: Instant) -> str:
    """What is wrong with this profile wherever it is for, or ""."""
    most = variables.number("SmartChargingCtrlr.PeriodsPerSchedule")
    top = variables.number("SmartChargingCtrlr.ProfileStackLevel")
    checks = (
        (not 0 <= profile.stack_level <= top, "InvalidStackLevel"),
        (profile.unit not in variables.members("SmartChargingCtrlr.RateUnit"), "UnsupportedRateUnit"),
        (len(profile.periods) > most, "TooManyElements"),
        (not _in_order(profile.periods), "InvalidSchedule"),
        (profile.duration_s is not None and profile.duration_s <= 0, "InvalidSchedule"),
        (profile.kind is Kind.RECURRING and profile.recurrency is None, "InvalidProfile"),
        (not _has_time(profile, now), "InvalidProfile"),
        (_begins_now(profile) and not dated(now), "InvalidSchedule"),
    )
    return next((reason for bad, reason in checks if bad), "")


def _in_order(periods: tuple[Period, ...]) -> bool:
    starts = [period.start_s for period in periods]
    ascending = all(a < b for a, b in pairwise(starts))
    sane = all(isfinite(period.limit) and period.limit >= 0 for period in periods)
    chosen = all(period.phase is None for period in periods)  # no hardware of ours can choose which one
    phased = chosen and all(period.phases is None or 1 <= period.phases <= 3 for period in periods)
    return bool(starts) and starts[0] == 0 and ascending and sane and phased


def _has_time(profile: Profile, now: Instant) -> bool:
    """The profile is not contradictory and can still count: what was accepted shall have an effect."""
    if profile.valid_to is not None and profile.valid_to <= (profile.valid_from or 0.0):
        return False
    return not (dated(now) and is_over(profile, now.utc))


def _begins_now(profile: Profile) -> bool:
    if profile.purpose in STATION and profile.kind is Kind.RELATIVE:
        return True
    return profile.start is None and (profile.purpose in STATION or profile.kind is Kind.RECURRING)


def anchored(profile: Profile, now: Instant) -> Profile:
    """The profile with a start, where it is its receipt that starts it."""
    if not _begins_now(profile):
        return profile
    kind = Kind.ABSOLUTE if profile.kind is Kind.RELATIVE else profile.kind
    return replace(profile, kind=kind, start=now.utc)


def replaces(new: Installed, old: Installed) -> bool:
    """The same id, or the same purpose and stack level at the same place."""
    same_place = (new.evse, new.transaction) == (old.evse, old.transaction)
    a, b = new.profile, old.profile
    return a.id == b.id or (same_place and (a.purpose, a.stack_level) == (b.purpose, b.stack_level))


# --- memory -------------------------------------------------------------------------------------------------


def encode(one: Installed) -> dict[str, Any]:
    """JSON types only; words stay words, and what is not set is left out."""
    profile = {name: value for name, value in as_dict(one.profile).items() if value is not None and name != "periods"}
    words = {name: str(profile[name]) for name in ("purpose", "kind", "recurrency") if name in profile}
    periods = [[period.start_s, period.limit, period.phases] for period in one.profile.periods]
    return {"evse": one.evse, "transaction": one.transaction, "profile": profile | words | {"periods": periods}}


def decode(value: Any) -> Installed | None:
    """What `encode` has made, or None when it is not that."""
    try:
        profile = Profile(**fields(value["profile"], _SHAPES))
        if not _in_order(profile.periods) or (profile.kind is Kind.RECURRING and profile.recurrency is None):
            return None
        return Installed(profile, whole(value["evse"]), text(value["transaction"]))
    except UNREADABLE:
        return None


def _period(value: Any) -> Period:
    start_s, limit, phases = value
    return Period(whole(start_s), float(number(limit)), maybe(whole, phases))


_SHAPES: Mapping[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("id", "stack_level", "duration_s"), whole),
    **dict.fromkeys(("unit", "transaction"), text),
    **dict.fromkeys(("start", "valid_from", "valid_to", "minimum_rate"), number),
    "purpose": Purpose,
    "kind": Kind,
    "recurrency": Recurrency,
    "periods": lambda value: tuple(_period(part) for part in value),
}
