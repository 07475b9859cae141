"""The time that is told late: by the CSMS, or by NTP to the system's clock, and what was written before it.

Rules kept here
* What was recorded in this power-up under a lesser clock is told with its true time, whoever taught us that time. A
  charge that began before the network was there has the right bill, also when NTP was quicker than the CSMS.
* A call that tells of a moment before that tells its true time too, though it was decided in the very step in which we
  were taught.
* An offset that the CSMS has taught is remembered for the next process of this power-up; the system keeps its own.
"""

from __future__ import annotations

from typing import Protocol

from agent.core.effects import Ask, Remember, Status
from agent.core.events import Event
from agent.core.record import replace
from agent.core.security import ClockSet
from agent.core.supervision import Problem
from agent.core.types import ClockQuality, Instant
from agent.durable import Durable, LogPort

TOLD_S = 1.0  # a smaller jump is no news for people


class ClockPort(Protocol):
    def now(self) -> Instant: ...
    def learn(self, utc: float, mono_at_request: float, mono_at_answer: float) -> float | None: ...


class Timekeeper:
    """Every method returns the events that follow from it. `settled`: all that was written in this power-up is read
    with its true time."""

    def __init__(self, clock: ClockPort, durable: Durable, log: LogPort) -> None:
        self._clock, self._durable, self._log = clock, durable, log
        self._guess_s: float | None = None  # UTC less monotonic time, as it was taken for while nobody had told it
        self.settled = False

    async def learn(self, utc: float, mono_at_request: float, mono_at_answer: float) -> list[Event]:
        """The CSMS says it is `utc` (epoch seconds)."""
        jump_s = self._clock.learn(utc, mono_at_request, mono_at_answer)
        if jump_s is None:
            return []
        self._log.info("ClockSet", f"the clock was set by the CSMS, by {jump_s:+.0f} s")
        now = self._clock.now()
        offset_s = now.utc - now.mono
        self._guess_s, self.settled = None, await self._durable.retime(now.boot, offset_s)
        clock = Remember("clock", "offset", [now.boot, offset_s])
        return [*await self._durable.commit([clock], now.mono), ClockSet(jump_s)]

    def dated(self, ask: Ask) -> Ask:
        """This call, with its moment as it is known now. What is kept for long is corrected by its block."""
        call = ask.call
        if not isinstance(call, (Status, Problem)) or call.at.quality is ClockQuality.SYNCED:
            return ask
        at, now = call.at, self._clock.now()
        if now.quality is not ClockQuality.SYNCED or at.boot != now.boot:
            return ask
        true = replace(at, utc=now.utc - (now.mono - at.mono), quality=now.quality)
        return replace(ask, call=replace(call, at=true))

    async def look(self, now: Instant) -> list[Event]:
        """Has the system's clock been set meanwhile?"""
        offset_s = now.utc - now.mono
        if now.quality is not ClockQuality.SYNCED:
            self._guess_s, self.settled = offset_s, False
            return []
        if self.settled or self._durable.trouble:
            return []
        guess_s, self._guess_s = self._guess_s, None
        self.settled = await self._durable.retime(now.boot, offset_s)
        if guess_s is None:
            return []
        if abs(offset_s - guess_s) >= TOLD_S:
            self._log.info("ClockSet", f"the clock was set by the system, by {offset_s - guess_s:+.0f} s")
        return [ClockSet(offset_s - guess_s, "the system")]
