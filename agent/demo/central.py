"""The demo's central system (CSMS): one WebSocket server for OCPP 1.6 and 2.0.1, small enough to be read in one go.

It is written from the specifications with plain dicts and shares no line with the agent's own OCPP code, so that the
two check each other. `central16` and `central201` hold what differs. Nothing is validated beyond what is used here.

    central = Central(hear)                # hear(Crossed) is told of everything that crosses the wire, in words
    await central.open()                   # listens on 127.0.0.1; central.url is what goes into [csms] url
    await central.limit_current(10)        # a command: lowers the current of the transaction that is running
    await central.cut(); await central.open()   # the link goes, without a goodbye, and can be had again
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from agent.demo.ledger import Ledger, LedgerFull

HOST = "127.0.0.1"
CALL, RESULT, ERROR = 2, 3, 4
ANSWER_S = 10.0
MAX_FRAME_BYTES = 256 * 1024
BOOT_INTERVAL_S = 60
PROFILE = 1  # the one charging profile that we use: a new one takes the place of the old one
CARDS = {"0100A57C21": "Accepted", "0100A57C22": "Accepted", "0100BADBAD": "Blocked"}  # any other is Invalid
Payload = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Crossed:
    """One thing that crossed the wire. `words` are for people, `action` is OCPP's name for it, "" for the link."""

    from_charger: bool
    action: str
    words: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What we answer, and both sides in words; `back` is "" when the answer says no more than "heard"."""

    payload: Payload
    words: str
    back: str = ""


class Refused(Exception):
    """The charger did not do what it was told, or nobody is there to be told."""


class Dialect(Protocol):
    """What an OCPP version calls things."""

    VERSION: str

    def hear(self, action: str, payload: Payload, ledger: Ledger, now: str) -> Answer | None:
        """None: we do not know this action."""

    def limit(self, transaction: str, limit_a: float, number: int, now: str) -> tuple[str, Payload]: ...
    def start(self, card: str, number: int) -> tuple[str, Payload]: ...
    def stop(self, transaction: str) -> tuple[str, Payload]: ...


class Central:
    def __init__(self, hear: Callable[[Crossed], None], versions: tuple[str, ...] = ("2.0.1", "1.6")) -> None:
        from agent.demo.central16 import Central16
        from agent.demo.central201 import Central201

        known: dict[str, Dialect] = {"1.6": Central16(), "2.0.1": Central201()}
        self._dialects = {f"ocpp{version}": known[version] for version in versions}
        self._hear = hear
        self.ledger = Ledger()
        self.boots = 0
        self.asked_for: dict[str, None] = {}  # cards that we were asked about; bounded by those that we know
        self.connections = 0
        self.port = 0
        self._server: Server | None = None
        self._peer: ServerConnection | None = None
        self._asked: dict[str, asyncio.Future[Payload]] = {}
        self._numbers = 0

    @property
    def url(self) -> str:
        return f"ws://{HOST}:{self.port}/ocpp"

    @property
    def is_connected(self) -> bool:
        return self._peer is not None

    # The link

    async def open(self) -> None:
        """Listen; the port stays the same from one `open` to the next."""
        if self._server is not None:
            return
        self._server = await serve(
            self._talk,
            HOST,
            self.port,
            subprotocols=list(self._dialects),  # type: ignore[arg-type]
            max_size=MAX_FRAME_BYTES,
            ping_interval=None,
            close_timeout=1.0,
        )
        self.port = next(iter(self._server.sockets)).getsockname()[1]

    async def cut(self) -> None:
        """Be gone at once, as a network does: no close frame, no goodbye, nobody listens."""
        if self._server is None:
            return
        self._server.close(close_connections=False)
        for connection in self._server.connections:
            connection.transport.abort()
        await asyncio.wait_for(self._server.wait_closed(), ANSWER_S)
        self._server = None

    async def _talk(self, connection: ServerConnection) -> None:
        dialect = self._dialects.get(connection.subprotocol or "")
        if dialect is None:
            await connection.close(1002, "no OCPP version in common")
            return
        self._peer = connection
        self.connections += 1
        path = connection.request.path if connection.request else ""
        self._hear(Crossed(True, "", f"is connected as {path.rpartition('/')[2]}, speaks OCPP {dialect.VERSION}"))
        try:
            async for text in connection:
                if isinstance(text, str):
                    await self._frame(connection, dialect, text)
        except ConnectionClosed:
            pass
        finally:
            self._gone(connection)

    def _gone(self, connection: ServerConnection) -> None:
        if self._peer is not connection:
            return
        self._peer = None
        for waiting in self._asked.values():
            if not waiting.done():
                waiting.set_exception(Refused("the link was lost before the charger answered"))

    async def _frame(self, connection: ServerConnection, dialect: Dialect, text: str) -> None:
        match json.loads(text):
            case [2, str(number), str(action), dict(payload)]:
                await connection.send(json.dumps([*self._answer(dialect, number, action, payload)]))
            case [3, str(number), dict(payload)] if number in self._asked:
                self._settle(number, payload)
            case [4, str(number), str(code), str(why), *_] if number in self._asked:
                self._settle(number, {"status": f"{code} {why}".strip()})

    def _settle(self, number: str, payload: Payload) -> None:
        if not self._asked[number].done():
            self._asked[number].set_result(payload)

    def _answer(self, dialect: Dialect, number: str, action: str, payload: Payload) -> tuple[Any, ...]:
        try:
            answer = dialect.hear(action, payload, self.ledger, now())
        except (KeyError, TypeError, ValueError, IndexError, LedgerFull) as error:
            self._hear(Crossed(True, action, f"makes no sense to us: {error!r}"))
            return ERROR, number, "InternalError", str(error), {}
        if answer is None:
            self._hear(Crossed(True, action, "is a message that we do not know"))
            return ERROR, number, "NotImplemented", "", {}
        self.boots += action == "BootNotification"
        if action == "Authorize":
            self.asked_for |= dict.fromkeys(card for card in CARDS if card in str(payload))
        self._hear(Crossed(True, action, answer.words))
        if answer.back:
            self._hear(Crossed(False, action, answer.back))
        return RESULT, number, answer.payload

    # Commands

    async def limit_current(self, limit_a: float) -> None:
        """Lower (or raise) what the running transaction may draw; Refused when the charger says no."""
        running = self.ledger.open()
        if running is None:
            raise Refused("no transaction is running")
        action, payload = self._speaks().limit(running.id, limit_a, PROFILE, now())
        await self._command(action, payload, f"let the car draw {limit_a:g} A at most")
        running.limit_a = limit_a

    async def start(self, card: str) -> None:
        """Begin a charge from afar, as an app on a phone does."""
        self._numbers += 1
        await self._command(*self._speaks().start(card, self._numbers), f"begin a charge for card {short(card)}")

    async def stop(self) -> None:
        running = self.ledger.open()
        if running is None:
            raise Refused("no transaction is running")
        await self._command(*self._speaks().stop(running.id), f"end transaction {running.id}")

    def _speaks(self) -> Dialect:
        if self._peer is None:
            raise Refused("no charger is connected")
        return self._dialects[str(self._peer.subprotocol)]

    async def _command(self, action: str, payload: Payload, words: str) -> None:
        assert self._peer is not None
        number = str(uuid.uuid4())
        waiting: asyncio.Future[Payload] = asyncio.get_running_loop().create_future()
        self._asked[number] = waiting
        self._hear(Crossed(False, action, words))
        try:
            await self._peer.send(json.dumps([CALL, number, action, payload]))
            answer = await asyncio.wait_for(waiting, ANSWER_S)
        except (ConnectionClosed, TimeoutError) as error:
            raise Refused(f"{action}: no answer from the charger ({type(error).__name__})") from None
        finally:
            del self._asked[number]
        status = str(answer.get("status"))
        self._hear(Crossed(True, action, "yes, done" if status == "Accepted" else f"no: {status}"))
        if status != "Accepted":
            raise Refused(f"the charger answered {action} with {status}")


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def short(card: str) -> str:
    """A card as it may be shown to others."""
    return f"..{card[-4:]}"


def kilowatt_hours(energy_wh: float | None) -> str:
    return "?" if energy_wh is None else f"{energy_wh / 1000:.3f} kWh"
