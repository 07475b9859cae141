"""The central system of the benchmarks: answers every request from a table, at once, and knows when what arrived.

Nothing is checked here, and the library's protocol is used without its tasks and queues, so that what is measured is
the charge point. Times are `time.monotonic()`.
"""

from __future__ import annotations

import asyncio
import json
import time
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self, cast

from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import OPEN
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

SUBPROTOCOLS = {"1.6": "ocpp1.6", "2.0.1": "ocpp2.0.1", "echo": "echo"}
ACCEPTED = {"status": "Accepted"}
TX_ACTIONS = ("MeterValues", "TransactionEvent", "StartTransaction", "StopTransaction")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Central:
    """One charge point at a time. `seen`: when each action arrived last and how often; `tx_at`: moments of the first
    and the last transaction message."""

    def __init__(self) -> None:
        self.url = ""
        self.version = "1.6"
        self.link: Connection | None = None
        self.seen: dict[str, list[float]] = {}
        self.tx_at = [0.0, 0.0]
        self.tx_count = 0
        self._news = asyncio.Event()
        self._answer: asyncio.Future[str] | None = None
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.get_running_loop().create_server(lambda: Connection(self), "127.0.0.1", 0)
        self.url = f"ws://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    def expect(self, version: str) -> None:
        """From now on somebody else calls: forget what was."""
        self.version = version
        self.link = None
        self.seen.clear()
        self.tx_at, self.tx_count = [0.0, 0.0], 0

    async def heard(self, action: str, times: int = 1, within_s: float = 30.0) -> float:
        """When it arrived for the `times`-th time."""
        async with asyncio.timeout(within_s):
            while len(self.seen.get(action, ())) < times:
                self._news.clear()
                await self._news.wait()
        return self.seen[action][times - 1]

    async def transactions(self, count: int, within_s: float) -> None:
        """Until so many messages of transactions have come."""
        async with asyncio.timeout(within_s):
            while self.tx_count < count:
                self._news.clear()
                await self._news.wait()

    async def ask(self, link: Connection, text: str) -> str:
        """Send a frame and wait for the next one that is no request."""
        self._answer = asyncio.get_running_loop().create_future()
        link.send(text)
        async with asyncio.timeout(10.0):
            return await self._answer

    def hang_up(self) -> None:
        """Go away, and refuse whoever dials until somebody else is expected."""
        self.version = ""
        if self.link is not None:
            self.link.close()

    def opened(self, link: Connection) -> None:
        self.link = link
        self._saw("connection")

    def received(self, link: Connection, text: str) -> None:
        if text.startswith("[2") and not link.echoes:
            link.send(self._reply(text))
        elif self._answer is not None and not self._answer.done():
            self._answer.set_result(text)

    def _reply(self, text: str) -> str:
        _, number, action, payload = json.loads(text)
        if action in TX_ACTIONS:
            now = time.monotonic()
            self.tx_at = [self.tx_at[0] or now, now]
            self.tx_count += 1
        self._saw(action)
        return json.dumps([3, number, self._payload(action, payload)])

    def _saw(self, action: str) -> None:
        self.seen.setdefault(action, []).append(time.monotonic())
        self._news.set()

    def _payload(self, action: str, payload: dict[str, Any]) -> dict[str, Any]:
        if action == "BootNotification":
            return {**ACCEPTED, "currentTime": _now(), "interval": 300}
        if action == "Heartbeat":
            return {"currentTime": _now()}
        if action == "StartTransaction":
            return {"transactionId": 7, "idTagInfo": ACCEPTED}
        if action == "Authorize":
            return {"idTagInfo": ACCEPTED} if self.version == "1.6" else {"idTokenInfo": ACCEPTED}
        if action == "TransactionEvent" and "idToken" in payload:
            return {"idTokenInfo": ACCEPTED}
        return {}


class Connection(asyncio.Protocol):
    """One connection."""

    def __init__(self, central: Central) -> None:
        self._central = central
        spoken = SUBPROTOCOLS.get(central.version, "nothing just now")
        self.echoes = spoken == "echo"
        self._protocol = ServerProtocol(subprotocols=[Subprotocol(spoken)], max_size=None)
        self._text = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._protocol.receive_data(data)
        for event in self._protocol.events_received():
            if isinstance(event, Request):
                self._protocol.send_response(self._protocol.accept(event))
                self._write()
                self._central.opened(self)
            else:
                assert isinstance(event, Frame)
                self._frame(event)
        self._write()

    def _frame(self, frame: Frame) -> None:
        if frame.opcode in (Opcode.TEXT, Opcode.CONT):
            self._text += bytes(frame.data).decode()
            if frame.fin:
                text, self._text = self._text, ""
                self._central.received(self, text)

    def send(self, text: str) -> None:
        if self._protocol.state is OPEN:  # the other side may be ending just now
            self._protocol.send_text(text.encode())
            self._write()

    def close(self) -> None:
        self._protocol.send_close(1001)
        self._write()

    def _write(self) -> None:
        for data in self._protocol.data_to_send():
            if data:
                self._transport.write(data)
            else:
                self._transport.close()
