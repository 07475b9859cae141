"""A link with tiny times, what it told, and scripted servers on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.server import ServerConnection, serve

from agent.core.record import replace
from agent.edge.dial import LinkSettings
from agent.edge.link import Connected, Disconnected, Link, LinkEvent

DEADLINE_S = 10.0  # a test that waits longer has failed

BASE = LinkSettings(
    url="ws://127.0.0.1:1",
    identity="CP1",
    open_timeout_s=5.0,
    close_timeout_s=0.1,
    ping_interval_s=0.0,
    ping_timeout_s=5.0,
    wait_floor_s=0.005,
    wait_minimum_s=0.01,
    random_range_s=0.0,
    repeat_times=3,
)


class Bench:
    """One link under test. `events` grows; `until` waits for a condition on it."""

    def __init__(self, settings: LinkSettings) -> None:
        self.settings = settings
        self.events: list[LinkEvent] = []
        self._news = asyncio.Event()
        self.link = Link(lambda: self.settings, self._hear, rng=lambda: 0.5)

    def _hear(self, event: LinkEvent) -> None:
        self.events.append(event)
        self._news.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while not condition():
                self._news.clear()
                try:
                    async with asyncio.timeout(0.02):
                        await self._news.wait()
                except TimeoutError:
                    continue

    def losses(self) -> list[Disconnected]:
        return [event for event in self.events if isinstance(event, Disconnected)]

    async def loss(self, count: int = 1) -> Disconnected:
        await self.until(lambda: len(self.losses()) >= count)
        return self.losses()[count - 1]

    async def up(self) -> Connected:
        await self.until(lambda: self.link.is_up)
        return next(event for event in reversed(self.events) if isinstance(event, Connected))


@asynccontextmanager
async def linked(url: str, **changes: Any) -> AsyncIterator[Bench]:
    bench = Bench(replace(BASE, url=url, **changes))
    task = asyncio.create_task(bench.link.run())
    try:
        yield bench
        bench.link.stop()
        async with asyncio.timeout(DEADLINE_S):
            await task
    finally:
        task.cancel()
        await asyncio.wait([task], timeout=DEADLINE_S)


@asynccontextmanager
async def csms(handler: Callable[[ServerConnection], Awaitable[None]], **options: Any) -> AsyncIterator[str]:
    """A WebSocket server; yields its URL."""
    options.setdefault("subprotocols", ["ocpp2.0.1", "ocpp1.6"])
    async with serve(handler, "127.0.0.1", 0, ping_interval=None, close_timeout=0.1, **options) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        yield f"{'wss' if options.get('ssl') else 'ws'}://127.0.0.1:{port}"


@asynccontextmanager
async def raw(handler: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]) -> AsyncIterator[str]:
    """A TCP server that may say anything; yields its URL."""
    writers: list[asyncio.StreamWriter] = []

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        await handler(reader, writer)

    server = await asyncio.start_server(client, "127.0.0.1", 0)
    try:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()


def saying(answer: bytes) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    """Read one request, answer these bytes, close."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    return handler


async def idle(ws: ServerConnection) -> None:
    await ws.wait_closed()


async def echo(ws: ServerConnection) -> None:
    async for message in ws:
        await ws.send(message)
