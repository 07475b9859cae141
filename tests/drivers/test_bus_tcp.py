"""The bus over a real TCP socket: frames with numbers, a peer that goes away, one that was never there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from drivers.api import DriverError
from drivers.bus import Policy, TcpSettings
from drivers.record import replace
from drivers.wire import make_bus

QUICK = Policy(timeout_s=0.1, retries=0, deadline_s=2.0, quarantine_s=0.0, reopen_after=3)
PATIENT = replace(QUICK, timeout_s=5.0, deadline_s=9.0)  # where an answer comes


class Peer:
    """Answers each read with the address counted up; `delays` are used up one for each request."""

    def __init__(self) -> None:
        self.delays: list[float] = []
        self.connections: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections.append(writer)
        try:
            while True:
                head = await reader.readexactly(12)
                self._answer(writer, head, self.delays.pop(0) if self.delays else 0.0)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    def _answer(self, writer: asyncio.StreamWriter, head: bytes, delay_s: float) -> None:
        address, count = int.from_bytes(head[8:10], "big"), int.from_bytes(head[10:12], "big")
        body = head[6:8] + bytes([2 * count]) + b"".join((address + i).to_bytes(2, "big") for i in range(count))
        frame = head[:4] + len(body).to_bytes(2, "big") + body
        asyncio.get_running_loop().call_later(delay_s, writer.write, frame)


@asynccontextmanager
async def peer_on(port: int = 0) -> AsyncIterator[tuple[Peer, int]]:
    peer = Peer()
    server = await asyncio.start_server(peer.serve, "127.0.0.1", port)
    try:
        yield peer, server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in peer.connections:
            writer.close()
        await asyncio.sleep(0)


async def test_registers_come_over_tcp() -> None:
    async with peer_on() as (_, port):
        bus = make_bus(TcpSettings("127.0.0.1", port), PATIENT)
        assert await bus.read(1, "holding", 7, 3) == [7, 8, 9]
        await bus.close()


async def test_a_late_answer_is_told_by_its_number() -> None:
    async with peer_on() as (peer, port):
        peer.delays = [0.2]  # the first answer comes while a later request is under way
        bus = make_bus(TcpSettings("127.0.0.1", port), replace(QUICK, retries=5))
        assert await bus.read(1, "holding", 7, 2) == [7, 8]
        for address in range(50, 90):
            assert await bus.read(1, "holding", address, 2) == [address, address + 1]
        await bus.close()


async def test_a_peer_that_closes_in_mid_request_is_noticed_at_once() -> None:
    async with peer_on() as (peer, port):
        peer.delays = [60.0]
        bus = make_bus(TcpSettings("127.0.0.1", port), Policy(timeout_s=30.0, retries=0, deadline_s=60.0))
        reading = asyncio.create_task(bus.read(1, "holding", 7, 2))
        async with asyncio.timeout(10.0):
            while not peer.connections or peer.delays:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
            peer.connections[0].transport.abort()
            with pytest.raises(DriverError, match="the port went away"):
                await reading
        await bus.close()


async def test_a_peer_that_refuses_is_named_with_the_reason() -> None:
    async with peer_on() as (_, port):
        pass
    bus = make_bus(TcpSettings("127.0.0.1", port), QUICK)
    with pytest.raises(DriverError, match=rf"unit 1 on 127.0.0.1:{port}: the port cannot be opened: .*refused"):
        await bus.read(1, "holding", 0, 1)


async def test_a_peer_that_came_back_is_used_again() -> None:
    async with peer_on() as (_, port):
        bus = make_bus(TcpSettings("127.0.0.1", port), QUICK)
        await bus.read(1, "holding", 0, 1)
    async with peer_on(port), asyncio.timeout(10.0):
        while True:
            try:
                assert await bus.read(1, "holding", 3, 1) == [3]
                break
            except DriverError:
                await asyncio.sleep(0.02)
        await bus.close()


async def test_a_mute_connection_is_made_anew_after_three_timeouts() -> None:
    async with peer_on() as (peer, port):
        peer.delays = [9.0] * 3
        bus = make_bus(TcpSettings("127.0.0.1", port), QUICK)
        async with asyncio.timeout(10.0):
            while bus.epoch < 2:
                try:
                    await bus.read(1, "holding", 3, 1)
                except DriverError:
                    await asyncio.sleep(0.02)
        await bus.close()
