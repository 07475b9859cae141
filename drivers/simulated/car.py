"""The car: it waits for an offer on the pilot, closes S2, draws what it may, tapers when nearly full, and lets go.

Pure: time is an argument, current is a straight line between two moments, so that energy can be integrated exactly.
Times: IEC 61851-1 gives a car 5 s to follow a changed duty cycle and 3 s to stop after the PWM has ended.
"""

from __future__ import annotations

NEVER_S = float("inf")
REACTION_S = 0.5  # a changed duty cycle is understood
WAKE_S = 1.5  # a first offer is understood and S2 closes
START_S = 1.0  # from voltage on the line to the first current
RAMP_UP_A_S = 6.0
RAMP_DOWN_A_S = 20.0
TAPER_FROM_PCT = 95.0
LEAST_OFFER_A = 6.0
SLEEPS_S = 20.0
WAKES_S = 2.0


class Car:
    """One car. `greedy` draws more than offered and does not let go; `forced_s2` is a switch held by hand; `sleepy`
    falls asleep when it has had no offer for `SLEEPS_S`, and wakes when the pilot was away for `WAKES_S`."""

    __slots__ = (
        "_amps", "_arrive_s", "_asleep_s", "_away_s", "_draw_s", "_known_a", "_live", "_notice_s", "_seen_a",
        "_since_s", "_slope_a_s", "_target_a", "asleep", "capacity_wh", "forced_s2", "greedy", "hold", "max_a",
        "phases", "s2", "sleepy", "soc_pct",
    )  # fmt: skip

    def __init__(self, max_a: float = 32.0, phases: int = 3, hold: bool = False) -> None:
        self.max_a = max_a
        self.phases = phases
        self.hold = hold
        self.soc_pct = 40.0
        self.capacity_wh = 60_000.0
        self.greedy = False
        self.forced_s2: bool | None = None
        self.s2 = False
        self.sleepy = self.asleep = False
        self._asleep_s = NEVER_S  # when it falls asleep
        self._away_s = NEVER_S  # since when there is no pilot
        self._live = False
        self._seen_a = self._known_a = 0.0
        self._amps = self._target_a = self._slope_a_s = self._since_s = 0.0
        self._notice_s = self._draw_s = self._arrive_s = NEVER_S

    def amps_at(self, now_s: float) -> float:
        """Current per phase; a straight line until the next deadline."""
        if self._slope_a_s == 0.0:
            return self._amps
        return max(0.0, self._amps + self._slope_a_s * (now_s - self._since_s))

    def next_deadline(self) -> float:
        return min(self._notice_s, self._draw_s, self._arrive_s, self._asleep_s)

    def longest_step_s(self) -> float:
        """How far time may go in one piece before the battery's state must be looked at again."""
        if self._amps == 0.0 and self._slope_a_s == 0.0:
            return NEVER_S
        return 1.0 if self.soc_pct >= TAPER_FROM_PCT - 1.0 else 30.0

    def charged(self, energy_wh: float) -> None:
        self.soc_pct = min(100.0, self.soc_pct + energy_wh / self.capacity_wh * 100.0)

    def settle(self, now_s: float, offer_a: float, live: bool, away: bool = False) -> None:
        """Look at the pilot and the voltage now, and act on what is due. `away`: there is no pilot."""
        if self.sleepy:
            self._doze(now_s, offer_a, away)
        if now_s >= self._arrive_s:
            self._amps, self._slope_a_s, self._arrive_s = self._target_a, 0.0, NEVER_S
        self._look_at_pilot(now_s, offer_a)
        self._switch_s2(now_s)
        if live != self._live:
            self._live = live
            self._draw_s = now_s + START_S if live else NEVER_S
        if now_s >= self._draw_s:
            self._draw_s = NEVER_S
        if live and self.s2:
            self._aim(now_s, self._wish_a() if self._draw_s == NEVER_S else 0.0)
        else:
            self._cut()

    def _doze(self, now_s: float, offer_a: float, away: bool) -> None:
        if offer_a > 0.0 or away:
            self._asleep_s = NEVER_S
        elif self._asleep_s == NEVER_S and not self.asleep:
            self._asleep_s = now_s + SLEEPS_S
        if not away:
            self.asleep = self.asleep and now_s - self._away_s < WAKES_S
            self._away_s = NEVER_S
        elif self._away_s == NEVER_S:
            self._away_s = now_s
        if now_s >= self._asleep_s:
            self.asleep, self._asleep_s = True, NEVER_S

    def _look_at_pilot(self, now_s: float, offer_a: float) -> None:
        if offer_a != self._seen_a:
            self._seen_a = offer_a
            if self._notice_s == NEVER_S:
                self._notice_s = now_s + (REACTION_S if self.s2 else WAKE_S)
        if now_s >= self._notice_s:
            self._notice_s = NEVER_S
            if not (self.greedy and self._seen_a == 0.0):
                self._known_a = self._seen_a

    def _switch_s2(self, now_s: float) -> None:
        if self.forced_s2 is not None:
            self.s2 = self.forced_s2
        elif self.soc_pct < 100.0 and not self.hold and not self.asleep and self._known_a >= LEAST_OFFER_A:
            self.s2 = True
        elif self.amps_at(now_s) == 0.0 or not self._live:
            self.s2 = False

    def _wish_a(self) -> float:
        if self._known_a < LEAST_OFFER_A or self.soc_pct >= 100.0:
            return 0.0
        if self.greedy:
            return self._known_a * 1.25 + 2.0
        return min(self._known_a, self.max_a, self._taper_a())

    def _taper_a(self) -> float:
        """Falls from the most the car takes at 95 % to 1 A when full, in quarter-ampere steps."""
        if self.soc_pct <= TAPER_FROM_PCT:
            return self.max_a
        left = (100.0 - self.soc_pct) / (100.0 - TAPER_FROM_PCT)
        return max(1.0, round(self.max_a * left * 4.0) / 4.0)

    def _aim(self, now_s: float, target_a: float) -> None:
        if target_a == self._target_a:
            return
        self._amps = self.amps_at(now_s)
        self._since_s, self._target_a = now_s, target_a
        gap_a = target_a - self._amps
        self._slope_a_s = RAMP_UP_A_S if gap_a > 0 else -RAMP_DOWN_A_S
        self._arrive_s = now_s + gap_a / self._slope_a_s

    def _cut(self) -> None:
        self._amps = self._target_a = self._slope_a_s = 0.0
        self._arrive_s = NEVER_S
