"""K: Smart charging, the arithmetic. Which current the charging profiles allow an EVSE at a moment, and why, in words.

Rules kept here. A profile counts while validFrom <= now < validTo and while its schedule has a period (from its start
until its duration is over; the last period has no other end). Within a purpose the highest stack level that counts
governs; when that has nothing to say the next lower one does; at the same level an EVSE's own profile precedes one for
all EVSEs. A TxProfile precedes the TxDefaultProfiles. These limit an EVSE; the station's profiles (maximum and external
constraints, the lower of the two) limit all together, and `shares` divides what they leave. minChargingRate is advice:
the words repeat it, the limit does not follow it.

Times: Absolute schedules start at their start, Recurring ones again each 24 hours or 7 days of UTC after it, summer
time or not (and not before it), Relative ones when the EV was first ready to charge.

Watts are 230 V by the number of phases that the period names, else all there are: it is the CSMS that knows how many
the EV uses. Amperes are each phase's own. Where the outlet can be fed by one phase or by three (`Feed`), a period that
allows fewer than three means one, and with AUTOMATIC so does one whose watts are too few for three and enough for one;
the limit of now is then worked out for the phases that there are (FIXED), since switching takes its time.

Nobody knows the time: a profile that depends on the date cannot be placed, so it counts always, with the least of its
periods, and of the station's own such profiles the least counts, whatever its level: the supply stays protected. For
the profiles of a transaction, which protect a plan and not a wire, a pause counts only when they know nothing else:
a charger without a clock shall not refuse to charge.

Offline: links do not matter here, a lost one changes no profile, for each purpose alike. The station's profiles and the
TxDefaultProfiles count until they are cleared or over, a TxProfile until its transaction has ended.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from math import floor, inf

from agent.blocks.shares import divide
from agent.core.evse import MINIMUM_A
from agent.core.profile import Kind, Period, Profile, Purpose, Recurrency
from agent.core.record import record, replace

NOMINAL_V = 230.0
MAX_PERIODS = 1024  # what a GetCompositeSchedule answer can carry
MAX_CHANGES = 2048  # that one answer looks at, whether or not they make periods of their own
STATION = (Purpose.STATION_MAX, Purpose.STATION_EXTERNAL)
TRANSACTION = (Purpose.TX, Purpose.TX_DEFAULT)  # the former precedes the latter
_CYCLE_S = {Recurrency.DAILY: 86_400, Recurrency.WEEKLY: 604_800}
_NAMES = {
    Purpose.STATION_EXTERNAL: "external constraint",
    Purpose.STATION_MAX: "station profile",
    Purpose.TX_DEFAULT: "default profile",
    Purpose.TX: "transaction profile",
}


class Feed(StrEnum):
    """What of the number of phases can be chosen here."""

    GIVEN = ""  # nothing: the EV takes what it can
    SWITCHED = "switched"
    AUTOMATIC = "automatic"
    FIXED = "fixed"  # nothing, and it is known how many there are


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
    `dated`: the date is known."""

    evse: int
    phases: int = 3
    transaction: str = ""
    began: float | None = None
    cap_a: float = inf
    dated: bool = True
    feed: Feed = Feed.GIVEN


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
    """What the profiles allow at this place at `at` (UTC epoch s): to an EVSE by itself, or (evse 0) to the station."""
    concerned = [one for one in installed if _concerns(one, place)]
    groups: Iterable[tuple[Purpose, ...]] = ((purpose,) for purpose in STATION) if place.evse == 0 else (TRANSACTION,)
    ruling = (_ruling(concerned, group, place, at) for group in groups)
    found = [_weighed(*one, place) for one in ruling if one is not None]
    if not found:
        return Limit(None, phases=place.phases)
    least, *others = sorted(found, key=lambda one: one.amps or 0.0)
    rest = ", ".join(f"{one.why} allows {one.amps:.4g} A" for one in others)
    why = f"{least.why} ({rest})" if rest else least.why
    if (least.amps or 0.0) < least.minimum_a:
        why = f"{why}, below its minimum rate of {least.minimum_a:.4g} A"
    return replace(least, why=why)


def _ruling(
    concerned: Sequence[Installed], purposes: tuple[Purpose, ...], place: Place, at: float
) -> tuple[Installed, Period] | None:
    """Of the first purpose that has anything to say."""
    found = (_governing(concerned, purpose, place, at) for purpose in purposes)
    return next((one for one in found if one is not None), None)


def _governing(
    concerned: Sequence[Installed], purpose: Purpose, place: Place, at: float
) -> tuple[Installed, Period] | None:
    counting = [
        (one, period)
        for one in concerned
        if one.profile.purpose is purpose and (period := _period(one.profile, place, at)) is not None
    ]
    if not place.dated and purpose in STATION:
        return min(counting, key=lambda pair: _amps(pair[0].profile, pair[1], place), default=None)
    return max(counting, key=lambda pair: (pair[0].profile.stack_level, pair[0].evse), default=None)


def _weighed(one: Installed, period: Period, place: Place) -> Limit:
    """The limit of a governing period, in amperes a phase and in words."""
    profile, phases = one.profile, _phases(one.profile, period, place)
    amps = _amps(profile, period, place)
    why = f"{_NAMES[profile.purpose]} {profile.id} at stack level {profile.stack_level}"
    details = [f"{period.limit:.6g} W on {phases} phase{'s' * (phases > 1)}"] if profile.unit == "W" else []
    if not place.dated and _needs_date(profile):
        details.append("the least of its periods, for the time is not known")
    minimum_a = (profile.minimum_rate or 0.0) / (NOMINAL_V * phases if profile.unit == "W" else 1.0)
    return Limit(amps, f"{why}, {', '.join(details)}" if details else why, phases, minimum_a)


def _concerns(one: Installed, place: Place) -> bool:
    purpose = one.profile.purpose
    if purpose in STATION or place.evse == 0:
        return place.evse == 0 and purpose in STATION
    if purpose is Purpose.TX:
        return one.evse == place.evse and one.transaction == place.transaction
    return one.evse in (0, place.evse)


def _phases(profile: Profile, period: Period, place: Place) -> int:
    if place.feed is Feed.FIXED:
        return place.phases
    phases = min(period.phases or place.phases, place.phases)
    if place.feed is Feed.GIVEN or place.phases == 1:
        return phases
    if place.feed is Feed.AUTOMATIC and profile.unit == "W":
        too_few = period.limit / (NOMINAL_V * place.phases) < MINIMUM_A <= period.limit / NOMINAL_V
        phases = 1 if too_few else phases
    return phases if phases == place.phases else 1


def _amps(profile: Profile, period: Period, place: Place) -> float:
    """One division, so that what is exact stays exact: 4140 W on three phases are 6 A and not a hair less."""
    return period.limit / (NOMINAL_V * _phases(profile, period, place) if profile.unit == "W" else 1.0)


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


def is_over(profile: Profile, at: float) -> bool:
    """It can never count again."""
    if profile.valid_to is not None and profile.valid_to <= at:
        return True
    once = profile.kind is Kind.ABSOLUTE and profile.start is not None and profile.duration_s is not None
    return once and profile.start + profile.duration_s <= at  # type: ignore[operator]


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
    installed: Sequence[Installed], places: Sequence[Place], evse: int, start: float, duration_s: int, unit: str
) -> tuple[list[Piece], int]:
    """The composite schedule of `evse` in `unit` from `start` on, equal neighbours merged, and for how many seconds it
    holds: fewer than `duration_s` when `MAX_PERIODS` or `MAX_CHANGES` end it before. `places`: the station (evse 0),
    then those EVSEs that share it, in the order in which they came; for `evse` 0, all there are."""
    places = [replace(place, began=start) if place.began is None else place for place in places]
    pieces: list[Piece] = []
    at = start
    for _ in range(MAX_CHANGES):
        if at >= start + max(duration_s, 1):
            return pieces, duration_s
        offset_s = round(at - start)
        limit_, phases = _level(installed, places, evse, at, unit)
        if pieces and pieces[-1][0] == offset_s:
            pieces.pop()  # less than half a second long
        if not pieces or pieces[-1][1:] != (limit_, phases):
            if len(pieces) == MAX_PERIODS:
                return pieces, offset_s
            pieces.append((offset_s, limit_, phases))
        changes = (change for place in places if (change := next_change(installed, place, at)) is not None)
        at = min(changes, default=inf)
    return pieces, round(min(at - start, duration_s))


def _level(
    installed: Sequence[Installed], places: Sequence[Place], evse: int, at: float, unit: str
) -> tuple[float, int]:
    """Limit in `unit` and phases; for a whole station no more than its EVSEs can take together."""
    station, *mine = (_capped(installed, place, at) for place in places)
    volts = [NOMINAL_V * phases if unit == "W" else 1.0 for _amps, phases in (station, *mine)]
    if evse == 0:
        together = sum(amps * factor for (amps, _phases), factor in zip(mine, volts[1:], strict=True))
        return _tenths(min(station[0] * volts[0], together)), station[1]
    index = next(number for number, place in enumerate(places[1:]) if place.evse == evse)
    amps, phases = divide(station[0], [own for own, _phases in mine])[index], mine[index][1]
    return _tenths(amps * volts[1 + index]), phases


def _tenths(value: float) -> float:
    return floor(value * 10 + 1e-6) / 10


def _capped(installed: Sequence[Installed], place: Place, at: float) -> tuple[float, int]:
    found = limit(installed, place, at)
    return (place.cap_a if found.amps is None else min(found.amps, place.cap_a)), found.phases
