"""When the contactor of a charger made of parts may close, when it must open, and what that means for pilot and lock.

Pure: facts and the time go in, what is wanted comes out; `composed.py` does it and says how it went. Rules kept:
* it closes only with an order of 6 A and more, the pilot in C or D, the plug locked (where there is a lock), no fault,
  and after it has been open for `min_open_s` (`after_fault_s` when a fault opened it);
* leaving C or D, any fault, an emergency stop: it opens at once. When the order ends the pilot is told first and the
  car has `force_off_s` to let go;
* what it was told is verified: a contactor that stays closed is never trusted again by this process (a technician
  mends it and starts the agent anew); one that does not close, a lock that does not, a cable that became unreadable
  are faults until the plug has been out;
* the lock opens only while the contactor is open, by the board and by the mirror contact: without a car, in state E at
  once, in state F after `UNLOCK_IN_F_S`; opened by hand it stays so until the plug has been out.
"""

from __future__ import annotations

from typing import NamedTuple

from drivers.api import Fault, Pilot

LEAST_A = 6.0
UNLOCK_IN_F_S = 5.0
PLUGGED = (Pilot.B, Pilot.C, Pilot.D)
HARMLESS = frozenset({Fault.UNLOCK_FAILURE, Fault.RFID_READER, Fault.METER, Fault.COVER})
UNTIL_UNPLUGGED = frozenset({Fault.LOCK_FAILURE, Fault.CABLE})


class Rules(NamedTuple):
    min_open_s: float = 5.0
    after_fault_s: float = 30.0
    force_off_s: float = 6.0
    locks: bool = False  # there is a lock, and the plug must be held by it
    ventilation: bool = False  # without it a car in state D gets nothing


class Facts(NamedTuple):
    """What the parts say now. None: no such part."""

    pilot: Pilot
    faults: tuple[Fault, ...] = ()  # of the pilot's own hardware
    coil: bool = False  # the output that holds the contactor, read back
    mirror: bool | None = None  # the main contacts are closed
    residual: bool = False
    emergency: bool = False
    locked: bool | None = None  # by its feedback, else as it was driven last
    cable_a: float | None = None
    cable_bad: bool = False  # a resistor that means nothing
    dc_residual: bool = False
    cover: bool = False  # open


class Wanted(NamedTuple):
    offer_a: float | None  # None: leave it
    closed: bool
    locked: bool | None  # None: leave it


class Interlock:
    """One EVSE's. `order_a` is what the agent wants; None: it has not said so yet, and a charge that was found goes on
    for `force_off_s`."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.order_a: float | None = None
        self.closed = False  # what the contactor is told
        self.unlocking = False
        self._own: dict[Fault, None] = {}
        self._welded = False
        self._not_before = 0.0
        self._force_off_at: float | None = None
        self._charging = False
        self._in_f_since: float | None = None

    @property
    def welded(self) -> bool:
        return self._welded

    # --- what happened ------------------------------------------------------------------------------------------

    def adopt(self, closed: bool, now: float) -> None:
        """How the contactor was found at the first contact, and after a time without any."""
        self.closed = closed
        if not closed:
            self._not_before = now + self.rules.min_open_s

    def did_not_close(self, now: float) -> None:
        self._own[Fault.CONTACTOR] = None
        self._open(now, self.rules.after_fault_s)

    def did_not_open(self, now: float) -> None:
        self._welded = True
        self._open(now, self.rules.after_fault_s)

    def fell_off(self, now: float) -> None:
        """The output went off by itself: its board has restarted, or its watchdog has run out."""
        self._open(now, self.rules.min_open_s)

    def lock_moved(self, locked: bool, done: bool) -> None:
        fault = Fault.LOCK_FAILURE if locked else Fault.UNLOCK_FAILURE
        if done:
            self._own.pop(fault, None)
        else:
            self._own[fault] = None

    def unlock(self) -> None:
        """Somebody wants the plug out."""
        self.unlocking = True
        self._own.pop(Fault.UNLOCK_FAILURE, None)

    # --- what follows -------------------------------------------------------------------------------------------

    def faults(self, facts: Facts) -> tuple[Fault, ...]:
        found = {*facts.faults, *self._own}
        present = (
            (Fault.CONTACTOR, self._welded),
            (Fault.GROUND, facts.residual),
            (Fault.DC_RESIDUAL, facts.dc_residual),
            (Fault.COVER, facts.cover),
            (Fault.EMERGENCY_STOP, facts.emergency),
            (Fault.CABLE, facts.cable_bad),
            (Fault.PILOT, facts.pilot is Pilot.UNKNOWN),
        )
        return tuple(sorted(found | {fault for fault, there in present if there}))

    def step(self, facts: Facts, now: float) -> Wanted:
        self._plug(facts)
        stopped = not HARMLESS.issuperset(self.faults(facts))
        if self.closed:
            self._maybe_open(facts, stopped, now)
        elif stopped:
            self._not_before = max(self._not_before, now + self.rules.after_fault_s)
        ready = self._is_ordered() and not stopped and facts.cable_a != 0 and self._is_held(facts)
        if not self.closed and ready and self.asks(facts) and now >= self._not_before:
            self.closed, self._force_off_at = True, None
        waits = now < self._not_before - self.rules.min_open_s  # long, after a fault: the car shall not ask in vain
        offer_a = self.order_a if (ready and not waits) or (self.order_a is None and not stopped) else 0.0
        self._charging = self.closed
        if facts.pilot is not Pilot.F:
            self._in_f_since = None
        elif self._in_f_since is None:
            self._in_f_since = now
        return Wanted(offer_a, self.closed, self._lock(facts, now))

    def _is_ordered(self) -> bool:
        return self.order_a is not None and self.order_a >= LEAST_A

    def _plug(self, facts: Facts) -> None:
        if facts.pilot is Pilot.A:
            self.unlocking = False
            for fault in (*UNTIL_UNPLUGGED, Fault.CONTACTOR):
                self._own.pop(fault, None)
        elif self._charging and facts.cable_a == 0:
            self._own[Fault.CABLE] = None
        elif self._charging and self.rules.locks and facts.locked is False:
            self._own[Fault.LOCK_FAILURE] = None
        if facts.locked is False:
            self._own.pop(Fault.UNLOCK_FAILURE, None)

    def _maybe_open(self, facts: Facts, stopped: bool, now: float) -> None:
        if stopped:
            self._open(now, self.rules.after_fault_s)
        elif not self.asks(facts):
            self._open(now, self.rules.min_open_s)
        elif self._is_ordered() and self._is_held(facts):
            self._force_off_at = None
        elif self._force_off_at is None:
            self._force_off_at = now + self.rules.force_off_s
        elif now >= self._force_off_at:
            self._open(now, self.rules.min_open_s)

    def _open(self, now: float, rest_s: float) -> None:
        self.closed, self._force_off_at = False, None
        self.order_a = self.order_a or 0.0
        self._not_before = max(self._not_before, now + rest_s)

    def asks(self, facts: Facts) -> bool:
        """The car wants power, and may have it."""
        return facts.pilot is Pilot.C or (facts.pilot is Pilot.D and self.rules.ventilation)

    def _is_held(self, facts: Facts) -> bool:
        return not self.rules.locks or (facts.locked is True and not self.unlocking)

    def _lock(self, facts: Facts, now: float) -> bool | None:
        if not self.rules.locks:
            return None
        if facts.pilot in PLUGGED and not self.unlocking:
            return None if Fault.LOCK_FAILURE in self._own else True
        may_open = not self.closed and not facts.coil and not facts.mirror and not self._welded
        long_in_f = self._in_f_since is not None and now >= self._in_f_since + UNLOCK_IN_F_S
        wants = facts.pilot in (Pilot.A, Pilot.E) or long_in_f or self.unlocking
        return False if wants and may_open and Fault.UNLOCK_FAILURE not in self._own else None
