"""The serial wire by itself on a pseudo-terminal: how the bytes come and go, whatever the line does with them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from drivers.bus import SerialSettings, WireError
from drivers.framing import Found, Heard, Rtu
from drivers.record import replace
from drivers.rtu import MAX_HEARD_BYTES, RtuWire
from tests.drivers.bus_helpers import Pty, until, with_crc

WORDS = list(range(1000, 1010))
ANSWER = with_crc(bytes([1, 3, 20]) + b"".join(word.to_bytes(2, "big") for word in WORDS))
LONG_S = 5.0


class Counting(Rtu):
    """RTU that counts how often it had to look."""

    def __init__(self) -> None:
        self.looks = 0

    def find(self, sent: bytes, heard: Heard, echoes: bool) -> Found:
        self.looks += 1
        return super().find(sent, heard, echoes)


class Far:
    """The other end: says `answer(request)` to each request; `echo`: an adapter that hears what it sends."""

    def __init__(self, pty: Pty) -> None:
        self.pty = pty
        self.echo = False
        self.requests: list[bytes] = []
        self.answer: Callable[[bytes], bytes] = lambda request: ANSWER
        pty.on_data = self._heard

    def _heard(self, data: bytes) -> None:
        self.requests.append(data)
        self.pty.send((data if self.echo else b"") + self.answer(data))


@pytest.fixture
async def far(tmp_path: Path) -> AsyncIterator[Far]:
    pty = Pty(tmp_path / "ttyRS485")
    pty.plug()
    yield Far(pty)
    pty.unplug()


@pytest.fixture
async def wire(far: Far) -> AsyncIterator[RtuWire]:
    found = RtuWire(SerialSettings(str(far.pty.path), baud=115200))
    await found.connect(LONG_S)
    yield found
    found.close()


async def read(wire: RtuWire, timeout_s: float = LONG_S) -> list[int]:
    return await wire.transact(1, 3, 0, 10, timeout_s)


async def kind_of(asking: Any) -> str:
    with pytest.raises(WireError) as error:
        await asking
    return error.value.kind


async def pieces(far: Far, data: bytes, size: int) -> None:
    for at in range(0, len(data), size):
        far.pty.send(data[at : at + size])
        await asyncio.sleep(0.001)


async def test_an_answer_is_put_together_from_single_bytes(far: Far, wire: RtuWire) -> None:
    far.answer = lambda request: b""
    reading = asyncio.create_task(read(wire))
    await until(lambda: bool(far.requests))
    await pieces(far, ANSWER, 1)
    assert await reading == WORDS


async def test_a_long_answer_on_a_slow_line_wakes_the_process_seldom(far: Far) -> None:
    framing = Counting()
    wire = RtuWire(SerialSettings(str(far.pty.path), baud=9600), framing)
    await wire.connect(LONG_S)
    far.answer = lambda request: b""
    reading = asyncio.create_task(wire.transact(1, 3, 0, 120, LONG_S))
    await until(lambda: bool(far.requests))
    await pieces(far, with_crc(bytes([1, 3, 240]) + bytes(240)), 1)
    assert await reading == [0] * 120
    assert framing.looks < 245 / 2  # some 15, and more when the pieces come more slowly than on a line
    wire.close()


async def test_the_first_answer_is_taken_and_what_follows_is_dropped(far: Far, wire: RtuWire) -> None:
    far.answer = lambda request: ANSWER + with_crc(bytes([1, 3, 20]) + bytes(20))
    assert [await read(wire), await read(wire)] == [WORDS, WORDS]


async def test_the_echo_of_a_request_is_no_answer(far: Far, wire: RtuWire) -> None:
    far.echo = True
    assert await read(wire) == WORDS


async def test_a_device_that_is_silent_behind_an_echo_has_timed_out(far: Far, wire: RtuWire) -> None:
    far.echo, far.answer = True, lambda request: b""
    assert await kind_of(read(wire, 0.05)) == "timeout"


async def test_a_write_is_not_confirmed_by_its_own_echo(far: Far, wire: RtuWire) -> None:
    far.echo = True
    await read(wire)  # shows that the line echoes
    far.answer = lambda request: b""
    assert await kind_of(wire.transact(1, 6, 5, [7], 0.05)) == "timeout"
    far.answer = lambda request: request
    assert await wire.transact(1, 6, 5, [7], LONG_S) == []


async def test_a_line_that_echoes_no_more_is_believed_after_the_next_read(far: Far, wire: RtuWire) -> None:
    far.echo = True
    await read(wire)
    far.echo = False
    await read(wire)
    far.answer = lambda request: request
    assert await wire.transact(1, 6, 5, [7], LONG_S) == []


async def test_a_refusal_ends_the_request_at_once(far: Far, wire: RtuWire) -> None:
    far.answer = lambda request: with_crc(bytes([1, 0x83, 2]))
    assert await kind_of(read(wire)) == "exception"


async def test_silence_is_a_timeout_and_noise_is_garbage(far: Far, wire: RtuWire) -> None:
    far.answer = lambda request: b""
    assert await kind_of(read(wire, 0.05)) == "timeout"
    far.answer = lambda request: ANSWER[:-1] + b"\0"
    assert await kind_of(read(wire, 0.3)) == "garbage"


async def test_endless_noise_is_bounded_and_the_answer_behind_it_found(far: Far, wire: RtuWire) -> None:
    far.answer = lambda request: b""
    reading = asyncio.create_task(read(wire))
    await until(lambda: bool(far.requests))
    for _ in range(40):
        far.pty.send(bytes([0xFE]) * 500)
        await asyncio.sleep(0.001)
    assert len(wire._heard) <= MAX_HEARD_BYTES
    far.pty.send(ANSWER)
    assert await reading == WORDS


async def test_bytes_that_nobody_asked_for_are_no_answer_later(far: Far, wire: RtuWire) -> None:
    far.pty.send(with_crc(bytes([1, 3, 20]) + bytes(20)))
    await wire.drain(0.01)
    assert await read(wire) == WORDS


async def test_a_request_waits_while_the_port_takes_no_bytes(far: Far, wire: RtuWire) -> None:
    far.pty.stop_reading()
    await _fill(far.pty.path)
    far.answer = lambda request: ANSWER if request.endswith(far_request) else b""
    far_request = with_crc(bytes([1, 3, 0, 0, 0, 10]))
    reading = asyncio.create_task(read(wire))
    await asyncio.sleep(0)
    far.pty.read_again()
    assert await reading == WORDS


async def test_a_request_that_could_not_be_sent_in_time_is_not_sent_later(far: Far, wire: RtuWire) -> None:
    far.pty.stop_reading()
    await _fill(far.pty.path)
    assert await kind_of(read(wire, 0.05)) == "timeout"
    far.answer = lambda request: b""
    far.pty.read_again()
    assert await kind_of(wire.transact(2, 3, 0, 1, 0.1)) == "timeout"
    assert with_crc(bytes([1, 3, 0, 0, 0, 10])) not in b"".join(far.requests)


async def _fill(path: Path) -> None:
    """Until the port takes nothing more; the kernel moves on what it has, so a full port may have room again."""
    fd = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
    full = 0
    while full < 5:
        try:
            os.write(fd, b"\xfe" * 256)
            full = 0
        except BlockingIOError:
            full += 1
            await asyncio.sleep(0.005)
    os.close(fd)


async def test_a_cancelled_request_leaves_the_wire_usable(far: Far, wire: RtuWire) -> None:
    far.answer = lambda request: b""
    reading = asyncio.create_task(read(wire))
    await until(lambda: bool(far.requests))
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    far.answer = lambda request: ANSWER
    assert await read(wire) == WORDS


async def test_a_port_lost_in_mid_request_ends_it_at_once(far: Far, wire: RtuWire) -> None:
    far.answer = lambda request: ANSWER[:10]
    reading = asyncio.create_task(read(wire, 60.0))
    await until(lambda: bool(far.requests))
    far.pty.unplug()
    async with asyncio.timeout(LONG_S):
        assert await kind_of(reading) == "closed"


async def test_a_port_lost_while_nobody_asks_is_noticed(far: Far, wire: RtuWire) -> None:
    far.pty.unplug()
    await until(lambda: not wire.connected)
    assert await kind_of(read(wire)) == "closed"


async def test_a_port_that_opens_after_it_was_closed_is_let_go(far: Far) -> None:
    wire = RtuWire(SerialSettings(str(far.pty.path)))
    opening = asyncio.create_task(wire.connect(LONG_S))
    await asyncio.sleep(0)
    wire.close()
    assert await kind_of(opening) == "closed"
    assert not wire.connected


async def test_a_port_that_does_not_open_in_time_says_so(far: Far) -> None:
    wire = RtuWire(SerialSettings(str(far.pty.path)))
    with pytest.raises(WireError, match="did not open in 0 s"):
        await wire.connect(0.0)
    again = RtuWire(replace(SerialSettings(str(far.pty.path)), baud=19200))
    await until_it_opens(again)  # the late port was closed: nobody else holds it
    again.close()


async def until_it_opens(wire: RtuWire) -> None:
    async with asyncio.timeout(LONG_S):
        while not wire.connected:
            try:
                await wire.connect(LONG_S)
            except WireError:
                await asyncio.sleep(0.005)
