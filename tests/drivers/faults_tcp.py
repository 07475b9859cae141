"""The faults of `faults` as they come over TCP, where each frame has a number, a length and a unit before it.

@every_tcp_fault
async def test_my_meter_never_lies_over_tcp(fault: str) -> None:
    await never_lies_over_tcp(METER, fault)
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest

from drivers.bus import Policy, TcpSettings
from drivers.record import replace
from tests.drivers.bus_helpers import Misdeed, Request, Slave, exception, late, silent, with_crc
from tests.drivers.faults import UNIT, Bank, Subject, in_pieces, strikes

HEAD = 7  # number, protocol, length of what follows, unit
HASTY = Policy(timeout_s=0.06, retries=0, deadline_s=2.0, quarantine_s=0.0, reopen_after=3)
RETRYING = replace(HASTY, retries=2)


class TcpSlave(Slave):
    """The slave of the serial line behind a TCP server: the same answers in other frames."""

    def __init__(self, bank: Bank) -> None:
        super().__init__(_Nowhere(), {UNIT: bank})  # type: ignore[arg-type]
        self.writer: asyncio.StreamWriter | None = None
        self.head = b""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        try:
            while True:
                self.head = await reader.readexactly(HEAD)
                pdu = await reader.readexactly(int.from_bytes(self.head[4:6], "big") - 1)
                self._on_request(with_crc(self.head[6:] + pdu))
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    def _answer(self, r: Request) -> bytes:
        return self.framed(super()._answer(r))

    def framed(self, rtu: bytes, number: int = 0) -> bytes:
        """An answer of the serial line as a TCP frame; `number` is added to the request's own."""
        own = int.from_bytes(self.head[:2], "big") + number & 0xFFFF
        return own.to_bytes(2, "big") + b"\0\0" + (len(rtu) - 2).to_bytes(2, "big") + rtu[:-2]

    def send(self, data: bytes) -> None:
        if self.writer is not None and not self.writer.is_closing():
            self.writer.write(data)

    def hang_up(self) -> None:
        assert self.writer is not None
        self.writer.transport.abort()


class _Nowhere:
    """No serial line."""

    on_data = None


async def never_lies_over_tcp(subject: Subject, fault: str) -> None:
    await strikes(subject, TCP_FAULTS[fault], _opens, (HASTY, RETRYING))


@asynccontextmanager
async def _opens(bank: Bank) -> AsyncIterator[tuple[TcpSlave, TcpSettings]]:
    slave = TcpSlave(bank)
    server = await asyncio.start_server(slave.serve, "127.0.0.1", 0)
    try:
        yield slave, TcpSettings("127.0.0.1", server.sockets[0].getsockname()[1])
    finally:
        server.close()
        if slave.writer is not None:
            slave.writer.close()


# ---- what may happen to an answer


def refuses(code: int) -> Misdeed:
    def misdeed(slave: Slave, request: Request, answer: bytes) -> None:
        assert isinstance(slave, TcpSlave)
        slave.send(slave.framed(exception(request, code)))

    return misdeed


def changed(at: int, flip: int) -> Misdeed:
    """One byte of the frame is another."""
    return lambda slave, request, answer: slave.send(answer[:at] + bytes([answer[at] ^ flip]) + answer[at + 1 :])


def another_number_first(slave: Slave, request: Request, answer: bytes) -> None:
    """The answer to somebody else's request, with other values, and then ours."""
    data = bytes(byte ^ 0x5A for byte in answer[HEAD + 2 :])
    slave.send((int.from_bytes(answer[:2], "big") + 1 & 0xFFFF).to_bytes(2, "big") + answer[2 : HEAD + 2] + data)
    slave.send_later(0.01, answer)


def resized(by: int) -> Misdeed:
    """A whole frame with `by` bytes more or less of values, by its own words."""

    def misdeed(slave: Slave, request: Request, answer: bytes) -> None:
        body = answer[HEAD : HEAD + 1] + bytes([answer[HEAD + 1] + by & 0xFF]) + answer[HEAD + 2 :]
        body = body + b"\x12" * by if by > 0 else body[:by]
        slave.send(answer[:4] + (len(body) + 1).to_bytes(2, "big") + answer[6:HEAD] + body)

    return misdeed


def cut_short(slave: Slave, request: Request, answer: bytes) -> None:
    """The rest never comes: what comes next is no rest of it."""
    slave.send(answer[: len(answer) // 2])


def cut_off(slave: Slave, request: Request, answer: bytes) -> None:
    assert isinstance(slave, TcpSlave)
    slave.send(answer[: len(answer) // 2])
    slave.hang_up()


def hung_up(slave: Slave, request: Request, answer: bytes) -> None:
    assert isinstance(slave, TcpSlave)
    slave.hang_up()


def said_twice(slave: Slave, request: Request, answer: bytes) -> None:
    """The second comes when the next request may be under way."""
    slave.send(answer)
    slave.send_later(0.01, answer)


def noise_first(slave: Slave, request: Request, answer: bytes) -> None:
    slave.send(b"\x00\xff\x7e" + answer)


TCP_FAULTS: Mapping[str, Misdeed] = {
    "silence": silent,
    "no such register": refuses(2),
    "failure of its own": refuses(4),
    "busy": refuses(6),
    "gateway without device": refuses(11),
    "another number": changed(1, 0x55),
    "another number first": another_number_first,
    "another protocol": changed(3, 0x01),
    "another unit": changed(6, 0x60),
    "another function": changed(7, 0x07),
    "another count of bytes": changed(8, 0x02),
    "short answer": resized(-2),
    "long answer": resized(2),
    "cut short": cut_short,
    "cut off": cut_off,
    "hung up": hung_up,
    "noise before the answer": noise_first,
    "answer in pieces": in_pieces,
    "answer said twice": said_twice,
    "late by a little": late(0.08),
    "late by more": late(0.18),
}
every_tcp_fault = pytest.mark.parametrize("fault", list(TCP_FAULTS))
