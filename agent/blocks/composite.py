"""K: Smart charging, the arithmetic. Which current the charging profiles allow an EVSE at a moment, and why, in words.

Rules kept here. A profile counts while validFrom <= now < validTo and while its schedule has a period (from its start
until its duration is over; the last period has no other end). Within a purpose the highest stack level that counts
governs; when that has nothing to say the next lower one does; at the same level an EVSE's own profile precedes one for
all EVSEs. A TxProfile precedes the TxDefaultProfiles. The limit is the least of that and of what the station may take
(station maximum and external constraints), which all EVSEs that may draw share in equal parts. A limit below the
minChargingRate of a governing schedule is none: 0 A.

Times: Absolute schedules start at their start, Recurring ones again each 24 hours or 7 days after it (and not before
it), Relative ones when the EV was first ready to charge. Watts are 230 V by the number of phases.

Nobody knows the time: a profile that depends on the date cannot be placed, so it counts always, with the least of its
periods, and of the station's own such profiles the least counts, whatever its level: the supply stays protected. For
the profiles of a transaction, which protect a plan and not a wire, a pause counts only when they know nothing else:
a charger without a clock shall not refuse to charge. Links do not matter here: a lost one changes no profile.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from math import floor, inf

from agent.core.evse import MINIMUM_A
from agent.core.profile import Kind, Period, Profile, Purpose, Recurrency
from agent.core.record import record, replace

NOMINAL_V = 230.0
MAX_PERIODS = 1024  # what a GetCompositeSchedule answer can carry
MAX_CHANGES = 2048  # that one answer looks at, whether or not they make periods of their own
STATION = (Purpose.STATION_MAX, Purpose.STATION_EXTERNAL)
_CYCLE_S = {Recurrency.DAILY: 86_400, Recurrency.WEEKLY: 604_800}
_NAMES = {
    Purpose.STATION_EXTERNAL: "external constraint",
    Purpose.STATION_MAX: "station profile",
    Purpose.TX_DEFAULT: "default profile",
    Purpose.TX: "transaction profile",
}


@record
class Installed:
    """A profile and what it is for: `evse` 0 the station or all EVSEs; `transaction`: our id, for a TxProfile."""

    profile: Profile
    evse: int
    transaction: str = ""


@record
class Place:
    """Where a limit is asked for. `evse` 0 is the station's connection to the grid. `began`: when Relative schedules
    began (UTC epoch s), None = they would begin at the moment asked about. `cap_a`: what the hardware allows at most.
    `sharers`: how many EVSEs share the station's limits. `dated`: the date is known."""

    evse: int
    phases: int = 3
    transaction: str = ""
    began: float | None = None
    cap_a: float = inf
    sharers: int = 1
    dated: bool = True


@record
class Limit:
    """`amps` a phase, None = no profile limits. `phases`: how many the governing period allows. `minimum_a`: the
    schedule calls less than this inefficient."""

    amps: float | None
    why: str = ""
    phases: int = 3
    minimum_a: float = 0.0


# --- at a moment --------------------------------------------------------------------------------------------


def limit(installed: Iterable[Installed], place: Place, at: float) -> Limit:
    """What the profiles allow at this place at `at` (UTC epoch s)."""
    found = _limits([one for one in installed if _concerns(one, place)], place, at)
    if not found:
        return Limit(None, phases=place.phases)
    least, *others = sorted(found, key=lambda one: one.amps or 0.0)
    rest = ", ".join(f"{one.why} allows {one.amps:.4g} A" for one in others)
    why = f"{least.why} ({rest})" if rest else least.why
    pickiest = max(found, key=lambda one: one.minimum_a)
    if (least.amps or 0.0) < pickiest.minimum_a:
        why = f"{why}: {least.amps:.4g} A is below the minimum rate of {pickiest.why}, {pickiest.minimum_a:.4g} A"
        return replace(least, amps=0.0, why=why)
    return replace(least, why=why)


def _limits(concerned: Sequence[Installed], place: Place, at: float) -> list[Limit]:
    """One limit for each purpose that has its say."""
    own = _governing(concerned, (Purpose.TX,), place, at) or _governing(concerned, (Purpose.TX_DEFAULT,), place, at)
    station = (_governing(concerned, (purpose,), place, at) for purpose in STATION)
    return [_weighed(*one, place) for one in (own, *station) if one is not None]


def _governing(
    concerned: Sequence[Installed], purposes: tuple[Purpose, ...], place: Place, at: float
) -> tuple[Installed, Period] | None:
    counting = [
        (one, period)
        for one in concerned
        if one.profile.purpose in purposes and (period := _period(one.profile, place, at)) is not None
    ]
    if not place.dated and purposes[0] in STATION:
        return min(counting, key=lambda pair: _amps(pair[0].profile, pair[1], place), default=None)
    return max(counting, key=lambda pair: (pair[0].profile.stack_level, pair[0].evse), default=None)


def _weighed(one: Installed, period: Period, place: Place) -> Limit:
    """The limit of a governing period, in amperes a phase and in words."""
    profile, phases = one.profile, _phases(period, place)
    amps = _amps(profile, period, place)
    why = f"{_NAMES[profile.purpose]} {profile.id} at stack level {profile.stack_level}"
    details = [f"{period.limit:.6g} W on {phases} phase{'s' * (phases > 1)}"] if profile.unit == "W" else []
    if _shared(profile, place) > 1:
        details.append(f"shared by {place.sharers}")
    if not place.dated and _needs_date(profile):
        details.append("the least of its periods, for the time is not known")
    minimum_a = (profile.minimum_rate or 0.0) / (NOMINAL_V * phases if profile.unit == "W" else 1.0)
    return Limit(amps, f"{why}, {', '.join(details)}" if details else why, phases, minimum_a)


def _concerns(one: Installed, place: Place) -> bool:
    purpose = one.profile.purpose
    if purpose is Purpose.TX:
        return place.evse != 0 and one.evse == place.evse and one.transaction == place.transaction
    if purpose is Purpose.TX_DEFAULT:
        return place.evse != 0 and one.evse in (0, place.evse)
    return one.evse in (0, place.evse)


def _shared(profile: Profile, place: Place) -> int:
    return max(place.sharers, 1) if profile.purpose in STATION else 1


def _phases(period: Period, place: Place) -> int:
    return min(period.phases or place.phases, place.phases)


def _amps(profile: Profile, period: Period, place: Place) -> float:
    """One division, so that what is exact stays exact: 4140 W on three phases are 6 A and not a hair less."""
    volts = NOMINAL_V * _phases(period, place) if profile.unit == "W" else 1.0
    return period.limit / (volts * _shared(profile, place))


# --- time ---------------------------------------------------------------------------------------------------


def _is_relative(profile: Profile) -> bool:
    return profile.kind is Kind.RELATIVE or profile.start is None


def _cycle_s(profile: Profile) -> int | None:
    return _CYCLE_S.get(profile.recurrency) if profile.kind is Kind.RECURRING and profile.recurrency else None


def _needs_date(profile: Profile) -> bool:
    return not _is_relative(profile) or profile.valid_from is not None or profile.valid_to is not None


def _start(profile: Profile, began: float | None, at: float) -> float | None:
    """When the schedule that counts at `at` started or will start; None: it begins whenever it is asked for."""
    if _is_relative(profile):
        return began
    assert profile.start is not None
    cycle_s = _cycle_s(profile)
    if cycle_s is None:
        return profile.start
    first = round(profile.start)  # whole seconds: then thousands of turns add up without any rounding
    return float(max(first, first + (at - first) // cycle_s * cycle_s))


def _period(profile: Profile, place: Place, at: float) -> Period | None:
    """The period that counts at `at`."""
    if not place.dated and _needs_date(profile):
        return _cautious(profile, place)
    if profile.valid_from is not None and at < profile.valid_from:
        return None
    if profile.valid_to is not None and at >= profile.valid_to:
        return None
    start = _start(profile, place.began, at)
    if start is None:
        return profile.periods[0]
    if at < start or (profile.duration_s is not None and at >= start + profile.duration_s):
        return None
    # Sums are compared, and not differences: _edges makes the same sums, so that both see the same edge.
    return next((period for period in reversed(profile.periods) if start + period.start_s <= at), None)


def _cautious(profile: Profile, place: Place) -> Period:
    """The period that counts while nobody knows the date."""
    by_amps = sorted(profile.periods, key=lambda period: _amps(profile, period, place))
    if profile.purpose in STATION:
        return by_amps[0]
    return next((period for period in by_amps if _amps(profile, period, place) >= MINIMUM_A), by_amps[0])


def next_change(installed: Iterable[Installed], place: Place, at: float) -> float | None:
    """The next moment after `at` when the limit here may change by itself; None: never."""
    edges = (edge for one in installed if _concerns(one, place) for edge in _edges(one.profile, place, at))
    return min((edge for edge in edges if edge > at), default=None)


def _edges(profile: Profile, place: Place, at: float) -> Iterator[float]:
    if not place.dated and _needs_date(profile):
        return
    if profile.valid_from is not None:
        yield profile.valid_from
    if profile.valid_to is not None:
        yield profile.valid_to
    start = _start(profile, place.began, at)
    if start is None:
        return
    for period in profile.periods:
        yield start + period.start_s
    if profile.duration_s is not None:
        yield start + profile.duration_s
    cycle_s = _cycle_s(profile)
    if cycle_s is not None:
        yield start + cycle_s


# --- over a time --------------------------------------------------------------------------------------------

Piece = tuple[int, float, int | None]  # seconds from the start, limit, number of phases


def schedule(
    installed: Sequence[Installed], places: Sequence[Place], start: float, duration_s: int, unit: str
) -> tuple[list[Piece], int]:
    """The composite schedule in `unit` from `start` on, equal neighbours merged, and for how many seconds it holds:
    fewer than `duration_s` when `MAX_PERIODS` or `MAX_CHANGES` end it before. One place is that EVSE; several are the
    whole station, `places[0]` (evse 0) and its EVSEs."""
    places = [replace(place, began=start) if place.began is None else place for place in places]
    pieces: list[Piece] = []
    at = start
    for _ in range(MAX_CHANGES):
        if at >= start + max(duration_s, 1):
            return pieces, duration_s
        offset_s = round(at - start)
        limit_, phases = _level(installed, places, at, unit)
        if pieces and pieces[-1][0] == offset_s:
            pieces.pop()  # less than half a second long
        if not pieces or pieces[-1][1:] != (limit_, phases):
            if len(pieces) == MAX_PERIODS:
                return pieces, offset_s
            pieces.append((offset_s, limit_, phases))
        changes = (change for place in places if (change := next_change(installed, place, at)) is not None)
        at = min(changes, default=inf)
    return pieces, round(min(at - start, duration_s))


def _level(installed: Sequence[Installed], places: Sequence[Place], at: float, unit: str) -> tuple[float, int]:
    """Limit in `unit` and phases; for a whole station no more than its EVSEs can take together."""
    levels = [_capped(installed, place, at, unit) for place in places]
    total, phases = levels[0]
    if len(levels) > 1:
        total = min(total, sum(one for one, _phases in levels[1:]))
    return floor(total * 10 + 1e-6) / 10, phases


def _capped(installed: Sequence[Installed], place: Place, at: float, unit: str) -> tuple[float, int]:
    found = limit(installed, place, at)
    amps = place.cap_a if found.amps is None else min(found.amps, place.cap_a)
    return (amps * NOMINAL_V * found.phases if unit == "W" else amps), found.phases
