"""An EVSE controller made of parts (`EvseController`; `Unlocks` with a lock, `ShowsState` with lights).

A pilot (a controller of its own, or a module on an IO board), a relay that holds the contactor's coil, and what watches
over it: mirror contact, residual-current device, emergency stop, lock, PP resistor. `interlock.py` decides, this file
asks and switches, and verifies what it switched: read back, and by the mirror contact within `verify_s`, three times.

What this cannot do: Linux and a bus take tens to hundreds of milliseconds and give no promise. The contactor must open
within 100 ms after the car's switch, at once for residual current, and when this program is dead: so the coil's circuit
has to lead through the pilot controller's own relay and the residual-current device as well, and the IO board needs a
host watchdog. What is done here comes on top of that.

Rules kept: a part that does not answer leads to an open contactor and no offer, as far as the other parts can be
reached, and then to the DriverError; lock and unlock are never driven together; a pulse always ends.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from typing import NamedTuple

from drivers.api import (
    DriverError,
    EvseController,
    EvseReading,
    Guard,
    Identifies,
    OrdersPower,
    Pilot,
    StopButton,
    WakesCars,
)
from drivers.interlock import Facts, Interlock, Rules, Wanted
from drivers.io.channel import Channel, Poll
from drivers.io.resistor import Divider, rating_a, resistance_ohm
from drivers.pulse import Pulse

SAMPLE_S = 0.03
SAMPLES = 3  # in a row that must be wrong
LOCK_TRIES = 3
WAKE_S = 4.0
LOCK_SETTLES_S = 1.0


class Contactor(NamedTuple):
    """`mirror` is on while the main contacts are closed. `three_phase`: a second contactor behind the first, on for
    three phases, off for one, and its mirror contact. `fan` runs while the car wants air (state D)."""

    output: Channel
    mirror: Channel | None = None
    verify_s: float = 0.25
    three_phase: Channel | None = None
    three_phase_mirror: Channel | None = None
    fan: Channel | None = None


class Guards(NamedTuple):
    """On when something is wrong."""

    residual: Channel | None = None
    emergency: Channel | None = None
    dc_residual: Channel | None = None
    cover: Channel | None = None


class Lock(NamedTuple):
    """A motor with a pulse for each way; without `unlock` a magnet that holds while `lock` is on."""

    lock: Channel
    unlock: Channel | None = None
    locked: Channel | None = None
    pulse_s: float = 0.5


class Cable(NamedTuple):
    volts: Channel
    divider: Divider


class ComposedEvse:
    """One EVSE. `lights`: a word of the station's state -> the outputs that are on. `interrupt`: a relay that cuts the
    pilot's line while it is on."""

    def __init__(
        self,
        pilot: EvseController,
        contactor: Contactor,
        guards: Guards | None = None,
        lock: Lock | None = None,
        cable: Cable | None = None,
        lights: Mapping[str, tuple[Channel, ...]] | None = None,
        rules: Rules | None = None,
        interrupt: Channel | None = None,
    ) -> None:
        self._pilot = pilot
        self._contactor = contactor
        self._guards = guards or Guards()
        self._lock = lock
        self._cable = cable
        self._lights = dict(lights or {})
        self._interlock = Interlock((rules or Rules())._replace(locks=lock is not None))
        self._offered: float | None = None
        self._driven: bool | None = None  # which way the lock went last
        self._pressed = False
        self._met = self._at_rest = False
        self._phases: int | None = None
        self._airy: bool | None = None  # what the fan was told
        self._interrupt = interrupt
        self._away: Pulse | None = None
        if interrupt is not None:
            self.wake = self._wake
        elif isinstance(pilot, WakesCars):
            self.wake = pilot.wake
        if isinstance(pilot, OrdersPower):
            self.share = pilot.share
        if contactor.three_phase is not None:
            self.switch_phases = self._switch_phases
        if lock is not None:
            self.unlock = self._unlock
        if self._lights:
            self.show = self._show

    async def read(self) -> EvseReading:
        """One poll, with all that follows from it for contactor, pilot and lock."""
        return await self._step()

    async def offer(self, current_a: float) -> None:
        self._interlock.order_a = current_a if current_a > 0 else 0.0
        self._offered = None  # whoever repeats an order has seen that it was not kept
        await self._step()

    async def identity(self) -> str:
        return await self._pilot.identity() if isinstance(self._pilot, Identifies) else "made of parts"

    def guard(self) -> Guard | None:
        """What the board at the coil does by itself; the pilot's own watchdog alone opens no contactor of ours."""
        guard_s = self._contactor.output.board.guard_s
        return None if guard_s is None else Guard(guard_s, 0.0)

    # --- one step -----------------------------------------------------------------------------------------------

    async def _step(self) -> EvseReading:
        try:
            facts, pilot = await self._sense()
            await self._meet(facts)
            await self._compare(facts)
            await self._act(self._interlock.step(facts, _now()), facts)
        except DriverError:
            await self._let_go()
            raise
        return self._reading(facts, pilot)

    async def _sense(self) -> tuple[Facts, EvseReading]:
        poll = Poll()
        coil, mirror = await self._switched(poll)
        residual, emergency, dc, cover = [channel is not None and await poll.input(channel) for channel in self._guards]
        locked = await self._is_locked(poll)
        cable_a, cable_bad = await self._rating(poll)
        pilot = await self._pilot_told()
        self._phases = await self._fed(poll)
        cable_a = pilot.cable_a if self._cable is None else cable_a
        told = pilot.pilot, pilot.faults
        return Facts(*told, coil, mirror, residual, emergency, locked, cable_a, cable_bad, dc, cover), pilot

    async def _pilot_told(self) -> EvseReading:
        """The pilot, or what it was before its line was cut."""
        reading, pulse, now = await self._pilot.read(), self._away, _now()
        if pulse is None or self._interrupt is None:
            return reading
        if pulse.is_due(now):
            await self._interrupt.set(False)
            pulse.ended(now)
        if pulse.is_past(now):
            self._away = None
            return reading
        return pulse.cover(reading)

    async def _fed(self, poll: Poll) -> int | None:
        """By how many phases the outlet would be fed."""
        output, mirror = self._contactor.three_phase, self._contactor.three_phase_mirror
        if output is None:
            return None
        return 3 if await (poll.output(output) if mirror is None else poll.input(mirror)) else 1

    async def _switched(self, poll: Poll) -> tuple[bool, bool | None]:
        """Coil and mirror contact."""
        mirror = self._contactor.mirror
        return await poll.output(self._contactor.output), None if mirror is None else await poll.input(mirror)

    async def _is_locked(self, poll: Poll) -> bool | None:
        if self._lock is None or self._lock.locked is None:
            return self._driven
        return await poll.input(self._lock.locked)

    async def _rating(self, poll: Poll) -> tuple[float | None, bool]:
        """The cable's rating, and whether its resistor means nothing."""
        if self._cable is None:
            return None, False
        volts = await poll.volts(self._cable.volts)
        rating = None if volts is None else rating_a(resistance_ohm(volts, self._cable.divider))
        return (0.0, True) if rating is None else (rating, False)

    async def _meet(self, facts: Facts) -> None:
        """At the first contact: go on with the contactor as it is, end a pulse that a crash may have left."""
        if not self._met:
            self._interlock.adopt(facts.coil, _now())
            if self._interrupt is not None:
                await self._interrupt.set(False)
            self._met = True
        if not self._at_rest:
            await self._rest()

    async def _rest(self) -> None:
        """No pulse of the lock's motor goes on: one whose end was lost would burn it."""
        if self._lock is not None and self._lock.unlock is not None:
            await self._lock.lock.set(False)
            await self._lock.unlock.set(False)
        self._at_rest = True

    async def _compare(self, facts: Facts) -> None:
        """What the parts say against what they were told."""
        told = self._interlock.closed
        if told and not facts.coil:
            self._interlock.fell_off(_now())
        elif told and facts.mirror is False:
            if self._interlock.asks(facts):  # else the pilot controller's own relay was quicker than we are
                await self._judge(True)
        elif not told and facts.mirror and not facts.coil:
            await self._judge(False)
        # A coil that is on without an order is switched off by `_act`.

    async def _act(self, wanted: Wanted, facts: Facts) -> None:
        if facts.coil and not wanted.closed:
            await self._switch(False)
        if wanted.offer_a is not None and wanted.offer_a != self._offered:
            await self._pilot.offer(wanted.offer_a)
            self._offered = wanted.offer_a
        if wanted.locked is not None and wanted.locked != facts.locked:
            await self._drive(wanted.locked)
        fan, airy = self._contactor.fan, facts.pilot is Pilot.D
        if fan is not None and airy is not self._airy:
            await fan.set(airy)
            self._airy = airy
        if wanted.closed and not facts.coil:
            await self._switch(True)

    async def _let_go(self) -> None:
        """Something does not answer: what can be reached is switched off."""
        self._interlock.fell_off(_now())
        self._offered = self._airy = None
        with contextlib.suppress(DriverError):
            await self._contactor.output.set(False)
        with contextlib.suppress(DriverError):
            await self._pilot.offer(0.0)

    def _reading(self, facts: Facts, pilot: EvseReading) -> EvseReading:
        pressed, self._pressed = self._pressed, facts.emergency
        new = StopButton.EMERGENCY if facts.emergency and not pressed else pilot.stop_button
        coil, mirror = self._interlock.closed, facts.mirror
        return EvseReading(
            pilot=facts.pilot,
            contactor=coil or bool(mirror) or self._interlock.welded,
            offered_a=pilot.offered_a,
            cable_a=facts.cable_a,
            faults=self._interlock.faults(facts),
            locked=facts.locked,
            stop_button=new,
            raw=f"{pilot.raw}, coil {int(facts.coil)}, mirror {'none' if mirror is None else int(mirror)}",
            phases=self._phases,
        )

    # --- the contactor ------------------------------------------------------------------------------------------

    async def _switch(self, closed: bool) -> None:
        await self._contactor.output.set(closed)
        await self._judge(closed)

    async def _judge(self, closed: bool) -> None:
        if self._interlock.welded or await self._obeys(closed):
            return
        if closed:
            pilot = (await self._pilot_told()).pilot
            if self._interlock.asks(Facts(pilot)):
                self._interlock.did_not_close(_now())
            else:  # the car has let go meanwhile
                self._interlock.fell_off(_now())
            await self._contactor.output.set(False)
        else:
            self._interlock.did_not_open(_now())

    async def _obeys(self, closed: bool) -> bool:
        """Whether coil and mirror contact come to say the same in time."""
        until, wrong = _now() + self._contactor.verify_s, 0
        while wrong < SAMPLES:
            coil, mirror = await self._switched(Poll())
            if coil == closed and mirror in (None, closed):
                return True
            wrong += _now() >= until
            await asyncio.sleep(SAMPLE_S)
        return False

    async def _switch_phases(self, phases: int) -> bool:
        """Move the second contactor, never while the first is closed by any sign."""
        output = self._contactor.three_phase
        assert output is not None
        coil, mirror = await self._switched(Poll())
        if coil or mirror or self._interlock.closed or self._interlock.welded or self._interlock.order_a:
            return False
        await output.set(phases == 3)
        until = _now() + self._contactor.verify_s
        while await self._fed(Poll()) != phases:
            if _now() >= until:
                return False
            await asyncio.sleep(SAMPLE_S)
        return True

    async def _wake(self) -> bool:
        assert self._interrupt is not None
        reading = await self._step()
        if self._away is not None or reading.pilot is not Pilot.B or reading.contactor:
            return False
        self._away = Pulse(reading, _now(), WAKE_S)
        await self._interrupt.set(True)
        return True

    # --- lock and lights ----------------------------------------------------------------------------------------

    async def _unlock(self) -> bool:
        try:
            coil, mirror = await self._switched(Poll())
            if coil or mirror:
                return False
            self._interlock.unlock()
            await self._step()
            return await self._is_locked(Poll()) is False
        except DriverError:
            await self._let_go()
            raise

    async def _drive(self, locked: bool) -> None:
        """Move the lock, a bounded number of times. The contactor is open meanwhile, so nothing else is urgent."""
        for _ in range(LOCK_TRIES):
            await self._pulse(locked)
            if await self._has_moved(locked):
                self._interlock.lock_moved(locked, True)
                return
        self._interlock.lock_moved(locked, False)

    async def _pulse(self, locked: bool) -> None:
        lock = self._lock
        assert lock is not None
        if lock.unlock is None:
            await lock.lock.set(locked)
            return
        way, other = (lock.lock, lock.unlock) if locked else (lock.unlock, lock.lock)
        self._at_rest = False
        await other.set(False)
        try:
            await way.set(True)
            await asyncio.sleep(lock.pulse_s)
        finally:
            await way.set(False)
        self._at_rest = True

    async def _has_moved(self, locked: bool) -> bool:
        assert self._lock is not None
        self._driven = locked
        if self._lock.locked is None:
            return True
        until = _now() + LOCK_SETTLES_S
        while await self._is_locked(Poll()) is not locked:
            if _now() >= until:
                return False
            await asyncio.sleep(SAMPLE_S)
        return True

    async def _show(self, state: str) -> None:
        wanted = self._lights.get(state.lower())
        if wanted is None:  # lights need not know every word
            return
        for channel in dict.fromkeys(channel for lights in self._lights.values() for channel in lights):
            await channel.set(channel in wanted)


def _now() -> float:
    return asyncio.get_running_loop().time()
