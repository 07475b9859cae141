"""K: Smart charging. Which charging profiles are installed, and the limit that they set for each EVSE now.

Rules kept here:
* A profile replaces one of the same id, and one of the same purpose, stack level and EVSE (for a TxProfile: of the same
  transaction). All are remembered over restarts; a TxProfile ends with its transaction.
* A profile that came with a remote start waits, in memory, for the grant that this start leads to, limits that EVSE
  from the grant on, and becomes the transaction's when it begins. A start that is refused or lapses leaves nothing.
* A schedule without a start begins when it was received (station, Recurring), else when the EV was ready to charge.
* Relative schedules run on the monotonic clock from that moment on: a clock set anew does not move them. After a power
  cut without a clock they begin again.
* The link does not matter: what is installed counts, until it ends by its own times. What counts while nobody knows
  the time is said in `composite`.
* `evse.limit_a` is worked out anew only when something has changed or a period begins; in `Station` this block stands
  before `Power`.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import floor, inf
from typing import Any, ClassVar

from agent.blocks import composite
from agent.blocks.composite import Installed, Place
from agent.blocks.profile_rules import anchored, dated, decode, encode, malformed, replaces
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
from agent.core.profile import Profile, Purpose
from agent.core.record import record, replace
from agent.core.requests import (
    ProfileClearRequested,
    ProfileSetRequested,
    ScheduleRequested,
    StartRequested,
)
from agent.core.types import ClockQuality, Instant, Trigger
from drivers.api import IdToken

PROFILES = "profiles"  # tables of the store
BEGAN = "schedules_began"
MAX_WISHES = 16
SOON_S = 0.01  # a deadline lies at least so far ahead, or a rounding could make it come for ever
LATE_S = 1.0  # an EV that is ready later than this after its transaction began is worth remembering
_ENTRIES = "SmartChargingCtrlr.Entries[ChargingProfiles]"


@record
class _Wish:
    """A profile for the transaction that a remote start may lead to."""

    token: IdToken
    remote_start_id: int | None
    profile: Profile
    evses: tuple[int, ...] = ()


class Profiles(Block):
    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._vars = facts.variables
        self._installed: dict[int, Installed] = {}
        self._asked: _Wish | None = None  # by the start that is being handled
        self._wishes: dict[
            tuple[str, tuple[int, ...]], _Wish
        ] = {}  # by token and EVSEs: the start was accepted, no EVSE is chosen yet
        self._promised: dict[int, _Wish] = {}  # by EVSE: its next transaction's
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
        return "TooManyElements" if stay >= row.maximum else ""

    def _install(self, new: Installed) -> Iterator[Effect]:
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
        """An id alone decides (K10.FR.02); else all that is given has to fit."""
        fitting = [
            one
            for one in self._installed.values()
            if (one.profile.id == e.profile_id if e.profile_id is not None else _fits(one, e))
        ]
        yield Reply(e.ref, StatusAnswer("Accepted" if fitting else "Unknown"))
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
        start = Instant(now.mono, float(floor(now.utc)), now.quality, now.boot)
        evses = list(self._facts.evses.values())
        if e.evse:
            places = [self._place(self._facts.evses[e.evse], now, self._sharers())]
        else:
            station = Place(0, max(evse.limits.phases for evse in evses), cap_a=self._supply_a(), dated=dated(now))
            places = [station, *(self._place(evse, now, 1) for evse in evses)]
        pieces, duration_s = composite.schedule(self._all(), places, start.utc, e.duration_s, unit)
        return ScheduleAnswer("Accepted", e.evse, start, duration_s, unit, tuple(pieces))

    # --- remote start -------------------------------------------------------------------------------------------

    def refuses_start(self, profile: Profile, now: Instant) -> str:
        """Why a remote start may not bring this profile (a reason code of OCPP 2), or ""."""
        if not self._vars.flag("SmartChargingCtrlr.Enabled"):
            return "NotEnabled"
        if profile.purpose is not Purpose.TX:
            return "InvalidProfile"
        return malformed(profile, self._vars, now) or self._full(Installed(profile, 1))

    def on_start(self, e: StartRequested, now: Instant) -> Out:
        self._asked = None
        if e.profile is None:
            return
        reason = self.refuses_start(e.profile, now)
        if reason:
            yield Note("warning", "ProfileRefused", f"charging profile {e.profile.id} of a remote start: {reason}")
        else:
            self._asked = _Wish(e.token, e.remote_start_id, anchored(e.profile, now))

    def on_wanted(self, e: RemoteStartWanted, _now: Instant) -> Out:
        """The start was accepted. What an earlier one of this token has brought for one of these EVSEs is void."""
        for token, evses in [*self._wishes]:
            if token == _key(e.token) and {*evses} & {*e.evses}:
                del self._wishes[token, evses]
        asked, self._asked = self._asked, None
        if asked is not None and (asked.token, asked.remote_start_id) == (e.token, e.remote_start_id):
            if len(self._wishes) >= MAX_WISHES:
                del self._wishes[next(iter(self._wishes))]
            self._wishes[_key(e.token), e.evses] = replace(asked, evses=e.evses)
        return iter(())

    def on_granted(self, e: Granted, now: Instant) -> Out:
        self._promise(e.evse, None)
        key = next((key for key in self._wishes if key[0] == _key(e.token) and e.evse in key[1]), None)
        wish = None if key is None else self._wishes[key]
        if e.trigger is not Trigger.REMOTE_START or wish is None or wish.remote_start_id != e.remote_start_id:
            return
        del self._wishes[_key(e.token), wish.evses]
        self._promise(e.evse, wish)
        tx = self._facts.evses[e.evse].tx
        if tx is not None and tx.stop is None:  # it has begun already, without a token
            yield from self._keep_promise(e.evse, tx.id)

    def on_began(self, e: TransactionBegan, _now: Instant) -> Out:
        yield from self._keep_promise(e.evse, e.transaction)

    def _keep_promise(self, evse: int, transaction: str) -> Iterator[Effect]:
        wish = self._promised.get(evse)
        self._promise(evse, None)
        grant = self._facts.evses[evse].grant
        if wish is not None and grant is not None and _key(grant.token) == _key(wish.token):
            yield from self._install(Installed(wish.profile, evse, transaction))

    def _promise(self, evse: int, wish: _Wish | None) -> None:
        if self._promised.pop(evse, None) is not None or wish is not None:
            self._revision += 1
        if wish is not None:
            self._promised[evse] = wish

    def on_over(self, e: GrantLapsed | StopWanted, _now: Instant) -> Out:
        self._promise(e.evse, None)
        return iter(())

    def on_denied(self, e: Denied, _now: Instant) -> Out:
        self._wishes.pop((_key(e.token), e.evses), None)  # else the card was refused for something else
        return iter(())

    def on_ended(self, e: TransactionEnded, _now: Instant) -> Out:
        self._promise(e.evse, None)
        for old in [one for one in self._installed.values() if one.transaction == e.transaction]:
            yield from self._remove(old)
        self._ready.pop(e.evse, None)
        if self._late.pop(str(e.evse), None) is not None:
            yield Forget(BEGAN, str(e.evse))

    # --- memory -------------------------------------------------------------------------------------------------

    def on_restored(self, e: Restored, _now: Instant) -> Out:
        self._late = dict(e.tables.get(BEGAN, {}))
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
        self._asked = None  # a start that was accepted has taken it along by now
        for evse in self._facts.evses.values():
            yield from self._follow(evse, now)
        state = self._state(now)
        if state != self._worked_out or (self._next is not None and now.mono >= self._next):
            self._worked_out = state
            self._work_out(now)

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
        match self._late.get(str(evse)):
            case [str(whose), int() | float() as mono, int() | float() as utc, int(quality), str(boot)]:
                if whose == transaction:
                    return Instant(mono, utc, ClockQuality(quality), boot)
        return started_at

    def _state(self, now: Instant) -> tuple[object, ...]:
        """All that the limits follow from, beside the passing of time."""
        if not self._installed and not self._promised:
            return ()
        enabled = self._vars.flag("SmartChargingCtrlr.Enabled")
        evses = tuple((evse.tx.id if evse.tx else "", self._ready.get(evse.id)) for evse in self._facts.evses.values())
        return (self._revision, enabled, dated(now), round(now.utc - now.mono), self._sharers(), evses)

    def _work_out(self, now: Instant) -> None:
        profiles = self._all() if self._vars.flag("SmartChargingCtrlr.Enabled") else []
        changes = []
        for evse in self._facts.evses.values():
            place = self._place(evse, now, self._sharers())
            found = composite.limit(profiles, place, now.utc)
            evse.limit_a, evse.limit_why = found.amps, found.why
            changes.append(composite.next_change(profiles, place, now.utc))
        at = min((change for change in changes if change is not None), default=None)
        self._next = None if at is None else now.mono + max(at - now.utc, SOON_S)

    def _all(self) -> list[Installed]:
        """What is installed, and what is promised: the profile of a transaction that is yet without a name."""
        promised = [Installed(wish.profile, evse) for evse, wish in self._promised.items()]
        return [*self._installed.values(), *promised]

    def _place(self, evse: Evse, now: Instant, sharers: int) -> Place:
        ready = self._ready.get(evse.id)
        began = None if ready is None else self._began(evse.id, ready, now)
        transaction = evse.tx.id if evse.tx else ""
        cap_a = min(evse.limits.max_a, self._supply_a())
        return Place(evse.id, evse.limits.phases, transaction, began, cap_a, sharers, dated(now))

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

    def _sharers(self) -> int:
        """How many EVSEs may draw now; rather one too many than one too few."""
        return max(1, sum(1 for evse in self._facts.evses.values() if _may_draw(evse)))

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


def _key(token: IdToken) -> str:
    return token.value.lower()


def _fits(one: Installed, e: ProfileClearRequested) -> bool:
    criteria = (
        (e.evse, one.evse),
        (e.purpose, str(one.profile.purpose)),
        (e.stack_level, one.profile.stack_level),
    )
    return all(wanted is None or wanted == has for wanted, has in criteria)


def _may_draw(evse: Evse) -> bool:
    ending = evse.tx is not None and evse.tx.stop is not None
    able = evse.operative and not evse.stopped_by_fault and evse.pilot in CONNECTED
    return able and evse.grant is not None and not ending
