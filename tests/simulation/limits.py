"""The charging profiles as the central system believes them to stand, and what they allow, worked out by brute force.

Nothing here knows how the agent does it: a schedule is laid out run by run from its first start, period after period,
and the last one that has begun counts. What the agent offers may never be more, at any step and at any look between the
steps; and when nothing else forbids it, it is not less.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from agent.core.effects import Effect, Reply, ScheduleAnswer
from agent.core.events import Event
from agent.core.evse import Evse
from agent.core.requests import ScheduleRequested
from agent.core.types import ClockQuality, Instant
from tests.simulation.books import Payload
from tests.simulation.plan import Plan

HAIR_S = 0.1  # a deadline may come so much late
SLACK_S = 2.0  # at a look between two steps
PAUSE_S = 45.0  # after which a pause must be over: its least time of 30 s, and some
VOLTS = 230.0
DAY_S, WEEK_S = 86_400, 604_800
PURPOSES = {
    "station": ("ChargePointMaxProfile", "ChargingStationMaxProfile"),
    "default": ("TxDefaultProfile", "TxDefaultProfile"),
    "tx": ("TxProfile", "TxProfile"),
}


@dataclass(frozen=True, slots=True)
class Rule:
    """One profile. `start` None: it is Relative. `every_s` 0: once. Periods: (start, limit, phases or 0)."""

    number: int
    level: int
    purpose: str
    evse: int
    unit: str
    periods: tuple[tuple[int, float, int], ...]
    start: int | None = None
    every_s: int = 0
    duration_s: int | None = None
    valid_from: int | None = None
    valid_to: int | None = None
    transaction: str = ""

    def amps(self, at: float, began: float | None) -> float | None:
        """What it allows at `at`, or None when it has nothing to say."""
        if self.valid_from is not None and at < self.valid_from:
            return None
        if self.valid_to is not None and at >= self.valid_to:
            return None
        first = began if self.start is None else float(self.start)
        found = None
        while first is not None and first <= at:
            found = self._run(at - first)
            if not self.every_s:
                break
            first += self.every_s
        return found

    def _run(self, into_s: float) -> float | None:
        if self.duration_s is not None and into_s >= self.duration_s:
            return None
        reached = [(limit, phases) for start, limit, phases in self.periods if start <= into_s]
        limit, phases = reached[-1]
        return limit / (VOLTS * (phases or 3)) if self.unit == "W" else limit

    @property
    def lasts(self) -> bool:
        """It cannot end by itself."""
        return self.purpose != "tx" and self.valid_to is None and (self.duration_s is None or self.every_s > 0)

    def wire(self, v16: bool) -> Payload:
        """The request that installs it."""
        optional = {"duration": self.duration_s, "startSchedule": stamp(self.start)}
        periods = [
            {"startPeriod": start, "limit": limit} | ({"numberPhases": phases} if phases else {})
            for start, limit, phases in self.periods
        ]
        schedule: Payload = {"chargingRateUnit": self.unit, "chargingSchedulePeriod": periods} | given(optional)
        profile: Payload = {
            "stackLevel": self.level,
            "chargingProfilePurpose": PURPOSES[self.purpose][0 if v16 else 1],
            "chargingProfileKind": "Relative" if self.start is None else "Recurring" if self.every_s else "Absolute",
        }
        recurrency = {0: None, DAY_S: "Daily", WEEK_S: "Weekly"}[self.every_s]
        times = {"validFrom": stamp(self.valid_from), "validTo": stamp(self.valid_to), "recurrencyKind": recurrency}
        profile |= given(times)
        if v16:
            number = {"transactionId": int(self.transaction)} if self.transaction else {}
            profile |= {"chargingProfileId": self.number, "chargingSchedule": schedule} | number
            return {"connectorId": self.evse, "csChargingProfiles": profile}
        name = {"transactionId": self.transaction} if self.transaction else {}
        profile |= {"id": self.number, "chargingSchedule": [{"id": 1} | schedule]} | name
        return {"evseId": self.evse, "chargingProfile": profile}


def given(members: Payload) -> Payload:
    return {name: value for name, value in members.items() if value is not None}


def stamp(utc: int | None) -> str | None:
    return None if utc is None else datetime.fromtimestamp(utc, UTC).isoformat().replace("+00:00", "Z")


class Limits:
    """What is installed. `sure` is False while a request is under way, and for ever after one whose fate is unknown,
    until a clear of everything was answered; then nothing can be compared."""

    def __init__(self, plan: Plan, complain: Callable[[str], None]) -> None:
        self.rules: list[Rule] = []
        self.sure = True
        self.compared = 0
        self._plan, self._complain = plan, complain
        self._now: Instant | None = None
        self._seen_at = 0.0
        self._began: dict[int, tuple[str, Instant]] = {}  # EVSE -> transaction, when its Relative schedules began
        self._paused: dict[int, float] = {}  # EVSE -> since when it pauses although it could charge

    # --- what the central system does -----------------------------------------------------------------------------

    def install(self, new: Rule) -> None:
        def gone(old: Rule) -> bool:
            place = (old.purpose, old.level, old.evse, old.transaction)
            return old.number == new.number or place == (new.purpose, new.level, new.evse, new.transaction)

        self.rules = [old for old in self.rules if not gone(old)] + [new]

    def clear(self, status: str, fits: Callable[[Rule], bool]) -> None:
        fitting = [rule for rule in self.rules if fits(rule)]
        if status == "Unknown" and any(rule.lasts for rule in fitting):
            self._complain(f"nothing to clear, although there are {fitting}")
        self.rules = [rule for rule in self.rules if rule not in fitting]

    # --- by brute force -------------------------------------------------------------------------------------------

    def own(self, evse: Evse, at: float, began: float | None) -> float | None:
        """Of one EVSE: its transaction's profiles, else the defaults."""
        names = () if evse.tx is None else (evse.tx.id, evse.tx.csms_id)
        for purpose in ("tx", "default"):
            rules = [rule for rule in self.rules if rule.purpose == purpose and rule.evse in (0, evse.id)]
            found = highest([rule for rule in rules if purpose != "tx" or rule.transaction in names], at, began)
            if found is not None:
                return found
        return None

    def station(self, at: float) -> float | None:
        return highest([rule for rule in self.rules if rule.purpose == "station"], at, None)

    def _least(self, evse: Evse, at: float, began: float | None) -> float:
        """What an EVSE that charges alone may take."""
        caps = (self.own(evse, at, began), self.station(at), self._plan.station_max_a, evse.limits.max_a)
        cable = None if evse.limits.attached_cable else evse.cable_a
        return min(cap for cap in (*caps, cable) if cap is not None)

    # --- what is compared -----------------------------------------------------------------------------------------

    def settled(self, event: Event, effects: Sequence[Effect], evses: Sequence[Evse], now: Instant, at: float) -> None:
        """After every step of the station. `at` is the true time."""
        self._now, self._seen_at = now, at
        self._follow(evses, now)
        if not self.sure or now.quality is ClockQuality.UNKNOWN:
            return
        self._compare(evses, (now.utc - HAIR_S, now.utc))
        if isinstance(event, ScheduleRequested) and event.evse == 1 and len(evses) == 1:
            for effect in effects:
                if isinstance(effect, Reply) and isinstance(effect.answer, ScheduleAnswer):
                    self._composite(effect.answer, evses[0], now)

    def looked(self, evses: Sequence[Evse], at: float) -> None:
        """Between two steps: has the agent slept over a change?"""
        if self._now is None or not self.sure or self._now.quality is ClockQuality.UNKNOWN:
            return
        utc = self._now.utc + at - self._seen_at
        self._compare(evses, (utc - SLACK_S, utc))
        if len(evses) == 1:
            self._compare_up(evses[0], utc)

    def _compare(self, evses: Sequence[Evse], moments: tuple[float, float]) -> None:
        self.compared += 1
        for evse in evses:
            began = [self._began_at(evse)] * 2 if self._is_dated(evse) else None
            if evse.offer_a <= 0 or began is None:
                continue
            allowed = [self.own(evse, at, since) for at, since in zip(moments, began, strict=True)]
            if exceeds(evse.offer_a, allowed):
                self._complain(f"EVSE {evse.id} offers {evse.offer_a:g} A, its profiles allow {allowed}: {self.rules}")
        total_a = sum(evse.offer_a for evse in evses)
        allowed = [self.station(at) for at in moments]
        if exceeds(total_a, allowed):
            self._complain(f"{total_a:g} A on offer, the station's profiles allow {allowed}: {self.rules}")

    def _compare_up(self, evse: Evse, utc: float) -> None:
        """A limit that has risen is followed, too."""
        if not may_charge(evse) or not self._is_dated(evse):
            self._paused.pop(evse.id, None)
            return
        began = self._began_at(evse)
        least = min(self._least(evse, utc - SLACK_S, began), self._least(evse, utc, began))
        if evse.offer_a > 0 or least < 6.0:
            self._paused.pop(evse.id, None)
            if evse.offer_a > 0 and evse.offer_a < least - 0.11:
                self._complain(f"EVSE {evse.id} offers {evse.offer_a:g} A where {least:g} A are allowed: {self.rules}")
        elif self._seen_at - self._paused.setdefault(evse.id, self._seen_at) > PAUSE_S:
            self._complain(f"EVSE {evse.id} pauses where {least:g} A are allowed: {self.rules}")

    def _composite(self, answer: ScheduleAnswer, evse: Evse, now: Instant) -> None:
        """GetCompositeSchedule against the brute force, at the edges of what was told and every minute."""
        unknown = evse.id in self._began and not self._is_dated(evse)
        if answer.status != "Accepted" or answer.start is None or unknown:
            return
        began = self._began_at(evse) or answer.start.utc
        edges = [start for start, _limit, _phases in answer.periods]
        for into_s in sorted({*edges, *(edge - 1 for edge in edges if edge), *range(0, answer.duration_s, 60)}):
            at = answer.start.utc + into_s
            told, phases = next((a, p) for start, a, p in reversed(answer.periods) if start <= into_s)
            near = [self._told(evse, at + by_s, began, answer.unit, phases or 3) for by_s in (0.0, -0.6, 0.6)]
            if not any(expected - 0.11 <= told <= expected + 0.001 for expected in near):
                self._complain(f"composite schedule: {told:g} {answer.unit} at {at}, not {near[0]:g}: {self.rules}")

    def _told(self, evse: Evse, at: float, began: float, unit: str, phases: int) -> float:
        """Periods are told in whole seconds, so the nearest second will do."""
        caps = (self.own(evse, at, began), self.station(at), self._plan.station_max_a, evse.limits.max_a)
        return min(cap for cap in caps if cap is not None) * (VOLTS * phases if unit == "W" else 1.0)

    # --- Relative schedules ----------------------------------------------------------------------------------------

    def _follow(self, evses: Sequence[Evse], now: Instant) -> None:
        for evse in evses:
            name = evse.tx.id if evse.tx is not None else ""
            if evse.tx is None and evse.grant is None:
                self._began.pop(evse.id, None)
            elif evse.id in self._began:
                known, since = self._began[evse.id]
                if known != name and known:  # another transaction than before the restart
                    del self._began[evse.id]
                else:
                    self._began[evse.id] = (name, since)
            elif evse.grant is not None and evse.plugged:
                self._began[evse.id] = (name, now)

    def _is_dated(self, evse: Evse) -> bool:
        """Whether it can be said when Relative schedules began here: not over a power cut, nor when the car came in a
        life that we have not seen the beginning of."""
        if all(rule.start is not None for rule in self.rules):
            return True
        return evse.id in self._began and self._now is not None and self._began[evse.id][1].boot == self._now.boot

    def _began_at(self, evse: Evse) -> float | None:
        """In the reckoning of the agent's clock as it is now."""
        if evse.id not in self._began or self._now is None:
            return None
        return self._now.utc - (self._now.mono - self._began[evse.id][1].mono)


def highest(rules: Iterable[Rule], at: float, began: float | None) -> float | None:
    """What counts at `at`: the highest level that has anything to say, and of two there the EVSE's own."""
    for rule in sorted(rules, key=lambda rule: (-rule.level, -rule.evse)):
        found = rule.amps(at, began)
        if found is not None:
            return found
    return None


def exceeds(amps: float, allowed: Sequence[float | None]) -> bool:
    """More than at any of these moments; None: nothing limits."""
    return all(limit is not None and amps > limit + 0.01 for limit in allowed)


def may_charge(evse: Evse) -> bool:
    tx = evse.tx
    if tx is None or evse.grant is None or tx.stop is not None or tx.withheld or tx.restored:
        return False
    return str(evse.pilot) in "BCD" and evse.operative and not evse.stopped_by_fault


def rule_of(rng: Any, number: int, now: int, transactions: Sequence[tuple[str, int]], evses: Sequence[int]) -> Rule:
    """Any profile that the central system may think of; a whole station is never without limit for long."""
    purpose = rng.choice(("station", "default", "default", "tx"))
    evse, transaction = 0 if purpose == "station" else rng.choice((0, *evses)), ""
    if purpose == "tx":
        if not transactions:
            purpose = "default"
        else:
            transaction, evse = rng.choice(list(transactions))
    unit = rng.choice("AAW")
    starts = [0, *sorted(rng.sample(range(30, 7200), rng.choice((0, 1, 2, 4))))]
    limits = [
        rng.choice((0.0, 5.0, 6.0, 8.0, 10.5, 13.0, 16.0, 25.0, 40.0)) * (690 if unit == "W" else 1) for _ in starts
    ]
    relative = purpose != "station" and rng.random() < 0.3
    every_s = 0 if relative else rng.choice((0, 0, DAY_S, WEEK_S))
    length_s = rng.choice((None, 600, 3600, 20_000))
    return Rule(
        number,
        rng.choice((0, 0, 1, 3)),
        purpose,
        evse,
        unit,
        tuple((start, limit, rng.choice((0, 0, 3, 1))) for start, limit in zip(starts, limits, strict=True)),
        start=None if relative else now + rng.choice((-90_000, -3600, 0, 60, 1800)),
        every_s=every_s,
        duration_s=length_s if every_s or relative else None if length_s is None else length_s + 100_000,
        valid_from=rng.choice((None, None, None, now + 120)),
        valid_to=rng.choice((None, None, now + 5000)),
        transaction=transaction,
    )
