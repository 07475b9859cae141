"""One simulated charging point: cable, car, controller and meter, joined and moved through time.

`advance(now_s)` goes from deadline to deadline, so a coarse step loses nothing: the contactor opens at its own moment
and energy is the integral of power. What a hand does (plug in, press a button) happens at the time last advanced to.
Pure: no I/O, no clock.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from drivers.api import Fault
from drivers.simulated.car import Car
from drivers.simulated.controller import Controller
from drivers.simulated.meter import Meter, Shown
from drivers.simulated.plan import SimEvse

NEVER_S = float("inf")
AMBIENT_C = 25.0
HEAT_C_W = 0.003
HEAT_TIME_S = 300.0
HOT_C = 95.0
UNDER_MAINS, OVER_MAINS = 0.75, 1.18
PLANNED_MAX = 8
SETTLES_IN = 16  # rounds between controller and car at one moment; more is a bug


class ChargingPoint:
    """Everything physical of one EVSE."""

    def __init__(self, config: SimEvse, seed: int, tell: Callable[[float, str], None]) -> None:
        self.config = config
        self.now_s = 0.0
        self._tell = tell
        self.controller = Controller(config.max_current_a, not config.attached_cable, config.boot_offer_a)
        self.meter = Meter(config.phases, config.start_wh, seed)
        self.car: Car | None = None
        self.cable_in = config.attached_cable
        self.forced: str | None = None
        self.faults: dict[Fault, None] = {}
        self.senses: frozenset[Fault] = frozenset()  # faults that the controller's map has a word for
        self.buttons: frozenset[str] = frozenset()  # stop buttons that are wired to an IO board
        self.on_fault: Callable[[Fault, bool], None] | None = None
        self.car_max_a = config.max_current_a
        self.car_phases = 3
        self.car_soc_pct = 40.0
        self.temperature_c = AMBIENT_C
        self._planned: list[tuple[float, Fault]] = []
        self._told: tuple[object, ...] = ()
        self.settle()

    def tell(self, text: str) -> None:
        self._tell(self.now_s, text)

    # What can be seen

    @property
    def load(self) -> str:
        """What plug and car make of the pilot."""
        if self.forced is not None:
            return self.forced
        if self.car is None or not self.cable_in:
            return "A"
        return "C" if self.car.s2 else "B"

    @property
    def pilot(self) -> str:
        return self.controller.pilot(self.load)

    @property
    def cable_a(self) -> float:
        """The cable's rating by its PP resistor; 0 when there is none in the socket."""
        return self.config.cable_a if self.cable_in else 0.0

    @property
    def amps(self) -> float:
        return self.car.amps_at(self.now_s) if self.car else 0.0

    @property
    def phases(self) -> int:
        return min(self.car.phases, self.config.phases, self.controller.phases) if self.car else 0

    @property
    def power_w(self) -> float:
        return self.meter.power_w(self.amps, self.phases)

    def shown(self) -> Shown:
        """What the meter shows now."""
        return self.meter.shown(self.now_s, self.amps, self.phases)

    # Time

    def next_deadline(self) -> float:
        planned = min((at for at, _ in self._planned), default=NEVER_S)
        return min(planned, self.controller.next_deadline(), self.car.next_deadline() if self.car else NEVER_S)

    def advance(self, now_s: float) -> None:
        while self.now_s < now_s:
            longest_s = self.car.longest_step_s() if self.car else NEVER_S
            until_s = min(now_s, max(self.now_s, self.next_deadline()), self.now_s + longest_s)
            self._pass(until_s)
            self.settle()

    def _pass(self, until_s: float) -> None:
        seconds = until_s - self.now_s
        if seconds <= 0:
            return
        from_a, to_a = (self.amps, self.car.amps_at(until_s)) if self.car else (0.0, 0.0)
        drawn_wh = self.meter.step(seconds, from_a, to_a, self.phases)
        if self.car and drawn_wh:
            self.car.charged(drawn_wh)
        self._warm(seconds, drawn_wh * 3600.0 / seconds)
        self.now_s = until_s

    def _warm(self, seconds: float, power_w: float) -> None:
        goal_c = HOT_C if Fault.OVER_TEMPERATURE in self.faults else AMBIENT_C + HEAT_C_W * power_w
        if goal_c != self.temperature_c:
            self.temperature_c = goal_c + (self.temperature_c - goal_c) * math.exp(-seconds / HEAT_TIME_S)

    def settle(self) -> None:
        """Let controller and car act on one another until nothing moves any more."""
        self._planned_faults()
        for _ in range(SETTLES_IN):
            before = self._state()
            self.controller.settle(self.now_s, self.load, self.cable_a, self.phases or 1)
            if self.car is not None:
                live = self.controller.closed and self.meter.mains > 0
                self.car.settle(self.now_s, self._offer_seen(), live, self.pilot in "AEF")
            if self._state() == before:
                self._tell_changes()
                return
        raise AssertionError(f"evse {self.config.number} does not settle: {self._state()}")

    def _offer_seen(self) -> float:
        return self.controller.pwm_a if self.cable_in and self.pilot in "BCD" else 0.0

    def _state(self) -> tuple[object, ...]:
        c = self.controller
        return (self.pilot, c.pwm_a, c.closed, c.locked, c.order_a, self.load, c.phases)

    def _tell_changes(self) -> None:
        c = self.controller
        now: tuple[object, ...] = (self.pilot, c.pwm_a, c.closed, c.locked)
        if self._told and now != self._told:
            for text, was, is_ in zip(_TELL, self._told, now, strict=True):
                if was != is_:
                    self.tell(text(is_))
        self._told = now

    def _planned_faults(self) -> None:
        due = [fault for at, fault in self._planned if at <= self.now_s]
        self._planned = [(at, fault) for at, fault in self._planned if at > self.now_s]
        for fault in due:
            self.fault(fault, True)

    # What a hand does

    def plug_in(self, ev: str) -> None:
        """Put the cable in; `ev` is auto (waits for an offer, then draws), hold (stays in B), sleepy (falls
        asleep without an offer) or none (cable only)."""
        if self.car is not None:
            raise ValueError("a car is plugged in already")
        if self.config.attached_cable and ev == "none":
            raise ValueError("the cable is attached to the station; there is nothing to plug in without a car")
        self.forced = None
        self.cable_in = True
        if ev != "none":
            self.car = Car(hold=ev == "hold")
            self.car.sleepy = ev == "sleepy"
            self.car.greedy = Fault.OVER_CURRENT in self.faults
            self._fit_car()
        self.tell(f"cable plugged in, car: {ev}")
        self.settle()

    def draw(self, max_a: float, phases: int | None, soc_pct: float | None) -> None:
        """What the car takes: the one that is here and those to come."""
        self.car_max_a = max_a
        self.car_phases = self.car_phases if phases is None else phases
        if soc_pct is not None:
            self.car_soc_pct = soc_pct
        self._fit_car(soc_pct is not None)
        self.settle()

    def _fit_car(self, soc: bool = True) -> None:
        if self.car is not None:
            self.car.max_a, self.car.phases = self.car_max_a, self.car_phases
            self.car.soc_pct = self.car_soc_pct if soc else self.car.soc_pct

    def plan_fault(self, fault: Fault, after_s: float) -> None:
        if len(self._planned) >= PLANNED_MAX:
            raise ValueError(f"more than {PLANNED_MAX} faults planned")
        self._planned.append((self.now_s + after_s, fault))
        self.settle()

    def unplug_car(self) -> None:
        self.forced = None
        self.car = None
        self.settle()

    def unplug(self) -> None:
        """Take the whole cable out; an attached one stays with the station, a held plug stays in the socket."""
        self.unplug_car()
        if self.controller.locked:
            raise ValueError("the plug is held by the lock; only the car's side came out")
        self.cable_in = self.config.attached_cable
        self.controller.unlocking = False
        self.settle()

    def force(self, state: str) -> None:
        """Hold the pilot in a state by hand; B, C and D are what a plugged-in car does with its switch S2."""
        if state in "BCD" and self.car is None:
            self.plug_in("hold")
        if state in "BCD" and self.car is not None:
            self.car.forced_s2 = state != "B"
        self.forced = None if state in "BC" else state
        self.settle()

    def fault(self, fault: Fault, present: bool) -> None:
        """A fault comes or goes, with what it does to the physical world."""
        if present:
            self.faults[fault] = None
        else:
            self.faults.pop(fault, None)
        if fault in self.senses:
            self._sensed(fault, present)
        if fault in _PHYSICAL:
            _PHYSICAL[fault](self, present)
        if self.on_fault is not None:
            self.on_fault(fault, present)
        self.tell(f"fault {fault} {'present' if present else 'gone'}")
        self.settle()

    def _sensed(self, fault: Fault, present: bool) -> None:
        if present:
            self.controller.faults[fault] = None
        else:
            self.controller.faults.pop(fault, None)

    def set_mains(self) -> None:
        """The mains voltage that power and faults leave."""
        level = 1.0
        if Fault.UNDER_VOLTAGE in self.faults:
            level = UNDER_MAINS
        if Fault.OVER_VOLTAGE in self.faults:
            level = OVER_MAINS
        self.meter.mains = level if self.controller.powered else 0.0

    def power(self, on: bool) -> None:
        self.controller.power(on, self.now_s)
        self.set_mains()
        self.settle()

    def reset(self) -> None:
        """As it was at the start: nothing plugged in, no fault, the meter at its first count."""
        self._planned = []
        for fault in tuple(self.faults):
            self.fault(fault, False)
        self.controller.stop_button = ""
        self.car_max_a, self.car_phases, self.car_soc_pct = self.config.max_current_a, 3, 40.0
        self.meter.reset()
        self.controller.hold(False)
        self.controller.locked = self.controller.locked and not self.controller.motor_lock
        self.unplug()


def _meter_fault(point: ChargingPoint, present: bool) -> None:
    point.meter.silent = present


def _weld(point: ChargingPoint, present: bool) -> None:
    point.controller.weld(present)


def _mains(point: ChargingPoint, _present: bool) -> None:
    point.set_mains()


def _overdraw(point: ChargingPoint, present: bool) -> None:
    if point.car is not None:
        point.car.greedy = present


def _heat(point: ChargingPoint, present: bool) -> None:
    point.temperature_c = HOT_C if present else AMBIENT_C


_PHYSICAL: dict[Fault, Callable[[ChargingPoint, bool], None]] = {
    Fault.METER: _meter_fault,
    Fault.CONTACTOR: _weld,
    Fault.UNDER_VOLTAGE: _mains,
    Fault.OVER_VOLTAGE: _mains,
    Fault.OVER_CURRENT: _overdraw,
    Fault.OVER_TEMPERATURE: _heat,
}
_TELL: tuple[Callable[[object], str], ...] = (
    lambda v: f"pilot {v}",
    lambda v: f"offer {v:g} A" if v else "offer withheld",
    lambda v: f"contactor {'closed' if v else 'open'}",
    lambda v: f"plug {'locked' if v else 'unlocked'}",
)
