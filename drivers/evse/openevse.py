"""An OpenEVSE controller by RAPI on its serial line (`EvseController`, `FailsSafe`, `Identifies`, `WakesCars`).

    [evse.controller]
    driver = "openevse"
    options = { port = "/dev/ttyUSB2" }

Rules kept:
* withheld power is its sleep state (steady 12 V, the contactor opens); below 6 A is a pause; all else is `$SC n V`, a
  volatile current, given before it is woken;
* a car that sleeps is woken by a moment of state F (disabled, then enabled again);
* its heartbeat supervision is set before the first order, after each opening of the port, after an error and when it
  has booted, and pulsed by reading. It cannot go below 6 A: that is what a dead agent leaves, and `guard` says so;
* a state that is not named here is `Pilot.UNKNOWN` with `Fault.PILOT`, never "A";
* after a missed or a broken answer the line rests, so that a late answer is never taken for the next one's.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import termios
from typing import TYPE_CHECKING

from drivers.api import DriverError, EvseReading, Fault, Guard, Pilot
from drivers.bus import SerialSettings
from drivers.evse.rapi import ANSWERS, BOOT, Lines, line
from drivers.pulse import Pulse
from drivers.reason import reason
from drivers.record import replace

if TYPE_CHECKING:
    from serial import Serial

TIMEOUT_S = 0.5
REST_S = 0.3
OPEN_S = 3.0
LEAST_A = 6
WAKE_S = 4.0
PULSES = 3  # within one time-out
READ_BYTES = 256
MAX_KEPT = 8
PILOTS = {1: Pilot.A, 2: Pilot.B, 3: Pilot.C, 4: Pilot.D}
WITHHOLDS = (0xFE, 0xFF)  # sleeping, disabled
FAULTS = {
    0x04: Fault.VENTILATION, 0x05: Fault.DIODE, 0x06: Fault.GROUND, 0x07: Fault.GROUND, 0x08: Fault.CONTACTOR,
    0x09: Fault.GROUND, 0x0A: Fault.OVER_TEMPERATURE, 0x0B: Fault.OVER_CURRENT, 0x0E: Fault.CONTACTOR,
}  # fmt: skip


class OpenEvse:
    """One board on one serial port."""

    def __init__(self, port: str, baud: int = 115200, max_a: float = 32.0, watchdog_s: float = 15.0) -> None:
        if not LEAST_A <= max_a <= 80 or not 3 <= watchdog_s <= 3600:
            raise DriverError(f"openevse: max_a {max_a:g} is not 6 to 80, or watchdog_s {watchdog_s:g} not 3 to 3600")
        self._settings = SerialSettings(port, int(baud))
        self._max_a, self._watchdog_s = int(max_a), int(watchdog_s)
        self._port: Serial | None = None
        self._fd = -1
        self._lock = asyncio.Lock()
        self._lines = Lines()
        self._answers: asyncio.Queue[list[str]] = asyncio.Queue(MAX_KEPT)
        self._pulse: Pulse | None = None
        self._dirty = self._armed = self._ordered = False
        self._pulsed_at = -float("inf")

    async def read(self) -> EvseReading:
        """One poll; pulses the heartbeat, and sets it again on a board that came back."""
        async with self._lock:
            state = await self._ask("GS")
            amps = await self._ask("GE")
            if self._ordered:
                await self._live()
            reading = self._reading(state, amps)
            return reading if self._pulse is None else await self._covered(self._pulse, reading)

    async def offer(self, current_a: float) -> None:
        """Order this current; 0 and all below 6 A withhold power."""
        async with self._lock:
            if not current_a >= LEAST_A:
                self._ordered = True
                self._pulse = None  # power is to be taken away, whoever sleeps
                await self._ask("FS")
                return
            await self._arm()
            self._ordered = True
            await self._ask(f"SC {min(int(current_a), self._max_a)} V")
            await self._ask("FE")

    async def wake(self) -> bool:
        """State F for a moment, under an order that the car sleeps through."""
        reading = await self.read()
        async with self._lock:
            if self._pulse is not None or reading.pilot is not Pilot.B or not reading.offered_a:
                return False
            self._pulse = Pulse(reading, self._now(), WAKE_S)
            await self._ask("FD")
            return True

    async def _covered(self, pulse: Pulse, reading: EvseReading) -> EvseReading:
        now = self._now()
        if pulse.is_due(now):
            await self._ask("FE")
            pulse.ended(now)
        if pulse.is_past(now):
            self._pulse = None
            return reading
        return replace(pulse.cover(reading), offered_a=pulse.before.offered_a)

    def guard(self) -> Guard | None:
        return Guard(float(self._watchdog_s), float(LEAST_A))

    async def identity(self) -> str:
        """Its firmware and RAPI versions."""
        async with self._lock:
            return f"OpenEVSE {' '.join(await self._ask('GV'))}"

    async def close(self) -> None:
        self._shut()

    # --- its words ----------------------------------------------------------------------------------------------

    def _reading(self, state: list[str], amps: list[str]) -> EvseReading:
        try:
            (evse_word, _, pilot_word, _), (amps_word, _) = state[:4], amps[:2]
            evse, pilot, current_a = int(evse_word, 16), int(pilot_word, 16), float(amps_word)
        except ValueError:
            self._dirty = True
            raise self._error(f"garbled answer ({' '.join((*state, *amps))})") from None
        found = PILOTS.get(pilot, Pilot.UNKNOWN)
        known = evse in PILOTS or evse in FAULTS or evse in WITHHOLDS
        faults = {FAULTS[evse]} if evse in FAULTS else set()
        if found is Pilot.UNKNOWN or not known:
            found = Pilot.UNKNOWN
            faults.add(Fault.PILOT)
        offered_a = 0.0 if evse in WITHHOLDS else current_a
        return EvseReading(
            found, None, offered_a, None, tuple(sorted(faults)), raw=f"state {evse:02X}, pilot {pilot:02X}"
        )

    async def _live(self) -> None:
        """Pulse the heartbeat when it is time; a board that has missed one is set anew."""
        if not self._armed:
            await self._arm()
            return
        if self._now() - self._pulsed_at < self._watchdog_s / PULSES:
            return
        told = await self._ask("SY")
        self._pulsed_at = self._now()
        if told[-1:] not in ([], ["0"]):  # it has missed pulses, and fell back
            await self._ask("SY 165")

    async def _arm(self) -> None:
        await self._ask(f"SY {self._watchdog_s} {LEAST_A}")
        self._armed, self._pulsed_at = True, self._now()

    # --- its line -----------------------------------------------------------------------------------------------

    async def _ask(self, command: str) -> list[str]:
        """What follows `$OK`; DriverError for all else."""
        await self._open()
        if self._dirty:
            await asyncio.sleep(REST_S)
        self._lines.clear()
        while not self._answers.empty():
            self._answers.get_nowait()
        self._dirty = True
        try:
            os.write(self._fd, line(command))
            async with asyncio.timeout(TIMEOUT_S):
                answer = await self._answers.get()
        except (OSError, TimeoutError) as error:
            self._armed = False
            if not isinstance(error, TimeoutError):
                self._shut()
                raise self._error(f"the port went away: {reason(error)}") from None
            raise self._error("garbled answer" if self._lines.broken else f"no answer in {TIMEOUT_S:g} s") from None
        self._dirty = False
        if answer[0] != "$OK":
            self._armed = False
            raise self._error(f"refuses {command}")
        return answer[1:]

    async def _open(self) -> None:
        from drivers.rtu import open_port  # a station without this board need not know how

        if self._port is not None:
            return
        self._armed = False
        try:
            async with asyncio.timeout(OPEN_S):
                self._port = await open_port(self._settings)
        except (OSError, TimeoutError, termios.error, ValueError) as error:
            raise self._error(f"the port cannot be opened: {reason(error)}") from None
        self._fd = self._port.fileno()
        asyncio.get_running_loop().add_reader(self._fd, self._on_readable)

    def _on_readable(self) -> None:
        try:
            data = os.read(self._fd, READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            self._shut()
            return
        for words in self._lines.feed(data):
            if words[0] == BOOT:
                self._armed = False
            if words[0] in ANSWERS:
                with contextlib.suppress(asyncio.QueueFull):
                    self._answers.put_nowait(words)

    def _shut(self) -> None:
        port, self._port, self._armed = self._port, None, False
        if port is not None:
            asyncio.get_running_loop().remove_reader(self._fd)
            port.close()

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _error(self, why: str) -> DriverError:
        return DriverError(f"OpenEVSE on {self._settings.port}: {why}")
