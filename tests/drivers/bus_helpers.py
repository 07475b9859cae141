"""A pseudo-terminal as a serial port, and a Modbus RTU slave on it that can be told to misbehave."""

from __future__ import annotations

import asyncio
import os
import tty
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from drivers.bus import Policy, SerialSettings

QUICK = Policy(timeout_s=0.06, retries=0, deadline_s=2.0, quarantine_s=0.15)


class Pty:
    """A serial port at `path` (a symbolic link) that can be pulled out and put back."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.on_data: Callable[[bytes], None] = lambda data: None
        self._fds: tuple[int, int] | None = None

    def plug(self) -> None:
        fds = os.openpty()
        for fd in fds:
            tty.setraw(fd)
        os.set_blocking(fds[0], False)
        self._fds = fds
        self.path.unlink(missing_ok=True)
        self.path.symlink_to(os.ttyname(fds[1]))
        asyncio.get_running_loop().add_reader(fds[0], self._read)

    def unplug(self) -> None:
        if self._fds is None:
            return
        asyncio.get_running_loop().remove_reader(self._fds[0])
        for fd in self._fds:
            os.close(fd)
        self._fds = None
        self.path.unlink(missing_ok=True)

    def stop_reading(self) -> None:
        """The far end takes no more bytes; `read_again` ends it."""
        assert self._fds is not None
        asyncio.get_running_loop().remove_reader(self._fds[0])

    def read_again(self) -> None:
        assert self._fds is not None
        asyncio.get_running_loop().add_reader(self._fds[0], self._read)

    def send(self, data: bytes) -> None:
        if self._fds is not None:
            os.write(self._fds[0], data)

    def _read(self) -> None:
        assert self._fds is not None
        self.on_data(os.read(self._fds[0], 4096))


@dataclass
class Request:
    unit: int
    function: int
    address: int
    count: int  # registers to read, or the value of a single write
    words: list[int]
    at: float  # loop time of its arrival

    @property
    def is_read(self) -> bool:
        return self.function <= 4


Misdeed = Callable[["Slave", Request, bytes], None]


class Slave:
    """Serves `words[unit][address]` (input and holding alike); `misdeeds` are used up one for each request."""

    def __init__(self, pty: Pty, units: dict[int, dict[int, int]]) -> None:
        self.words = units
        self.requests: list[Request] = []
        self.answered_at: list[float] = []
        self.misdeeds: list[Misdeed] = []
        self._pty = pty
        self._buffer = b""
        pty.on_data = self._on_data

    def send(self, data: bytes) -> None:
        self.answered_at.append(_now())
        self._pty.send(data)

    def send_later(self, delay_s: float, data: bytes) -> None:
        asyncio.get_running_loop().call_later(delay_s, self.send, data)

    def unplug(self) -> None:
        self._pty.unplug()

    def _on_data(self, data: bytes) -> None:
        self._buffer += data
        while (size := _request_size(self._buffer)) and len(self._buffer) >= size:
            frame, self._buffer = self._buffer[:size], self._buffer[size:]
            assert crc16(frame[:-2]) == frame[-2:], f"bad request {frame.hex(' ')}"
            self._on_request(frame)

    def _on_request(self, frame: bytes) -> None:
        request = _parse(frame)
        self.requests.append(request)
        if request.unit not in self.words:
            return
        answer = self._answer(request)
        misdeed = self.misdeeds.pop(0) if self.misdeeds else _behave
        misdeed(self, request, answer)

    def _answer(self, r: Request) -> bytes:
        bank = self.words[r.unit]
        if not r.is_read:
            bank.update({r.address + i: word for i, word in enumerate(r.words)})
            return with_crc(bytes([r.unit, r.function]) + _u16(r.address) + _u16(r.count))
        addresses = range(r.address, r.address + r.count)
        if any(a not in bank for a in addresses):
            return exception(r, 2)
        body = b"".join(_u16(bank[a]) for a in addresses)
        if r.function <= 2:
            bits = sum((bank[a] & 1) << i for i, a in enumerate(addresses))
            body = bits.to_bytes((r.count + 7) // 8, "little")
        return with_crc(bytes([r.unit, r.function, len(body)]) + body)


def _behave(slave: Slave, request: Request, answer: bytes) -> None:
    slave.send(answer)


def silent(slave: Slave, request: Request, answer: bytes) -> None:
    """No answer."""


def late(delay_s: float) -> Misdeed:
    return lambda slave, request, answer: slave.send_later(delay_s, answer)


def bad_crc(slave: Slave, request: Request, answer: bytes) -> None:
    slave.send(answer[:-1] + bytes([answer[-1] ^ 0x55]))


def garbage_first(slave: Slave, request: Request, answer: bytes) -> None:
    slave.send(b"\x00\xff\x7e" + answer)


def wrong_function(slave: Slave, request: Request, answer: bytes) -> None:
    slave.send(with_crc(bytes([answer[0], 3 if answer[1] == 4 else 4]) + answer[2:-2]))


def fewer_registers(slave: Slave, request: Request, answer: bytes) -> None:
    slave.send(with_crc(answer[:2] + bytes([answer[2] - 2]) + answer[3:-4]))


def busy(slave: Slave, request: Request, answer: bytes) -> None:
    slave.send(exception(request, 6))


def refuses(code: int) -> Misdeed:
    return lambda slave, request, answer: slave.send(exception(request, code))


def unplugs(slave: Slave, request: Request, answer: bytes) -> None:
    slave.unplug()


def foreign_frame_first(slave: Slave, request: Request, answer: bytes) -> None:
    """Another device's answer arrives before ours."""
    slave.send(with_crc(bytes([99, 4, 2, 0xAB, 0xCD])))
    slave.send_later(0.01, answer)


def exception(request: Request, code: int) -> bytes:
    return with_crc(bytes([request.unit, request.function | 0x80, code]))


def crc16(data: bytes) -> bytes:
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0xA001 if crc & 1 else crc >> 1
    return crc.to_bytes(2, "little")


def with_crc(frame: bytes) -> bytes:
    return frame + crc16(frame)


def _request_size(buffer: bytes) -> int:
    if len(buffer) < 8:
        return 0
    return 9 + buffer[6] if buffer[1] in (15, 16) else 8


def _parse(frame: bytes) -> Request:
    unit, function = frame[0], frame[1]
    address, count = int.from_bytes(frame[2:4], "big"), int.from_bytes(frame[4:6], "big")
    words = [count] if function in (5, 6) else []
    if function == 16:
        words = [int.from_bytes(frame[i : i + 2], "big") for i in range(7, 7 + frame[6], 2)]
    return Request(unit, function, address, count, words, _now())


def _u16(number: int) -> bytes:
    return number.to_bytes(2, "big")


def _now() -> float:
    return asyncio.get_running_loop().time()


@asynccontextmanager
async def line(path: Path, units: dict[int, dict[int, int]]) -> AsyncIterator[tuple[Pty, Slave, SerialSettings]]:
    """A plugged port with a slave on it."""
    pty = Pty(path)
    slave = Slave(pty, units)
    pty.plug()
    try:
        yield pty, slave, SerialSettings(str(path))
    finally:
        pty.unplug()


async def until(condition: Callable[[], bool], timeout_s: float = 15.0) -> None:
    """Wait for a condition, not for time."""
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110  (any condition, not an event of ours)
            await asyncio.sleep(0.005)
