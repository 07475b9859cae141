"""A `drivers.bus.Wire` straight to the simulated devices: no pty, no pymodbus, only the running loop's time.

For simulations on a virtual clock. Times are those of the real line (`server.py`): bytes at the line's speed, thinking,
fault modes. And it keeps RTU's trap: an answer that comes late, while the next request to the same unit and function is
waiting, is taken for that one's; `drain` is what saves a master from it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from drivers.bus import WireError
from drivers.simulated.pdu import READS, WRITES_MANY, WRITES_ONE
from drivers.simulated.plan import SimBus
from drivers.simulated.registers import SimDevice
from drivers.simulated.server import PENDING_MAX, Thinking, Units

READ_BYTES, WRITE_BYTES = 13, 16  # request and answer together without their words, which come once


@dataclass(frozen=True, slots=True)
class _Frame:
    arrives_s: float
    unit: int
    function: int
    words: list[int]
    code: int = 0  # a Modbus exception
    broken: bool = False


class SimWire:
    """`plugged` False is a port that went away; `now()` brings the world to the present."""

    def __init__(self, bus: SimBus, units: Units, thinking: Thinking, now: Callable[[], None]) -> None:
        self.name = bus.port or f"{bus.host}:{bus.tcp_port}"
        self.plugged = True
        self._bus = bus
        self._units = units
        self._thinking = thinking
        self._now = now
        self._open = False
        self._frames: list[_Frame] = []

    @property
    def connected(self) -> bool:
        return self._open and self.plugged

    async def connect(self, timeout_s: float) -> None:
        if not self.plugged:
            raise WireError("closed", "cannot be opened: no such port")
        self._open, self._frames = True, []

    def close(self) -> None:
        self._open = False

    async def drain(self, window_s: float) -> None:
        await asyncio.sleep(window_s)
        self._drop(asyncio.get_running_loop().time())

    async def transact(
        self, unit: int, function: int, address: int, payload: int | Sequence[int], timeout_s: float
    ) -> list[int]:
        if not self.connected:
            raise WireError("closed", "went away")
        start_s = asyncio.get_running_loop().time()
        self._drop(start_s)
        self._now()
        device = self._units.get(unit)
        if device is not None and device.mode != "timeout":
            self._answer(device, unit, function, address, payload, start_s)
        frame = self._first(unit, function, start_s + timeout_s)
        await asyncio.sleep((frame.arrives_s if frame and not frame.broken else start_s + timeout_s) - start_s)
        if not self.connected:
            raise WireError("closed", "went away")
        return self._taken(frame)

    async def broadcast(
        self, unit: int, function: int, address: int, payload: Sequence[int], timeout_s: float
    ) -> list[int]:
        """To all that hear this unit; nobody answers."""
        if not self.connected:
            raise WireError("closed", "went away")
        self._now()
        for device in self._units.values():
            if unit in device.calls:
                _do(device, function, address, payload)
        await asyncio.sleep((WRITE_BYTES + 2 * len(payload)) * self._bus.byte_s)
        return []

    def _answer(
        self, device: SimDevice, unit: int, function: int, address: int, payload: int | Sequence[int], start_s: float
    ) -> None:
        """The device does it now; its answer is under way."""
        found = _do(device, function, address, payload)
        if found is None or len(self._frames) >= PENDING_MAX:
            return
        words, code = (found, 0) if isinstance(found, list) else ([], found)
        count = payload if isinstance(payload, int) else len(payload)
        line_s = ((READ_BYTES if isinstance(payload, int) else WRITE_BYTES) + 2 * count) * self._bus.byte_s
        arrives_s = start_s + line_s + self._thinking.delay_s(device.mode)
        self._frames.append(_Frame(arrives_s, unit, function, words, code, device.mode == "garbage"))

    def _first(self, unit: int, function: int, until_s: float) -> _Frame | None:
        """The frame that a master takes for its answer."""
        fits = [f for f in self._frames if (f.unit, f.function) == (unit, function) and f.arrives_s <= until_s]
        return min(fits, key=lambda f: f.arrives_s, default=None)

    def _taken(self, frame: _Frame | None) -> list[int]:
        if frame is None:
            raise WireError("timeout")
        if frame in self._frames:
            self._frames.remove(frame)
        if frame.broken:
            raise WireError("garbage", "checksum or length wrong")
        if frame.code:
            raise WireError("exception", code=frame.code)
        return frame.words

    def _drop(self, until_s: float) -> None:
        self._frames = [f for f in self._frames if f.arrives_s > until_s]


def _do(device: SimDevice, function: int, address: int, payload: int | Sequence[int]) -> list[int] | int | None:
    if isinstance(payload, int):
        return device.read(READS[function], address, payload)
    code = device.write((WRITES_ONE | WRITES_MANY)[function], address, payload)
    return [] if code == 0 else code
