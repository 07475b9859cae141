"""What time it is, and how sure we are of it.

Inside, everything is measured in `Instant.mono`: seconds since the board was powered (CLOCK_BOOTTIME, which runs on in
suspend and never jumps). UTC is a best guess beside it, from one of two sources:

* the operating system: SYNCED once NTP has set it, SYSTEM when it is at least later than the day this file was written
  (a board without a battery wakes up in the past), UNKNOWN otherwise;
* the CSMS (`learn`): an offset to `mono`, taken at once when we knew less, else only when it differs by more than
  `TOLERANCE_S` and more than the answer's own travel time can explain. From then on the system clock is not asked.

The operating system's clock is never set from here, and no time zone is ever asked: UTC only. The offset may be carried
over a restart of the agent (`offset_s`, `restore`), but not over a power-up: `boot` tells the two apart.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from agent.core.types import ClockQuality, Instant

WRITTEN_AT = 1_795_219_200.0  # 2026-11-21: a system clock before this has been set by nobody
CREDIBLE_FROM = 1_704_067_200.0  # 2024-01-01 and
CREDIBLE_UNTIL = 4_102_444_800.0  # 2100-01-01: what a CSMS may claim
TOLERANCE_S = 2.0  # answers carry whole seconds and travel; less than this is no reason to jump
SYSTEM_CHECK_S = 10.0  # how old the answer to "has NTP set the clock?" may be
NTP_MARK = Path("/run/systemd/timesync/synchronized")
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


# Seconds since this board was powered, suspend included. Asked several times a step, so it is no function of ours.
boottime: Callable[[], float] = partial(time.clock_gettime, time.CLOCK_BOOTTIME)


def boot_id() -> str:
    """The kernel's name for this power-up; without one every process counts as a power-up of its own."""
    try:
        return BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return os.urandom(16).hex()


class Clock:
    """The clock of a real board. `now()` costs about a microsecond."""

    def __init__(
        self,
        *,
        mono: Callable[[], float] = boottime,
        wall: Callable[[], float] = time.time,
        boot: str | None = None,
        ntp_mark: Path = NTP_MARK,
    ) -> None:
        self.mono = mono
        self.boot = boot_id() if boot is None else boot
        self._wall = wall
        self._ntp_mark = ntp_mark
        self._learnt: float | None = None
        self._system = ClockQuality.UNKNOWN
        self._system_until = float("-inf")

    @property
    def offset_s(self) -> float | None:
        """What to add to `mono` to get UTC, as the CSMS has taught it; None when it has not."""
        return self._learnt

    def now(self) -> Instant:
        mono = self.mono()
        if self._learnt is not None:
            return Instant(mono, mono + self._learnt, ClockQuality.SYNCED, self.boot)
        return Instant(mono, self._wall(), self._system_quality(mono), self.boot)

    def learn(self, utc: float, mono_at_request: float, mono_at_answer: float) -> float | None:
        """The CSMS says it is `utc`. Returns by how many seconds our UTC jumped (+: later), None if it stayed."""
        if not CREDIBLE_FROM <= utc < CREDIBLE_UNTIL or mono_at_answer < mono_at_request:
            return None
        now = self.now()
        offset = utc - (mono_at_request + mono_at_answer) / 2
        jump = now.mono + offset - now.utc
        doubt_s = TOLERANCE_S + (mono_at_answer - mono_at_request) / 2
        if now.quality is ClockQuality.SYNCED and abs(jump) <= doubt_s:
            return None
        self._learnt = offset
        return jump

    def restore(self, offset_s: float, boot: str) -> bool:
        """Take up an offset learnt by an earlier process of the same power-up; False if it is worth nothing now."""
        if boot != self.boot or not CREDIBLE_FROM <= self.mono() + offset_s < CREDIBLE_UNTIL:
            return False
        self._learnt = offset_s
        return True

    def _system_quality(self, mono: float) -> ClockQuality:
        if mono >= self._system_until:
            self._system_until = mono + SYSTEM_CHECK_S
            self._system = self._ask_system()
        return self._system

    def _ask_system(self) -> ClockQuality:
        if not WRITTEN_AT <= self._wall() < CREDIBLE_UNTIL:
            return ClockQuality.UNKNOWN
        return ClockQuality.SYNCED if self._ntp_mark.exists() else ClockQuality.SYSTEM
