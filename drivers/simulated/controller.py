"""The controller's own hardware: PWM on the pilot, contactor, lock, and the watchdog that outlives a dead agent.

It keeps IEC 61851-1's times whatever its master does: the contactor is open within 100 ms of leaving C or D, closes
within 3 s of C with an offer, and is forced open 6 s after the PWM ended when the car does not let go. Pure.
"""

from __future__ import annotations

from drivers.api import Fault

NEVER_S = float("inf")
LEAST_OFFER_A = 6.0
CLOSE_S = 0.25 + 0.11  # deciding, and the coil's pull-in
OPEN_S = 0.08  # sensing the pilot, and the contacts' drop-out
PULL_IN_S = 0.11  # of a coil whose circuit was closed by a relay outside: it is decided already
DROP_S = 0.02  # the coil lost its supply
FORCE_OFF_S = 6.0
F_PULSE_S = 0.3  # state F after a fault under load
STOPPING = frozenset(
    {
        *(Fault.DIODE, Fault.GROUND, Fault.DC_RESIDUAL, Fault.EMERGENCY_STOP, Fault.INTERNAL),
        *(Fault.OVER_TEMPERATURE, Fault.CONTACTOR, Fault.PILOT, Fault.CABLE),
    }
)


class Controller:
    """One EVSE controller. `faults` are those it senses itself; `order_a` is what its master wrote last."""

    __slots__ = (
        "_coil", "_f_until_s", "_force_off_s", "_moves_s", "_off_until_s", "_watchdog_s", "boot_offer_a", "boot_phases",
        "closed", "cut", "divides", "failsafe_a", "faults", "gate", "gate_until_s", "led", "live_switches", "lockable",
        "locked", "max_a", "motor_lock", "order_a", "phases", "powered", "pwm_a", "relay_count", "stop_button",
        "stop_presses", "stop_seen", "stuck", "unlocking", "watchdog_s", "welded",
    )  # fmt: skip

    def __init__(self, max_a: float, lockable: bool, boot_offer_a: float = 0.0) -> None:
        self.max_a = max_a
        self.lockable = lockable
        self.boot_offer_a = boot_offer_a
        self.order_a = boot_offer_a
        self.divides = False  # its master orders a power: `order_a` is that of all phases together
        self.failsafe_a = 0.0
        self.watchdog_s = 0.0
        self.powered = True
        self.faults: dict[Fault, None] = {}
        self.pwm_a = 0.0
        self.closed = self.welded = self.stuck = self._coil = False
        self.gate: bool | None = None  # a relay of somebody else's in the coil's circuit; None: there is none
        self.gate_until_s = NEVER_S  # when it falls off by itself
        self.motor_lock = False  # the lock is driven by somebody else
        self.locked = self.unlocking = False
        self.relay_count = 0
        self.led = ""
        self.stop_button = ""
        self.stop_presses = self.stop_seen = 0
        self.phases = self.boot_phases = 3  # by how many the outlet is fed
        self.live_switches = 0  # under load: what no car likes
        self.cut = False  # a relay of somebody else's cuts the pilot's line
        self._off_until_s = 0.0  # it holds the pilot in state F because its master wants so
        self._watchdog_s = self._f_until_s = self._force_off_s = self._moves_s = NEVER_S

    # What its master may do

    def touched(self, now_s: float) -> None:
        """A request reached it: the watchdog starts anew."""
        self._watchdog_s = now_s + self.watchdog_s if self.watchdog_s > 0 else NEVER_S

    def unlock(self) -> bool:
        """Drive the lock open, never under load; it stays open until the plug has been out."""
        if self.closed:
            return False
        self.unlocking = True
        return True

    def feed(self, phases: int) -> None:
        """One phase or three; a master that does it under load has been warned."""
        if phases != self.phases:
            self.live_switches += self.closed
            self.phases = phases

    def hold_off(self, until_s: float) -> None:
        """The pilot in state F until then."""
        self._off_until_s = until_s

    def press(self, kind: str) -> None:
        """Somebody pressed stop."""
        self.stop_button = kind
        self.stop_presses = self.stop_presses + 1 & 0xFFFF

    def power(self, on: bool, now_s: float) -> None:
        """Mains away or back. What its master ordered is volatile and forgotten; its settings stay."""
        self.powered = on
        if on:
            self.order_a = self.boot_offer_a
            self.phases = self.boot_phases
            self.stop_button = self.led = ""
            self.stop_presses = self.stop_seen = 0
            self.touched(now_s)
        else:
            self.pwm_a = 0.0
            self._watchdog_s = self._force_off_s = self._f_until_s = NEVER_S
            self._drive(False, now_s, DROP_S)

    # What it does by itself

    def next_deadline(self) -> float:
        off_s = self._off_until_s or NEVER_S
        return min(self._watchdog_s, self._f_until_s, self._force_off_s, self._moves_s, self.gate_until_s, off_s)

    def pilot(self, load: str) -> str:
        """The state at the pilot: what hangs on it, unless the controller itself says F."""
        if self._f_until_s != NEVER_S or self._off_until_s:
            return "F"
        return "A" if self.cut else load

    def settle(self, now_s: float, load: str, cable_a: float, phases: int = 1) -> None:
        """`load` is the state that plug and car make of the pilot, `phases` how many the car uses; act on it and on
        what is due."""
        if now_s >= self._moves_s:
            self._arrived()
        if now_s >= self._off_until_s:
            self._off_until_s = 0.0
        if now_s >= self._f_until_s:
            self._f_until_s = NEVER_S
        if now_s >= self.gate_until_s:
            self.gate, self.gate_until_s = False, NEVER_S
        if not self.powered:
            return
        if now_s >= self._watchdog_s:
            self.order_a, self._watchdog_s = self.failsafe_a, NEVER_S
        stopped = not STOPPING.isdisjoint(self.faults)
        if stopped and self._coil and self._f_until_s == NEVER_S:
            self._f_until_s = now_s + F_PULSE_S
        pilot = self.pilot(load)
        order_a = self.order_a / phases if self.divides else self.order_a
        self._set_pwm(now_s, 0.0 if stopped or pilot not in "BCD" else min(order_a, cable_a, self.max_a))
        self._switch(now_s, allowed=not stopped and pilot in "CD")
        self._drive_lock(load)

    def _set_pwm(self, now_s: float, current_a: float) -> None:
        current_a = current_a if current_a >= LEAST_OFFER_A else 0.0
        if current_a > 0:
            self._force_off_s = NEVER_S
        elif self.pwm_a > 0 and self._coil:
            self._force_off_s = now_s + FORCE_OFF_S
        self.pwm_a = current_a

    def _switch(self, now_s: float, allowed: bool) -> None:
        if self.gate is False:
            self._drive(False, now_s, OPEN_S)
            self._force_off_s = NEVER_S
        elif allowed and self.pwm_a > 0:
            self._drive(True, now_s, CLOSE_S if self.gate is None else PULL_IN_S)
        elif not allowed or now_s >= self._force_off_s:
            self._drive(False, now_s, OPEN_S)
            self._force_off_s = NEVER_S

    def _drive(self, on: bool, now_s: float, delay_s: float) -> None:
        if on != self._coil:
            self._coil = on
            self._moves_s = now_s + delay_s if self.closed != on else NEVER_S

    def _arrived(self) -> None:
        self._moves_s = NEVER_S
        closed = (self._coil and not self.stuck) or self.welded
        if closed and not self.closed:
            self.relay_count += 1
        self.closed = closed

    def _drive_lock(self, load: str) -> None:
        if self.motor_lock:
            return
        if load in "AEF":
            self.unlocking = self.unlocking and load != "A"
            wanted = False
        else:
            wanted = self.lockable and not self.unlocking
        stuck = Fault.LOCK_FAILURE if wanted else Fault.UNLOCK_FAILURE
        if wanted != self.locked and stuck not in self.faults:
            self.locked = wanted

    def weld(self, welded: bool) -> None:
        self.welded = welded
        self.closed = welded or (self._coil and not self.stuck)

    def hold(self, stuck: bool) -> None:
        """The contacts do not move any more when the coil pulls."""
        self.stuck = stuck
        self.closed = self.welded or (self._coil and not stuck)
