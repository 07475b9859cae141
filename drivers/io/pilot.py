"""A pilot module that is wired to an IO board (`EvseController`): its state as levels, its offer as one output.

The module makes the PWM for one current that its own switch or resistor sets (`current_a`): less than that it cannot
offer, so an order below it withholds power, and one above it offers just that.
"""

from __future__ import annotations

from drivers.api import EvseReading, Fault, Pilot
from drivers.io.channel import Channel, Poll


class IoPilot:
    """`connected` B or more, `requesting` C, `failed` an error of the pilot, `enable` the output that offers."""

    def __init__(
        self,
        connected: Channel,
        requesting: Channel,
        enable: Channel,
        current_a: float,
        failed: Channel | None = None,
    ) -> None:
        self._connected = connected
        self._requesting = requesting
        self._enable = enable
        self._failed = failed
        self._current_a = current_a

    async def read(self) -> EvseReading:
        poll = Poll()
        failed = self._failed is not None and await poll.input(self._failed)
        requesting, connected = await poll.input(self._requesting), await poll.input(self._connected)
        pilot = Pilot.E if failed else Pilot.C if requesting else Pilot.B if connected else Pilot.A
        offered_a = self._current_a if await poll.output(self._enable) else 0.0
        faults = (Fault.PILOT,) if failed else ()
        return EvseReading(pilot, offered_a=offered_a, faults=faults, raw=f"pilot {pilot}")

    async def offer(self, current_a: float) -> None:
        await self._enable.set(current_a >= self._current_a)
