"""The arithmetic of charging profiles against a slow oracle that paints calendars.

The oracle knows no formula: it lays a strip of ten-minute slots for each profile, paints its periods on it one after
the other (each recurrence over the one before), wipes what is not valid, lays the strips of a purpose over one another
from the lowest stack level to the highest, and takes the least of the purposes. Shares it hands out in coins of a tenth
of an ampere, one round after the other.
"""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.blocks.composite import Installed, Piece, Place, limit, next_change, schedule
from agent.blocks.shares import divide, offer
from agent.core.profile import Kind, Period, Profile, Purpose, Recurrency
from agent.core.record import replace

SLOT_S = 600
SLOTS = 9 * 144  # nine days
DAY = 144
ZERO = 1_800_000_000.0
PLACE = Place(1, phases=3, transaction="mine", cap_a=63.0)
GRID = Place(0, phases=3)

Strip = list[float | None]


# --- the oracle ---


def paint(profile: Profile, began: int) -> Strip:
    strip: Strip = [None] * SLOTS
    first = began if profile.start is None or profile.kind is Kind.RELATIVE else slot(profile.start)
    turn = {None: SLOTS * 10, Recurrency.DAILY: DAY, Recurrency.WEEKLY: 7 * DAY}[profile.recurrency]
    while first < SLOTS:
        paint_once(strip, profile, first, turn)
        first += turn
    for index in range(SLOTS):
        early = profile.valid_from is not None and index < slot(profile.valid_from)
        late = profile.valid_to is not None and index >= slot(profile.valid_to)
        if early or late:
            strip[index] = None
    return strip


def paint_once(strip: Strip, profile: Profile, first: int, turn: int) -> None:
    length = SLOTS * 10 if profile.duration_s is None else profile.duration_s // SLOT_S
    for slot_of_run in range(min(length, turn)):
        index = first + slot_of_run
        if index >= SLOTS:
            return
        if index < 0:
            continue
        for period in profile.periods:
            if period.start_s <= slot_of_run * SLOT_S:
                strip[index] = amperes(profile, period)


def amperes(profile: Profile, period: Period) -> float:
    if profile.unit == "A":
        return period.limit
    return period.limit / (230 * (period.phases if period.phases else 3))


def lay(strips: Sequence[Strip]) -> Strip:
    laid: Strip = [None] * SLOTS
    for strip in strips:
        laid = [below if above is None else above for below, above in zip(laid, strip, strict=True)]
    return laid


def oracle(installed: Sequence[Installed], place: Place, began: int) -> Strip:
    def of(purpose: Purpose) -> Strip:
        ordered = sorted(installed, key=lambda one: (one.profile.stack_level, one.evse))
        mine = [one for one in ordered if one.profile.purpose is purpose and one.evse in (0, place.evse)]
        return lay([paint(one.profile, began) for one in mine if one.transaction in ("", place.transaction)])

    if place.evse:
        return lay([of(Purpose.TX_DEFAULT), of(Purpose.TX)])
    stations = [of(Purpose.STATION_MAX), of(Purpose.STATION_EXTERNAL)]
    return [least(values) for values in zip(*stations, strict=True)]


def coins(total: int, wants: Sequence[int]) -> list[int]:
    """Tenths of an ampere for each; wants are in the order in which they came."""
    chosen = [index for index, want in enumerate(wants) if want >= 60]
    while len(chosen) > 1 and len(chosen) * 60 > total:
        chosen.pop()
    given = [0] * len(wants)
    while total > 0 and any(given[index] < wants[index] for index in chosen):
        for index in chosen:
            if total > 0 and given[index] < wants[index]:
                given[index] += 1
                total -= 1
    return given


def least(values: Sequence[float | None]) -> float | None:
    return min((value for value in values if value is not None), default=None)


def slot(utc: float) -> int:
    return round((utc - ZERO) / SLOT_S)


# --- what is tried ---

slots = st.integers(-2 * DAY, SLOTS)
maybe_utc = st.none() | slots.map(lambda index: ZERO + index * SLOT_S)


@st.composite
def profiles(draw: st.DrawFn, purpose: Purpose, number: int) -> Profile:
    starts = draw(st.lists(st.integers(1, 2 * DAY), max_size=4, unique=True).map(sorted))
    unit = draw(st.sampled_from("AW"))
    limits = st.integers(0, 40).map(lambda amps: float(amps * (690 if unit == "W" else 1)))
    phases = st.sampled_from((None, 1, 2, 3))
    kind = draw(st.sampled_from(tuple(Kind)) if purpose in (Purpose.TX, Purpose.TX_DEFAULT) else dated_kinds)
    start = None if kind is Kind.RELATIVE else ZERO + draw(slots) * SLOT_S
    return Profile(
        id=number,
        stack_level=number,  # one level each: which of two at one level counts is for another test
        purpose=purpose,
        kind=kind,
        unit=unit,
        periods=tuple(Period(s * SLOT_S, draw(limits), draw(phases)) for s in (0, *starts)),
        recurrency=draw(st.sampled_from(tuple(Recurrency))) if kind is Kind.RECURRING else None,
        start=start,
        duration_s=draw(st.none() | st.integers(1, 3 * DAY).map(lambda count: count * SLOT_S)),
        valid_from=draw(maybe_utc),
        valid_to=draw(maybe_utc),
    )


dated_kinds = st.sampled_from((Kind.ABSOLUTE, Kind.RECURRING))


@st.composite
def installations(draw: st.DrawFn) -> list[Installed]:
    purposes = draw(st.lists(st.sampled_from(tuple(Purpose)), max_size=5))
    made = []
    for number, purpose in enumerate(purposes):
        profile = draw(profiles(purpose, number))
        evse = {Purpose.TX: 1, Purpose.TX_DEFAULT: draw(st.integers(0, 2))}.get(purpose, 0)
        whose = draw(st.sampled_from(("mine", "mine", "other"))) if purpose is Purpose.TX else ""
        made.append(Installed(profile, evse, whose))
    return draw(st.permutations(made))


began_slots = st.integers(0, DAY)
odd_times = st.integers(0, 1000).map(lambda count: count / 1000)  # the wire tells milliseconds


def place_since(began: int, place: Place = PLACE) -> Place:
    return replace(place, began=ZERO + began * SLOT_S)


# --- what must hold ---


places_of_both = st.sampled_from((PLACE, GRID))


@settings(max_examples=200, deadline=None)
@given(installations(), began_slots, places_of_both)
def test_the_limit_is_the_oracles_at_every_slot(installed: list[Installed], began: int, where: Place) -> None:
    expected = oracle(installed, where, began)
    place = place_since(began, where)
    for index in range(0, SLOTS, 7):
        assert limit(installed, place, ZERO + index * SLOT_S).amps == expected[index]


@settings(max_examples=200, deadline=None)
@given(installations(), began_slots, places_of_both)
def test_from_change_to_change_nothing_of_the_oracle_is_missed(
    installed: list[Installed], began: int, where: Place
) -> None:
    expected = oracle(installed, where, began)
    place = place_since(began, where)
    index = 0
    while index < SLOTS:
        change = next_change(installed, place, ZERO + index * SLOT_S)
        until = SLOTS if change is None else min(slot(change), SLOTS)
        assert set(expected[index:until]) == {expected[index]}
        index = until


@settings(max_examples=150, deadline=None)
@given(installations(), began_slots)
def test_the_composite_schedule_is_the_oracles_calendar(installed: list[Installed], began: int) -> None:
    own, all_ = oracle(installed, PLACE, began), oracle(installed, GRID, began)
    pieces, duration_s = schedule(installed, [GRID, place_since(began)], 1, ZERO, SLOTS * SLOT_S, "A")
    assert drawn(pieces, duration_s) == [tenths(least(values)) for values in zip(own, all_, strict=True)]


@settings(max_examples=100, deadline=None)
@given(installations(), began_slots, st.sampled_from((9.0, 20.0, 70.0)))
def test_the_composite_schedule_of_the_station_is_the_supply_or_all_evses_together(
    installed: list[Installed], began: int, supply_a: float
) -> None:
    evses = [place_since(began, replace(PLACE, evse=n, cap_a=32.0, transaction="mine" * (n == 1))) for n in (1, 2)]
    strips = [oracle(installed, place, began) for place in evses]
    together = [sum(min(32.0, 32.0 if one is None else one) for one in both) for both in zip(*strips, strict=True)]
    expected = zip(together, oracle(installed, GRID, began), strict=True)
    pieces, duration_s = schedule(installed, [replace(GRID, cap_a=supply_a), *evses], 0, ZERO, SLOTS * SLOT_S, "A")
    assert drawn(pieces, duration_s) == [tenths(least(values), supply_a) for values in expected]


def drawn(pieces: Sequence[Piece], duration_s: int) -> Strip:
    strip: Strip = []
    for (start_s, amps, _phases), end_s in zip(pieces, [*(p[0] for p in pieces[1:]), duration_s], strict=True):
        strip += [amps] * ((end_s - start_s) // SLOT_S)
    return strip


many_wants = st.lists(st.integers(0, 400), max_size=6)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 1500), many_wants)
def test_shares_are_handed_out_as_coins_would_be(total: int, wants: list[int]) -> None:
    shares = divide(total / 10, [want / 10 for want in wants])
    expected = coins(total, wants)
    able = [index for index, want in enumerate(wants) if want >= 60]
    assert all(abs(shares[index] - expected[index] / 10) < 0.1 + 1e-9 for index in able)


@settings(max_examples=300, deadline=None)
@given(st.floats(0, 150), st.lists(st.floats(0, 40), max_size=6))
def test_shares_keep_to_the_supply_and_to_what_each_may_take(total_a: float, wants: list[float]) -> None:
    offers = [
        offer([(want, "own"), (share, "share")])[0] for want, share in zip(wants, divide(total_a, wants), strict=True)
    ]
    assert sum(offers) <= total_a + 1e-6
    assert all(offer_a == 0 or 6 <= offer_a <= want + 1e-6 for offer_a, want in zip(offers, wants, strict=True))


@settings(max_examples=300, deadline=None)
@given(st.floats(6, 150), st.lists(st.floats(6, 40), min_size=1, max_size=6))
def test_whoever_came_first_charges_whenever_there_are_six_amperes(total_a: float, wants: list[float]) -> None:
    assert divide(total_a, wants)[0] >= 6 - 1e-9


def tenths(value: float | None, cap_a: float = 63.0) -> float:
    return int(min(cap_a, value if value is not None else cap_a) * 10 + 1e-6) / 10


@settings(max_examples=200, deadline=None)
@given(installations(), began_slots, odd_times, st.integers(0, 2 * DAY * SLOT_S), places_of_both)
def test_changes_come_strictly_later_and_the_limit_holds_until_they_do(
    installed: list[Installed], began: int, odd_s: float, after_s: int, where: Place
) -> None:
    """With times that are no round numbers: an edge that a rounding hides would be slept over."""
    place = replace(where, began=ZERO + began * SLOT_S + odd_s)
    shifted = [replace(one, profile=moved(one.profile, odd_s)) for one in installed]
    at = ZERO + after_s
    for _ in range(40):
        change = next_change(shifted, place, at)
        if change is None:
            return
        assert change > at
        now = limit(shifted, place, at)
        assert [limit(shifted, place, at + (change - at) * part).amps for part in (0.25, 0.5, 0.999)] == [now.amps] * 3
        at = change


def moved(profile: Profile, by_s: float) -> Profile:
    return profile if profile.start is None else replace(profile, start=profile.start + by_s)


@settings(max_examples=100, deadline=None)
@given(installations(), began_slots, st.integers(0, SLOTS))
def test_without_a_clock_the_station_is_never_allowed_more_than_with_one(
    installed: list[Installed], began: int, index: int
) -> None:
    station = [one for one in installed if one.profile.purpose in (Purpose.STATION_MAX, Purpose.STATION_EXTERNAL)]
    at, place = ZERO + index * SLOT_S, place_since(began, GRID)
    known = limit(station, place, at).amps
    unknown = limit(station, replace(place, dated=False), at).amps
    assert known is None or (unknown is not None and unknown <= known)
