"""The central system of the benchmarks: answers every request from a table, at once, and knows when what arrived.

Nothing is checked here, so that what is measured is the charge point. Times are `time.monotonic()`.
"""

from __future__ import annotations

import asyncio
import json
import time
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed, NegotiationError
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
        self.link: ServerConnection | None = None
        self.seen: dict[str, list[float]] = {}
        self.tx_at = [0.0, 0.0]
        self.tx_count = 0
        self._news = asyncio.Event()
        self._answer: asyncio.Future[str] | None = None
        self._server: Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await serve(self._serve, "127.0.0.1", 0, select_subprotocol=self._choose, compression=None)
        self.url = f"ws://127.0.0.1:{next(iter(self._server.sockets)).getsockname()[1]}"
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

    async def ask(self, text: str) -> str:
        """Send a frame and wait for the next one that is no request."""
        assert self.link is not None
        self._answer = asyncio.get_running_loop().create_future()
        await self.link.send(text)
        async with asyncio.timeout(10.0):
            return await self._answer

    async def hang_up(self) -> None:
        """Go away, and refuse whoever dials until somebody else is expected."""
        self.version = ""
        if self.link is not None:
            await self.link.close()

    def _choose(self, _link: ServerConnection, offered: Any) -> Subprotocol | None:
        wanted = Subprotocol(SUBPROTOCOLS.get(self.version, ""))
        if wanted not in offered:
            raise NegotiationError("not now")
        return wanted

    async def _serve(self, link: ServerConnection) -> None:
        self.link = link
        self._saw("connection")
        try:
            async for text in link:
                assert isinstance(text, str)
                if text.startswith("[2") and self.version != "echo":
                    await link.send(self._reply(text))
                elif self._answer is not None and not self._answer.done():
                    self._answer.set_result(text)
        except ConnectionClosed:
            return

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
