"""Supervision: what the hardware does, held against what it was told, by a table of rules (IEC 61851-1; see `RULES`).

Rules kept here
* A rule speaks when it has been broken without a pause for its time. Whatever an order needs to get there (a silent
  controller is not yet lost for `silent_s`, the car may take 5 s to follow and 6 s to let go) comes before.
* A car may draw what it was offered before for as long as a lower offer needs to get to it, and no more than that,
  however often the offer is lowered.
* Where the meter is the witness, readings must come all that time, and change where they tell of current: a value that
  is frozen proves nothing.
* Nothing is concluded from an order that was never given: after a restart a controller may hold an older one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import inf
from typing import ClassVar

from agent.blocks.station import Block, Facts, Out
from agent.core.deadlines import Deadlines
from agent.core.events import DeviceFound, Event, OfferChanged
from agent.core.evse import MINIMUM_A, REQUESTING, Evse, EvseLimits, MeterState
from agent.core.faults import CONTROLLER_SILENT, Own
from agent.core.record import record
from agent.core.supervision import FaultSeen
from agent.core.types import Instant
from drivers.api import Fault, Measurand, Phase, Sample

FOLLOW_S = 5.0  # a car follows a changed duty cycle
OPEN_S = 4.0  # two polls, beside the time that the controller takes (`EvseLimits.opens_s`)
CLOSE_S = 2.0  # the same, beside `closes_s`
ANY_A = inf
OVER_FACTOR, OVER_A, OVER_S = 1.1, 0.5, 7.0
FLOW_A, FLOW_W, FLOW_WH = 1.5, 350.0, 1.0  # more than what a charger may take for itself behind its meter
DEAD_V = 50.0
APPARENT_MOST, APPARENT_LEAST, APPARENT_VA, UNLIKE_S = 1.15, 0.3, 150.0, 30.0
_PHASES = ((Phase.L1, Phase.L1_N), (Phase.L2, Phase.L2_N), (Phase.L3, Phase.L3_N))


class Watch:
    """What is known of one EVSE beside its facts."""

    __slots__ = ("_before", "changed_at", "lowered_at", "meter", "offer_a", "ordered_at")

    def __init__(self) -> None:
        self.ordered_at: float | None = None  # the order that stands was given, or its controller came back
        self.lowered_at = 0.0
        self.offer_a = 0.0
        self.meter: MeterState | None = None
        self.changed_at = 0.0  # the last reading that differs from the one before
        self._before: list[tuple[float, float]] = []  # until when a car may draw so much, the highest first

    def heard(self, rule: Rule) -> float:
        """When its witness spoke last."""
        if not rule.metered:
            return inf
        return self.changed_at if rule.moving else self.meter.at.mono if self.meter else 0.0

    def order(self, evse: Evse, now: Instant, settle_s: float) -> None:
        before_a = ANY_A if self.ordered_at is None else self.offer_a
        if evse.offer_a < before_a:
            self.lowered_at = now.mono
            higher = [(until, amps) for until, amps in self._before if amps > before_a]
            self._before = [*higher, (now.mono + settle_s, before_a)]
        self.ordered_at, self.offer_a = now.mono, evse.offer_a

    def found(self, now: Instant, settle_s: float) -> None:
        """The controller hears the order only now."""
        self.ordered_at = self.lowered_at = now.mono
        self._before = [(now.mono + settle_s, ANY_A)]

    @property
    def allowed_a(self) -> float:
        """What a car may draw that is about to follow the offer."""
        return max(self.offer_a, self._before[0][1]) if self._before else self.offer_a

    def look(self, evse: Evse, now: Instant) -> None:
        while self._before and self._before[0][0] <= now.mono:
            del self._before[0]
        if evse.meter is not self.meter:
            if self.meter is None or evse.meter is None or evse.meter.samples != self.meter.samples:
                self.changed_at = evse.meter.at.mono if evse.meter else 0.0
            self.meter = evse.meter


Wrong = Callable[[Evse, Watch], str]  # in a few words, or ""


@record
class Rule:
    """`after_s`: for so long without a pause, beside `silent_s` when it is about an order (`ordered`)."""

    source: str
    fault: str
    after_s: Callable[[EvseLimits], float]
    wrong: Wrong
    ordered: bool = True
    settled: bool = True  # not judged as long as a lower offer may still be on its way
    metered: bool = False
    moving: bool = True  # of a meter's readings: they differ from one another
    counting: bool = False  # and the register has counted on meanwhile


class Supervision(Block):
    def __init__(self, facts: Facts, silent_s: float = 10.0) -> None:
        self._facts = facts
        self._silent_s = silent_s
        self._watches = {evse: Watch() for evse in facts.evses}
        self._since: dict[tuple[int, str], tuple[float, float]] = {}  # by EVSE and rule: when, and the register
        self._found: dict[tuple[int, str], None] = {}
        self._deadlines = Deadlines()

    def next_deadline(self) -> float | None:
        return self._deadlines.next()

    def on_offer(self, e: OfferChanged, now: Instant) -> Out:
        evse = self._facts.evses[e.evse]
        self._watches[e.evse].order(evse, now, self._settle_s(evse))
        return iter(())

    def on_found(self, e: DeviceFound, now: Instant) -> Out:
        watch = self._watches[e.evse]
        if e.device == "controller" and watch.ordered_at is not None:
            watch.found(now, self._settle_s(self._facts.evses[e.evse]))
            for rule in RULES:
                self._since.pop((e.evse, rule.source), None)
        return iter(())

    def derive(self, now: Instant) -> Iterator[Event]:
        self._deadlines.due(now.mono)
        for evse in self._facts.evses.values():
            watch = self._watches[evse.id]
            watch.look(evse, now)
            for rule in RULES:
                yield from self._apply(rule, evse, watch, now)

    def _apply(self, rule: Rule, evse: Evse, watch: Watch, now: Instant) -> Iterator[Event]:
        key = (evse.id, rule.source)
        why = rule.wrong(evse, watch) if self._is_judged(rule, evse, watch, now) else ""
        if not why:
            self._since.pop(key, None)
            self._deadlines.clear(key)
            if key in self._found:
                del self._found[key]
                yield FaultSeen(evse.id, rule.fault, rule.source, None)
        elif key not in self._found:
            since, wh = self._since.setdefault(key, (now.mono, _register(evse)))
            until = since + rule.after_s(evse.limits) + (self._silent_s if rule.ordered and not rule.metered else 0.0)
            counted = not rule.counting or _register(evse) >= wh + FLOW_WH
            if now.mono >= until and counted and watch.heard(rule) >= until:
                self._found[key] = None
                yield FaultSeen(evse.id, rule.fault, rule.source, why)
            elif now.mono < until:
                self._deadlines.set(key, until)

    def _is_judged(self, rule: Rule, evse: Evse, watch: Watch, now: Instant) -> bool:
        if not rule.ordered:
            return True
        if watch.ordered_at is None or CONTROLLER_SILENT in evse.faults:
            return False
        waits = rule.metered and rule.settled
        return not waits or now.mono >= watch.lowered_at + self._settle_s(evse)

    def _settle_s(self, evse: Evse) -> float:
        """Until the car has followed the order, at the latest."""
        return self._silent_s + (FOLLOW_S if evse.offer_a else opened_s(evse.limits))

    HEARS: ClassVar = {OfferChanged: "on_offer", DeviceFound: "on_found"}


# --- the rules ------------------------------------------------------------------------------------------------


def _closed_unasked(evse: Evse, _watch: Watch) -> str:
    return "its auxiliary contact stays closed" if evse.offer_a == 0 and evse.contactor else ""


def _flows_unasked(evse: Evse, _watch: Watch) -> str:
    if evse.offer_a > 0 or evse.contactor or evse.meter is None:
        return ""
    currents = [s.value for s in evse.meter.samples if s.measurand is Measurand.CURRENT_IMPORT and s.phase]
    power_w = _value(evse, Measurand.POWER_ACTIVE_IMPORT, None)
    if currents:
        return f"the meter sees {max(currents):.1f} A" if max(currents) >= FLOW_A else ""
    return f"the meter sees {power_w:.0f} W" if power_w is not None and power_w >= FLOW_W else ""


def _open_though_asked(evse: Evse, _watch: Watch) -> str:
    asked = evse.offer_a > 0 and evse.pilot in REQUESTING
    return "its auxiliary contact stays open" if asked and evse.contactor is False else ""


def _dead_though_asked(evse: Evse, _watch: Watch) -> str:
    if evse.contactor is not None or evse.offer_a <= 0 or evse.pilot not in REQUESTING or evse.meter is None:
        return ""
    volts = [s.value for s in evse.meter.samples if s.measurand is Measurand.VOLTAGE]
    return f"the meter sees {max(volts):.0f} V" if volts and max(volts) < DEAD_V else ""


def _overdraws(evse: Evse, watch: Watch) -> str:
    if evse.offer_a < MINIMUM_A or evse.meter is None or not overdraws(evse, watch.allowed_a, evse.meter.samples):
        return ""
    return f"{_drawn_a(evse, evse.meter.samples):.1f} A of {evse.offer_a:g} A"


def overdraws(evse: Evse, allowed_a: float, samples: tuple[Sample, ...]) -> bool:
    """The car takes more than it may, by more than a meter and a car may err."""
    drawn_a = _drawn_a(evse, samples)
    return drawn_a is not None and drawn_a > allowed_a * OVER_FACTOR + OVER_A


def _drawn_a(evse: Evse, samples: tuple[Sample, ...]) -> float | None:
    """In the phase that carries most; of a single phase also by its power, with the voltage at its highest."""
    phases = [phase for phase, _ in _PHASES]
    currents = [s.value for s in samples if s.measurand is Measurand.CURRENT_IMPORT and s.phase in phases]
    if currents:
        return max(currents)
    power_w = _value(evse, Measurand.POWER_ACTIVE_IMPORT, None)
    return None if power_w is None else power_w / (253.0 * evse.phases)


def _power_unlike_currents(evse: Evse, _watch: Watch) -> str:
    """Active power is no more than volts times amperes, and with a car's power factor not far less."""
    power_w = _value(evse, Measurand.POWER_ACTIVE_IMPORT, None)
    apparent_va = 0.0
    for line, to_neutral in _PHASES[: evse.limits.phases]:
        amps = _value(evse, Measurand.CURRENT_IMPORT, line)
        volts = _value(evse, Measurand.VOLTAGE, to_neutral)
        if amps is None or volts is None:
            return ""
        apparent_va += abs(amps) * volts
    if power_w is None:
        return ""
    fits = APPARENT_LEAST * apparent_va - APPARENT_VA <= power_w <= APPARENT_MOST * apparent_va + APPARENT_VA
    return "" if fits else f"{power_w:.0f} W, yet {apparent_va:.0f} VA by voltages and currents"


def _value(evse: Evse, measurand: Measurand, phase: Phase | None) -> float | None:
    samples = evse.meter.samples if evse.meter else ()
    return next((s.value for s in samples if s.measurand is measurand and s.phase is phase), None)


def _register(evse: Evse) -> float:
    return evse.meter.energy_wh if evse.meter else 0.0


def opened_s(limits: EvseLimits) -> float:
    """Until a contactor must be open, once its controller has heard the order."""
    return limits.opens_s + OPEN_S


def _closed_s(limits: EvseLimits) -> float:
    return limits.closes_s + CLOSE_S


RULES: tuple[Rule, ...] = (
    Rule("mirror-closed", Own.CONTACTOR_WELDED, opened_s, _closed_unasked),
    Rule("load", Own.CONTACTOR_WELDED, opened_s, _flows_unasked, metered=True, counting=True),
    Rule("mirror-open", Own.CONTACTOR_OPEN, _closed_s, _open_though_asked),
    Rule("no-voltage", Own.CONTACTOR_OPEN, _closed_s, _dead_though_asked, metered=True, moving=False),
    Rule("overdraw", Fault.OVER_CURRENT, lambda _limits: OVER_S, _overdraws, settled=False, metered=True),
    Rule("power", Own.METER_IMPLAUSIBLE, lambda _limits: UNLIKE_S, _power_unlike_currents, ordered=False, metered=True),
)
