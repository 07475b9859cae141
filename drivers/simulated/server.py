"""The simulated lines: real Modbus RTU or ASCII on a pseudo-terminal, Modbus TCP on a socket, with faults to order.

An RTU answer arrives when its last byte would: the request's bytes, the device's thinking time and the answer's bytes
at the line's speed, so that what is measured on the bus is what a wire would show (`busy_s`). A unit that is not there,
has no power or is in mode "timeout" is silent; "garbage" answers with a broken frame, "slow" answers when the master
has given up and may be asking for something else.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping

from drivers.reason import reason
from drivers.simulated.pdu import MBAP_BYTES, answer, ascii_frame, ascii_parts, crc, rtu_frame, rtu_length, tcp_frame
from drivers.simulated.plan import SimBus
from drivers.simulated.port import Port
from drivers.simulated.registers import SimDevice

SILENCE_S = 0.05  # an unfinished request older than this is noise
PENDING_MAX = 64  # answers under way on one line; more masters than that do not exist
CONNECTIONS_MAX = 4
LINE_BYTES_MAX = 1024  # of a line of text that has not ended
IDLE_S = 600.0  # a master silent for longer is disconnected
Units = Mapping[int, SimDevice]


class Thinking:
    """How long devices take and what their fault modes make of an answer."""

    def __init__(self, latency_s: tuple[float, float], slow_s: float, seed: int) -> None:
        self._random = random.Random(seed)
        self._latency_s = latency_s
        self._slow_s = slow_s

    def delay_s(self, mode: str) -> float:
        return self._random.uniform(*self._latency_s) + (self._slow_s if mode == "slow" else 0.0)

    def spoil(self, frame: bytes, head: int) -> bytes:
        """The frame with noise in it after its first `head` bytes, and sometimes too short."""
        body = bytes(byte ^ self._random.randrange(1, 256) for byte in frame[head:])
        return frame[:head] + body[: self._random.randint(len(body) // 2, len(body))]


class RtuLine:
    """One serial line with its units. `now()` brings the world to the present before it is looked at."""

    def __init__(self, bus: SimBus, units: Units, thinking: Thinking, now: Callable[[], None]) -> None:
        self.bus = bus
        self.units = units
        self.busy_s = 0.0  # time that bytes took on the line so far
        self.requests = 0
        self._thinking = thinking
        self._now = now
        self._port = Port(bus.port, self._heard)
        self._buffer = b""
        self._silence: asyncio.TimerHandle | None = None
        self._pending: dict[asyncio.TimerHandle, None] = {}

    async def open(self) -> None:
        self._port.open()

    async def close(self) -> None:
        for timer in (*self._pending, *([self._silence] if self._silence else [])):
            timer.cancel()
        self._pending.clear()
        self._port.close()

    def _heard(self, data: bytes) -> None:
        self._buffer += data
        if self._silence is not None:
            self._silence.cancel()
        while (length := rtu_length(self._buffer)) and len(self._buffer) >= length:
            frame, self._buffer = self._buffer[:length], self._buffer[length:]
            if crc(frame[:-2]) != frame[-2:]:
                self._buffer = b""
                return
            self._request(frame[0], frame[1:-2], length)
        self._wait_for_more()

    def _wait_for_more(self) -> None:
        self._silence = asyncio.get_running_loop().call_later(SILENCE_S, self._forget) if self._buffer else None

    def _forget(self) -> None:
        self._buffer = b""

    def _request(self, unit: int, pdu: bytes, length: int) -> None:
        self._now()
        self.requests += 1
        self.busy_s += length * self.bus.byte_s
        if called := [device for device in self.units.values() if unit in device.calls]:  # answered by none
            for hearer in called:
                answer(hearer, pdu)
            return
        device = self.units.get(unit)
        if device is None or device.mode == "timeout":
            return
        reply = answer(device, pdu)
        if reply is None or len(self._pending) >= PENDING_MAX:
            return
        frame = self._frame(unit, reply)
        self.busy_s += len(frame) * self.bus.byte_s
        if device.mode == "garbage":
            frame = self._thinking.spoil(frame, 1)
        self._later((length + len(frame)) * self.bus.byte_s + self._thinking.delay_s(device.mode), frame)

    def _frame(self, unit: int, reply: bytes) -> bytes:
        return rtu_frame(unit, reply)

    def _later(self, delay_s: float, frame: bytes) -> None:
        def write() -> None:
            self._pending.pop(timer)
            self._port.write(frame)

        timer = asyncio.get_running_loop().call_later(delay_s, write)
        self._pending[timer] = None


class AsciiLine(RtuLine):
    """The same in Modbus ASCII, with the answers of ABL's boards (they begin with ">")."""

    def _heard(self, data: bytes) -> None:
        self._buffer += data
        if self._silence is not None:
            self._silence.cancel()
        while b"\r\n" in self._buffer:
            line, _, self._buffer = self._buffer.partition(b"\r\n")
            parts = ascii_parts(line)
            if parts is not None:
                self._request(*parts, len(line) + 2)
        self._buffer = self._buffer[-LINE_BYTES_MAX:]
        self._wait_for_more()

    def _frame(self, unit: int, reply: bytes) -> bytes:
        return ascii_frame(b">", unit, reply)


class TcpLine:
    """One Modbus TCP address with its units."""

    def __init__(self, bus: SimBus, units: Units, thinking: Thinking, now: Callable[[], None]) -> None:
        self.bus = bus
        self.units = units
        self.busy_s = 0.0
        self.requests = 0
        self._thinking = thinking
        self._now = now
        self._server: asyncio.Server | None = None
        self._clients: dict[asyncio.StreamWriter, None] = {}

    async def open(self) -> None:
        host, tcp_port = self.bus.host, self.bus.tcp_port
        try:
            self._server = await asyncio.start_server(self._serve, host, tcp_port)
        except OSError as error:
            raise OSError(f"cannot listen at {host}:{tcp_port}: {reason(error)}") from None

    @property
    def tcp_port(self) -> int:
        """Where it listens; of use when the plan said 0."""
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def close(self) -> None:
        if self._server is None:
            return
        self._server.close()
        for writer in tuple(self._clients):
            writer.close()
        await asyncio.wait_for(self._server.wait_closed(), 2.0)
        self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._clients) >= CONNECTIONS_MAX:
            writer.close()
            return
        self._clients[writer] = None
        try:
            while await self._one(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError, TimeoutError):
            pass  # the master has hung up or gone to sleep, which is its right
        finally:
            self._clients.pop(writer)
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await asyncio.wait_for(reader.readexactly(MBAP_BYTES), IDLE_S)
        length = int.from_bytes(head[4:6], "big") - 1
        if head[2:4] != b"\0\0" or not 1 <= length <= 253:
            return False
        pdu = await asyncio.wait_for(reader.readexactly(length), 5.0)
        self._now()
        self.requests += 1
        device = self.units.get(head[6])
        reply = None if device is None or device.mode == "timeout" else answer(device, pdu)
        if device is None or reply is None:
            return True
        frame = tcp_frame(head[:2], head[6], reply)
        if device.mode == "garbage":
            frame = self._thinking.spoil(frame, MBAP_BYTES)
            frame = frame[:4] + (len(frame) - 6).to_bytes(2, "big") + frame[6:]
        await asyncio.sleep(self._thinking.delay_s(device.mode))
        writer.write(frame)
        await asyncio.wait_for(writer.drain(), 5.0)
        return True


Line = RtuLine | TcpLine
