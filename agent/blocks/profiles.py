"""K: Smart charging. Which charging profiles are installed, and the limit that they set for each EVSE now.

Rules kept here:
* A profile replaces one of the same id, and one of the same purpose, stack level and EVSE (for a TxProfile: of the same
  transaction). All are remembered over restarts; a TxProfile ends with its transaction.
* A profile that came with a remote start waits (`profile_wishes`) for the grant that this start leads to, limits that
  EVSE from the grant on, and becomes the transaction's when it begins.
* One that can never count again is not accepted, and is removed once a sure clock says so.
* A schedule without a start begins when it was received (station, Recurring), else when the EV was ready to charge.
* Relative schedules run on the monotonic clock from that moment on: a clock set anew does not move them. After a power
  cut without a clock they begin again.
* The link does not matter: what is installed counts, until it ends by its own times. What counts while nobody knows
  the time is said in `composite`.
* `evse.limit_a` and the station's limit are worked out anew only when something has changed or a period begins; in
  `Station` this block stands before `Power`, which divides the station's among those who charge.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import ceil, inf
from typing import Any, ClassVar

from agent.blocks import composite
from agent.blocks.composite import Feed, Installed, Place
from agent.blocks.kept import Kept, instant, text
from agent.blocks.profile_rules import anchored, dated, decode, encode, malformed, replaces
from agent.blocks.profile_wishes import Wishes
from agent.blocks.shares import in_order
from agent.blocks.station import Block, Facts, Out
from agent.core.effects import Effect, Forget, Note, Remember, Reply, ScheduleAnswer, StatusAnswer
from agent.core.events import (
    Denied,
    Event,
    Granted,
    GrantLapsed,
    RemoteStartWanted,
    Restored,
    StopWanted,
    TransactionBegan,
    TransactionEnded,
)
from agent.core.evse import CONNECTED, Evse
from agent.core.phases import WATTS_TELL
from agent.core.profile import Profile, Purpose
from agent.core.record import replace
from agent.core.requests import (
    ProfileClearRequested,
    ProfileSetRequested,
    ScheduleRequested,
    StartRequested,
)
from agent.core.types import ClockQuality, Instant

PROFILES = "profiles"  # tables of the store
BEGAN = "schedules_began"
SOON_S = 0.01  # a deadline lies at least so far ahead, or a rounding could make it come for ever
LATE_S = 1.0  # an EV that is ready later than this after its transaction began is worth remembering
_ENTRIES = "SmartChargingCtrlr.Entries[ChargingProfiles]"


class Profiles(Block):
    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._vars = facts.variables
        self._installed: dict[int, Installed] = {}
        self._wishes = Wishes()
        self._ready: dict[int, Instant] = {}  # by EVSE: when its Relative schedules began
        self._late: dict[str, Any] = {}  # by EVSE: what of `_ready` is remembered
        self._revision = 0
        self._worked_out: tuple[object, ...] = ()
        self._next: float | None = None
        self._vars.compute(_ENTRIES, lambda _now: str(len(self._installed)))

    def next_deadline(self) -> float | None:
        return self._next

    # --- install ------------------------------------------------------------------------------------------------

    def on_set(self, e: ProfileSetRequested, now: Instant) -> Out:
        profile: Profile = e.profile
        reason = self._refusal(profile, e.evse, now)
        if reason:
            yield Reply(e.ref, StatusAnswer("Rejected", reason=reason))
            yield Note("warning", "ProfileRefused", f"charging profile {profile.id} for EVSE {e.evse}: {reason}")
            return
        yield Reply(e.ref, StatusAnswer("Accepted"))
        yield from self._install(self._placed(anchored(profile, now), e.evse))

    def _placed(self, profile: Profile, evse: int) -> Installed:
        tx = self._facts.evses[evse].tx if profile.purpose is Purpose.TX else None
        return Installed(profile, evse, tx.id if tx else "")

    def _refusal(self, profile: Profile, evse: int, now: Instant) -> str:
        """Why this may not be installed (a reason code of OCPP 2), or ""."""
        station = profile.purpose is Purpose.STATION_MAX
        checks = (
            (not self._vars.flag("SmartChargingCtrlr.Enabled"), "NotEnabled"),
            (evse != 0 and evse not in self._facts.evses, "UnknownEvse"),
            (profile.purpose is Purpose.STATION_EXTERNAL, "InvalidProfile"),  # K01.FR.22: not the CSMS's to set
            (station and evse != 0, "InvalidProfile"),
            (profile.purpose is Purpose.TX and evse == 0, "InvalidProfile"),
        )
        reason = next((why for bad, why in checks if bad), "") or malformed(profile, self._vars, now)
        if not reason and profile.purpose is Purpose.TX:
            reason = self._foreign(profile, self._facts.evses[evse])
        return reason or self._full(self._placed(profile, evse))

    def _foreign(self, profile: Profile, evse: Evse) -> str:
        tx = evse.tx
        if tx is None or tx.stop is not None or profile.transaction not in (None, tx.id, tx.csms_id):
            return "TxNotFound"
        return ""

    def _full(self, new: Installed) -> str:
        row = self._vars.find(_ENTRIES)
        assert row is not None
        assert row.maximum is not None
        stay = sum(1 for old in self._installed.values() if not replaces(new, old))
        return "TooManyElements" if stay + len(self._wishes) >= row.maximum else ""

    def _install(self, new: Installed) -> Iterator[Effect]:
        if self._installed.get(new.profile.id) == new:
            return  # some central systems say the same again every minute: spare the memory
        for old in [old for old in self._installed.values() if replaces(new, old)]:
            yield from self._remove(old, told=False)
        self._installed[new.profile.id] = new
        self._revision += 1
        yield Remember(PROFILES, str(new.profile.id), encode(new))
        where = f"EVSE {new.evse}" if new.evse else "the station"
        what = f"{new.profile.purpose} {new.profile.id} at stack level {new.profile.stack_level} for {where}"
        yield Note("info", "ProfileInstalled", what, (("PROFILE", new.profile.id), ("EVSE", new.evse)))

    def _remove(self, old: Installed, told: bool = True) -> Iterator[Effect]:
        del self._installed[old.profile.id]
        self._revision += 1
        yield Forget(PROFILES, str(old.profile.id))
        if told:
            fields = (("PROFILE", old.profile.id), ("EVSE", old.evse))
            yield Note("info", "ProfileRemoved", f"{old.profile.purpose} {old.profile.id} is gone", fields)

    # --- clear and tell -----------------------------------------------------------------------------------------

    def on_clear(self, e: ProfileClearRequested, _now: Instant) -> Out:
        """Also what came with a remote start, and waits for its transaction."""
        fitting = [one for one in self._installed.values() if _is_meant(one, e)]
        waiting = self._wishes.clear(lambda one: _is_meant(one, e))
        yield Reply(e.ref, StatusAnswer("Accepted" if fitting or waiting else "Unknown"))
        for one in fitting:
            yield from self._remove(one)

    def on_schedule(self, e: ScheduleRequested, now: Instant) -> Out:
        units = self._vars.members("SmartChargingCtrlr.RateUnit")
        unit = e.unit or next(iter(units), "A")
        checks = (
            (not self._vars.flag("SmartChargingCtrlr.Enabled"), "NotEnabled"),
            (e.evse != 0 and e.evse not in self._facts.evses, "UnknownEvse"),
            (unit not in units, "UnsupportedRateUnit"),
        )
        refused = any(bad for bad, _why in checks)
        yield Reply(e.ref, ScheduleAnswer("Rejected", e.evse) if refused else self._composite(e, unit, now))

    def _composite(self, e: ScheduleRequested, unit: str, now: Instant) -> ScheduleAnswer:
        # The next whole second: what has just been set counts by then.
        start = Instant(now.mono, float(ceil(now.utc)), now.quality, now.boot)
        evses = list(self._facts.evses.values()) if e.evse == 0 else self._sharers(self._facts.evses[e.evse])
        places = [self._station(now), *(self._place(evse, now) for evse in evses)]
        pieces, duration_s = composite.schedule(self._all(), places, e.evse, start.utc, e.duration_s, unit)
        return ScheduleAnswer("Accepted", e.evse, start, duration_s, unit, tuple(pieces))

    def _sharers(self, asked: Evse) -> list[Evse]:
        """Who may draw, in the order in which they came; the one that is asked about is the last of them if it may
        not yet."""
        drawing = in_order(evse for evse in self._facts.evses.values() if _may_draw(evse))
        return drawing if asked in drawing else [*drawing, asked]

    # --- remote start -------------------------------------------------------------------------------------------

    def refuses_start(self, profile: Profile, now: Instant) -> str:
        """Why a remote start may not bring this profile (a reason code of OCPP 2), or "". Without smart charging the
        profile is not looked at."""
        if not self._vars.flag("SmartChargingCtrlr.Enabled"):
            return ""
        if profile.purpose is not Purpose.TX:
            return "InvalidProfile"
        return malformed(profile, self._vars, now) or self._full(Installed(profile, 1))

    def on_start(self, e: StartRequested, now: Instant) -> Out:
        self._wishes.ask_no_more()
        if e.profile is None or not self._vars.flag("SmartChargingCtrlr.Enabled"):
            return
        reason = self.refuses_start(e.profile, now)
        if reason:
            yield Note("warning", "ProfileRefused", f"charging profile {e.profile.id} of a remote start: {reason}")
        else:
            self._wishes.ask(e, anchored(e.profile, now))

    def on_wanted(self, e: RemoteStartWanted, _now: Instant) -> Out:
        self._wishes.accept(e)
        return iter(())

    def on_granted(self, e: Granted, _now: Instant) -> Out:
        self._wishes.grant(e)
        tx = self._facts.evses[e.evse].tx
        if tx is not None and tx.stop is None:  # it has begun already, without a token
            yield from self._keep_promise(e.evse, tx.id)

    def on_began(self, e: TransactionBegan, _now: Instant) -> Out:
        yield from self._keep_promise(e.evse, e.transaction)

    def _keep_promise(self, evse: int, transaction: str) -> Iterator[Effect]:
        grant = self._facts.evses[evse].grant
        profile = self._wishes.keep(evse, grant.token if grant else None)
        if profile is not None:
            yield from self._install(Installed(profile, evse, transaction))

    def on_over(self, e: GrantLapsed | StopWanted, _now: Instant) -> Out:
        self._wishes.drop(e.evse)
        return iter(())

    def on_denied(self, e: Denied, _now: Instant) -> Out:
        self._wishes.deny(e)
        return iter(())

    def on_ended(self, e: TransactionEnded, _now: Instant) -> Out:
        self._wishes.drop(e.evse)
        for old in [one for one in self._installed.values() if one.transaction == e.transaction]:
            yield from self._remove(old)
        self._ready.pop(e.evse, None)
        if self._late.pop(str(e.evse), None) is not None:
            yield Forget(BEGAN, str(e.evse))

    # --- memory -------------------------------------------------------------------------------------------------

    def on_restored(self, e: Restored, _now: Instant) -> Out:
        late = Kept(e, BEGAN)
        self._late = late.rows(lambda _key, value: [text(value[0]), *_moment(value)])
        yield from late.forget()
        running = {found.transaction for found in e.open_transactions} | {""}
        for key, value in e.tables.get(PROFILES, {}).items():
            one = decode(value)
            if one is not None and one.transaction in running and one.evse in (0, *self._facts.evses):
                self._installed[one.profile.id] = one
                continue
            yield Forget(PROFILES, key)
            why = "cannot be read" if one is None else "is for what is no more"
            yield Note("warning", "ProfileForgotten", f"the charging profile kept as {key} {why}")
        self._revision += 1

    # --- the limit of now ---------------------------------------------------------------------------------------

    def derive(self, now: Instant) -> Out:
        self._wishes.ask_no_more()  # a start that was accepted has taken it along by now
        for evse in self._facts.evses.values():
            yield from self._follow(evse, now)
        state = self._state(now)
        if state != self._worked_out or (self._next is not None and now.mono >= self._next):
            yield from self._sweep(now)
            self._worked_out = self._state(now)
            self._work_out(now)

    def _sweep(self, now: Instant) -> Iterator[Effect]:
        """What is over makes room; only when the time is sure, for it does not come back."""
        if now.quality is ClockQuality.SYNCED:
            for old in [one for one in self._installed.values() if composite.is_over(one.profile, now.utc)]:
                yield from self._remove(old)

    def _follow(self, evse: Evse, now: Instant) -> Iterator[Event | Effect]:
        """When the EVSE became ready to charge somebody's EV."""
        tx = evse.tx
        if tx is None and evse.grant is None:
            self._ready.pop(evse.id, None)
        elif evse.id in self._ready:
            return
        elif tx is not None and tx.restored:
            if tx.token is not None:
                self._ready[evse.id] = self._recalled(evse.id, tx.id, tx.started_at)
        elif evse.grant is not None and evse.plugged:
            self._ready[evse.id] = now
            if tx is not None and now.mono - tx.started_at.mono > LATE_S:
                value = [tx.id, now.mono, now.utc, int(now.quality), now.boot]
                self._late[str(evse.id)] = value
                yield Remember(BEGAN, str(evse.id), value)

    def _recalled(self, evse: int, transaction: str, started_at: Instant) -> Instant:
        found = self._late.get(str(evse))
        return instant(found[1:]) if found and found[0] == transaction else started_at

    def _state(self, now: Instant) -> tuple[object, ...]:
        """All that the limits follow from, beside the passing of time."""
        if not self._installed and not self._wishes:
            return ()
        enabled = self._vars.flag("SmartChargingCtrlr.Enabled")
        evses = tuple(
            (evse.tx.id if evse.tx else "", self._ready.get(evse.id), evse.phases_now)
            for evse in self._facts.evses.values()
        )
        return (self._revision, self._wishes.revision, enabled, dated(now), round(now.utc - now.mono), evses)

    def _work_out(self, now: Instant) -> None:
        profiles = self._all() if self._vars.flag("SmartChargingCtrlr.Enabled") else []
        places = {evse.id: self._place(evse, now) for evse in self._facts.evses.values()}
        station = self._station(now)
        for number, place in places.items():
            self._limit(self._facts.evses[number], profiles, (place, station), now)
        found = composite.limit(profiles, self._as_fed(station), now.utc)
        self._facts.station_limit_a, self._facts.station_limit_why = found.amps, found.why
        changes = [composite.next_change(profiles, place, now.utc) for place in (station, *places.values())]
        at = min((change for change in changes if change is not None), default=None)
        self._next = None if at is None else now.mono + max(at - now.utc, SOON_S)

    def _limit(self, evse: Evse, profiles: list[Installed], places: Sequence[Place], now: Instant) -> None:
        place, *_ = places
        if place.feed is not Feed.GIVEN:
            found = [composite.limit(profiles, one, now.utc) for one in places]
            evse.phases_wanted = min(one.phases for one in found)
            place = self._as_fed(place)
        limit = composite.limit(profiles, place, now.utc)
        evse.limit_a, evse.limit_why = limit.amps, limit.why

    def _as_fed(self, place: Place) -> Place:
        """With the phases that there are now."""
        if place.feed is Feed.GIVEN:
            return place
        evse = self._facts.evses[place.evse] if place.evse else next(iter(self._facts.evses.values()))
        return replace(place, phases=evse.phases, feed=Feed.FIXED)

    def _all(self) -> list[Installed]:
        """What is installed, and what is promised: the profile of a transaction that is yet without a name."""
        return [*self._installed.values(), *self._wishes.promised()]

    def _place(self, evse: Evse, now: Instant) -> Place:
        ready = self._ready.get(evse.id)
        began = None if ready is None else self._began(evse.id, ready, now)
        transaction = evse.tx.id if evse.tx else ""
        return Place(evse.id, evse.limits.phases, transaction, began, evse.limits.max_a, dated(now), feed(evse))

    def _station(self, now: Instant) -> Place:
        """Where it has a single EVSE, what is chosen for that is chosen for the station; else nobody chooses."""
        evses = list(self._facts.evses.values())
        phases = max(evse.limits.phases for evse in evses)
        chosen = feed(evses[0]) if len(evses) == 1 else Feed.GIVEN
        return Place(0, phases, cap_a=self._supply_a(), dated=dated(now), feed=chosen)

    def _began(self, evse: int, ready: Instant, now: Instant) -> float:
        """The moment in the reckoning of the clock as it is now."""
        if ready.boot == now.boot:
            return now.utc - (now.mono - ready.mono)
        if ready.quality is not ClockQuality.UNKNOWN and dated(now):
            return min(ready.utc, now.utc)
        self._ready[evse] = now  # nobody knows how long the power was away: begin again
        return now.utc

    def _supply_a(self) -> float:
        return inf if self._facts.station_max_a is None else self._facts.station_max_a

    HEARS: ClassVar = {
        Restored: "on_restored",
        ProfileSetRequested: "on_set",
        ProfileClearRequested: "on_clear",
        ScheduleRequested: "on_schedule",
        StartRequested: "on_start",
        RemoteStartWanted: "on_wanted",
        Granted: "on_granted",
        Denied: "on_denied",
        GrantLapsed: "on_over",
        StopWanted: "on_over",
        TransactionBegan: "on_began",
        TransactionEnded: "on_ended",
    }


def _moment(value: Any) -> list[Any]:
    instant(value[1:])
    return list(value[1:])


def _is_meant(one: Installed, e: ProfileClearRequested) -> bool:
    """An id alone decides (K10.FR.02); else all that is given has to fit."""
    if e.profile_id is not None:
        return one.profile.id == e.profile_id
    criteria = (
        (e.evse, one.evse),
        (e.purpose, str(one.profile.purpose)),
        (e.stack_level, one.profile.stack_level),
    )
    return all(wanted is None or wanted == has for wanted, has in criteria)


def feed(evse: Evse) -> Feed:
    rule = evse.limits.switching
    if rule is None:
        return Feed.GIVEN
    return Feed.AUTOMATIC if rule.when == WATTS_TELL else Feed.SWITCHED


def _may_draw(evse: Evse) -> bool:
    ending = evse.tx is not None and evse.tx.stop is not None
    able = evse.operative and not evse.stopped_by_fault and evse.pilot in CONNECTED
    return able and evse.grant is not None and not ending
