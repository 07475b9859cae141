"""A scripted central system over a real socket, in plain dicts: it shares no line with what it tests.

Every frame is kept. Each one of the charger is checked against the schemas that the package `ocpp` publishes, and
against the rule of one outstanding CALL; what was wrong stands in `wrong`, which whoever ends a test looks at. Answers
come from a table that a test may change at any time; `SILENCE` answers nothing, `Refusal` with a CALLERROR.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from http import HTTPStatus
from itertools import count
from pathlib import Path
from ssl import SSLContext
from typing import Any, Self, TypeVar

from jsonschema import Draft7Validator
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

Payload = dict[str, Any]
T = TypeVar("T")
PATIENCE_S = 60.0  # what comes comes in a moment; a machine that is busy with all tests at once may take long
SILENCE = None


@dataclass(frozen=True)
class Refusal(Exception):
    """A CALLERROR: one that we send, or one that we got."""

    code: str
    why: str = ""


@dataclass(frozen=True)
class Frame:
    """One frame of the charger (`ours` False) or of this central system."""

    ours: bool
    at: float  # monotonic
    message: list[Any]
    link: int


Reply = Callable[[Payload], Payload | Refusal | None]


@cache
def schema(version: str, action: str, answer: bool) -> Draft7Validator:
    spec = importlib.util.find_spec("ocpp")
    assert spec is not None and spec.submodule_search_locations
    folder, request = {"1.6": ("v16", ""), "2.0.1": ("v201", "Request")}[version]
    file = Path(spec.submodule_search_locations[0], folder, "schemas", action + ("Response" if answer else request))
    return Draft7Validator(json.loads(file.with_suffix(".json").read_text(encoding="utf-8-sig")))


def stamp(utc: float | None = None) -> str:
    moment = datetime.fromtimestamp(time.time() if utc is None else utc, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def epoch(text: str) -> float:
    assert text.endswith("Z"), text
    return datetime.fromisoformat(text).timestamp()


class Csms:
    """`versions` in its own order of preference: the first that the charger offers is spoken."""

    def __init__(self, *versions: str, tls: SSLContext | None = None, max_size: int = 1 << 22) -> None:
        self.versions = versions
        self.version = versions[0]
        self.cards: dict[str, tuple[str, str]] = {}  # tag -> status, group; others are Accepted
        self.boot_status = "Accepted"
        self.interval_s = 300
        self.frames: list[Frame] = []
        self.wrong: list[str] = []
        self.links = 0  # how often somebody connected
        self.refusing = False
        self.requests: list[Request] = []
        self.pings = 0
        self._tls, self._max_size = tls, max_size
        self._replies: dict[str, Reply] = {}
        self._server: Server | None = None
        self._ws: ServerConnection | None = None
        self._open: str | None = None
        self._asked: dict[str, tuple[str, asyncio.Future[Payload]]] = {}
        self._ids = count(1)
        self._transactions = count(101)
        self._news = asyncio.Event()

    # --- the server ---------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        self._server = await serve(
            self._converse, "127.0.0.1", 0, select_subprotocol=self._choose, process_request=self._look,
            ssl=self._tls, ping_interval=None, max_size=self._max_size,
        )  # fmt: skip
        self.port = next(iter(self._server.sockets)).getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        return f"{'wss' if self._tls else 'ws'}://127.0.0.1:{self.port}/ocpp"

    def _look(self, ws: ServerConnection, request: Request) -> Response | None:
        self.requests.append(request)
        return ws.respond(HTTPStatus.SERVICE_UNAVAILABLE, "down") if self.refusing else None

    def _choose(self, _ws: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
        return next((Subprotocol(f"ocpp{v}") for v in self.versions if f"ocpp{v}" in offered), None)

    async def _converse(self, ws: ServerConnection) -> None:
        self._ws, self._open = ws, None
        self.links += 1
        self._news.set()
        self.version = str(ws.subprotocol).removeprefix("ocpp")
        original = ws.protocol.recv_frame

        def recv_frame(frame: Any) -> None:
            self.pings += int(frame.opcode == 9)
            original(frame)

        ws.protocol.recv_frame = recv_frame  # type: ignore[method-assign]
        try:
            async for text in ws:
                await self._took(json.loads(text))
        except ConnectionClosed:
            pass
        for _action, waiting in self._asked.values():
            waiting.cancel()
        self._asked.clear()

    def cut(self, refuse: bool = False) -> None:
        """The line breaks: no close frame; with `refuse`, dials are turned away until `mend`."""
        self.refusing = refuse
        if self._ws is not None:
            self._ws.transport.abort()

    async def hang_up(self, code: int) -> None:
        """Close as a server does that has something against us."""
        assert self._ws is not None
        await self._ws.close(code, "go away")

    def mend(self) -> None:
        self.refusing = False

    # --- frames -------------------------------------------------------------------------------------------------

    async def _took(self, message: list[Any]) -> None:
        self._note(False, message)
        if message[0] == 2:
            await self._called(*message[1:])
        else:
            self._answered(message)

    def _note(self, ours: bool, message: list[Any]) -> None:
        self.frames.append(Frame(ours, time.monotonic(), message, self.links))
        self._news.set()

    async def _called(self, message_id: str, action: str, payload: Payload) -> None:
        if self._open is not None:
            self.wrong.append(f"{action} was sent while {self._open} was open")
        self._check(action, False, payload)
        self._open = action
        answer = self._replies.get(action, self._usual)(payload | {"action": action})
        if answer is SILENCE:
            self._open = None  # it may go on when it is tired of waiting
            return
        self._open = None
        await self.send(_reply(message_id, answer))

    def _answered(self, message: list[Any]) -> None:
        action, waiting = self._asked.pop(message[1], ("", None))
        if waiting is None:
            return
        if message[0] == 3:
            self._check(action, True, message[2])
            waiting.set_result(message[2])
        else:
            waiting.set_exception(Refusal(message[2], message[3]))

    def _check(self, action: str, answer: bool, payload: Payload) -> None:
        for error in schema(self.version, action, answer).iter_errors(payload):
            self.wrong.append(f"{action}{' answer' if answer else ''}: {error.message} at {list(error.path)}")

    async def send(self, message: list[Any] | str) -> None:
        """Anything at all, a text as it is."""
        assert self._ws is not None
        if not isinstance(message, str):
            self._note(True, message)
        await self._ws.send(message if isinstance(message, str) else json.dumps(message))

    async def call(self, action: str, payload: Payload | None = None, timeout_s: float = PATIENCE_S) -> Payload:
        """What the charger answers; Refusal when it sends a CALLERROR, TimeoutError when nothing."""
        message_id = f"csms-{next(self._ids)}"
        waiting: asyncio.Future[Payload] = asyncio.get_running_loop().create_future()
        self._asked[message_id] = (action, waiting)
        await self.send([2, message_id, action, payload or {}])
        async with asyncio.timeout(timeout_s):
            return await waiting

    # --- the script ---------------------------------------------------------------------------------------------

    def on(self, action: str, reply: Reply | Payload | Refusal | None) -> None:
        """From now on `action` is answered so: by a function of its payload, by this payload, or not at all."""
        self._replies[action] = reply if callable(reply) else lambda _payload: reply

    def as_usual(self, action: str) -> None:
        self._replies.pop(action, None)

    def _usual(self, p: Payload) -> Payload:
        return USUAL[p["action"]](self, p) if p["action"] in USUAL else {}

    def card_info(self, tag: str, group_name: str) -> Payload:
        status, group = self.cards.get(tag, ("Accepted", ""))
        named: Any = {"idToken": group, "type": "Central"} if self.version != "1.6" else group
        return {"status": status} | ({group_name: named} if group else {})

    def next_transaction(self) -> int:
        return next(self._transactions)

    # --- what was heard -----------------------------------------------------------------------------------------

    def mark(self) -> int:
        """To be passed as `since`: only frames after this moment."""
        return len(self.frames)

    def calls(self, action: str, since: int = 0) -> list[Payload]:
        """All payloads of this action that the charger sent."""
        return [
            f.message[3] for f in self.frames[since:] if not f.ours and f.message[0] == 2 and f.message[2] == action
        ]

    def actions(self, since: int = 0) -> list[str]:
        return [f.message[2] for f in self.frames[since:] if not f.ours and f.message[0] == 2]

    async def hear(self, action: str, since: int = 0, timeout_s: float = PATIENCE_S, **wanted: Any) -> Payload:
        """The first `action` with these members after `since`, now or later."""

        def found() -> list[Payload]:
            return [p for p in self.calls(action, since) if wanted.items() <= p.items()]

        return (await self.until(found, f"{action} {wanted or ''}", timeout_s))[0]

    async def until(self, found: Callable[[], T | None], what: str, timeout_s: float = PATIENCE_S) -> T:
        """What `found` gives as soon as it gives something true; looked at after each frame."""
        try:
            async with asyncio.timeout(timeout_s):
                while not (result := found()):
                    self._news.clear()
                    await self._news.wait()
                return result
        except TimeoutError:
            raise AssertionError(f"not heard within {timeout_s:g} s: {what}") from None

    def told(self) -> str:
        """The last frames, for whoever looks at a failed test."""
        lines = [f"{'>' if f.ours else '<'} {f.at:.2f} {json.dumps(f.message)[:300]}" for f in self.frames[-60:]]
        return "\n".join(lines)


def _reply(message_id: str, answer: Payload | Refusal | None) -> list[Any]:
    if isinstance(answer, Refusal):
        return [4, message_id, answer.code, answer.why, {}]
    return [3, message_id, answer]


def _boot(csms: Csms, _p: Payload) -> Payload:
    return {"status": csms.boot_status, "currentTime": stamp(), "interval": csms.interval_s}


def _authorized(csms: Csms, p: Payload) -> Payload:
    if "idTag" in p:
        return {"idTagInfo": csms.card_info(p["idTag"], "parentIdTag")}
    return {"idTokenInfo": csms.card_info(p["idToken"]["idToken"], "groupIdToken")}


def _transaction(csms: Csms, p: Payload) -> Payload:
    return _authorized(csms, p) if "idToken" in p else {}


def _started(csms: Csms, p: Payload) -> Payload:
    return {"transactionId": csms.next_transaction()} | _authorized(csms, p)


USUAL: Mapping[str, Callable[[Csms, Payload], Payload]] = {
    "BootNotification": _boot,
    "Heartbeat": lambda _csms, _p: {"currentTime": stamp()},
    "Authorize": _authorized,
    "StartTransaction": _started,
    "TransactionEvent": _transaction,
    "DataTransfer": lambda _csms, _p: {"status": "Accepted"},
}
