"""A bench for a controller made of parts: boards, contactor, lock and pilot in memory, on a virtual clock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from drivers.api import DriverError, EvseReading, Fault, IoReading, Pilot
from drivers.composed import Cable, ComposedEvse, Contactor, Guards, Lock
from drivers.io.channel import Channel
from drivers.io.resistor import Divider
from tests.drivers.virtual_time import run

COIL, LOCK, UNLOCK, GREEN, RED, THREE, CUT = 1, 2, 3, 4, 5, 6, 7
MIRROR, RESIDUAL, EMERGENCY, LOCKED = 1, 2, 3, 4
CONTACTS_S = 0.06


class Board:
    """Relays and inputs, and the world that hangs on them. The mirror contact is closed while the contactor is open,
    the alarms are loops that are closed while all is well."""

    guard_s: float | None = 2.0

    def __init__(self) -> None:
        self.outputs = dict.fromkeys((COIL, LOCK, UNLOCK, GREEN, RED, THREE, CUT), False)
        self.lost = self.welded = self.stuck = self.jammed = False
        self.deaf_relay = False
        self.residual = self.emergency = False
        self.locked = False
        self.ohm = 220.0
        self.orders: list[tuple[int, bool]] = []
        self.both_ways = False
        self.in_series: Callable[[], bool] = lambda: True  # the pilot controller's own relay in the coil's circuit
        self._moved_at = -1.0

    @property
    def closed(self) -> bool:
        """The main contacts, which follow the coil after a moment."""
        old = self.welded
        if not old and not self.in_series():
            return False
        if asyncio.get_running_loop().time() - self._moved_at < CONTACTS_S:
            return old or not self.outputs[COIL]
        return old or (self.outputs[COIL] and not self.stuck)

    async def read(self) -> IoReading:
        await self._answer()
        inputs = {
            MIRROR: not self.closed,
            RESIDUAL: not self.residual,
            EMERGENCY: not self.emergency,
            LOCKED: self.locked,
        }
        return IoReading(dict(self.outputs), inputs, {0: 5.0 * self.ohm / (self.ohm + 330.0)})

    async def set(self, output: int, on: bool) -> None:
        await self._answer()
        self.orders.append((output, on))
        if self.deaf_relay and output == COIL:
            return
        if output == COIL and self.outputs[COIL] != on:
            self._moved_at = asyncio.get_running_loop().time()
        self.outputs[output] = on
        self.both_ways |= self.outputs[LOCK] and self.outputs[UNLOCK]
        if on and output in (LOCK, UNLOCK) and not self.jammed:
            assert output == LOCK or not self.closed, "the lock opens under load"
            self.locked = output == LOCK

    async def _answer(self) -> None:
        await asyncio.sleep(0.01)
        if self.lost:
            raise DriverError("relays on /dev/ttyS1: no answer in 0.5 s")


class PilotBoard:
    """A pilot controller and the car at it: with an offer it asks, without one it lets go (unless it is stubborn)."""

    def __init__(self) -> None:
        self.plugged = self.lost = self.stubborn = False
        self.offered_a = 0.0
        self.faults: tuple[Fault, ...] = ()
        self.forced: Pilot | None = None
        self.is_cut: Callable[[], bool] = lambda: False

    async def read(self) -> EvseReading:
        await self._answer()
        pilot = (
            Pilot.A if not self.plugged or self.is_cut() else Pilot.C if self.offered_a or self.stubborn else Pilot.B
        )
        return EvseReading(self.forced or pilot, offered_a=self.offered_a, faults=self.faults)

    async def offer(self, current_a: float) -> None:
        await self._answer()
        self.offered_a = current_a

    async def _answer(self) -> None:
        await asyncio.sleep(0.01)
        if self.lost:
            raise DriverError("pilot on /dev/ttyS1: no answer in 0.5 s")


class Rig:
    """`step` is one poll of the agent."""

    def __init__(self, fan: int | None = None, **options: Any) -> None:
        self.board, self.pilot = Board(), PilotBoard()
        self.pilot.is_cut = lambda: self.board.outputs[CUT]
        at = self.at

        parts: dict[str, Any] = {
            "contactor": Contactor(
                at(COIL), at(MIRROR, True), three_phase=at(THREE), fan=None if fan is None else at(fan)
            ),
            "interrupt": at(CUT),
            "guards": Guards(at(RESIDUAL, True), at(EMERGENCY, True)),
            "lock": Lock(at(LOCK), at(UNLOCK), at(LOCKED), 0.4),
            "cable": Cable(at(0), Divider(330.0, 5.0)),
            "lights": {"charging": (at(GREEN),), "faulted": (at(RED),), "available": ()},
        }
        self.evse: Any = ComposedEvse(self.pilot, **parts | options)

    def at(self, number: int, inverted: bool = False) -> Channel:
        return Channel(self.board, number, f"relays.{number}", inverted)

    async def step(self, times: int = 1, after_s: float = 0.25) -> EvseReading:
        reading: EvseReading | None = None
        for _ in range(times):
            await asyncio.sleep(after_s)
            reading = await self.evse.read()
        assert reading is not None
        return reading

    async def silent_step(self) -> str:
        """A poll that fails; what the technician reads."""
        try:
            await self.step()
        except DriverError as error:
            return str(error)
        raise AssertionError("somebody answered")

    async def charge(self) -> EvseReading:
        """From an empty place to a car that charges."""
        await self.step(30)
        self.pilot.plugged = True
        await self.step(2)
        await self.evse.offer(16.0)
        reading = await self.step(3)
        assert self.board.closed
        return reading


def play(scene: Callable[[Rig], Coroutine[Any, Any, None]], **options: Any) -> None:
    async def main() -> None:
        await scene(Rig(**options))

    run(main())
