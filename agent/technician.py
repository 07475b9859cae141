"""What a technician may ask the running agent through its control socket: one table, verb -> handler.

A request is `{"verb": name, "v": 1, ...}`. Each is answered, or refused in one line (`AgentError`). Handlers that read
(`agent.report_details`) never wait for anything but the store's own thread. An order (`"why"` is required) becomes an
event of the core, with the name of who gave it as the operating system knows it, and is answered when the core has
said what became of it: `{"done": bool, "text": "..."}`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from agent.core.effects import Answer, StatusAnswer, WritesAnswer
from agent.core.requests import Ref
from agent.core.technician import (
    WORDS,
    Order,
    Ordered,
    RetryHere,
    ServiceHere,
    StartHere,
    StopHere,
    Told,
    UnlockHere,
    WriteHere,
)
from agent.core.types import SetStatus
from agent.edge.control import Peer, Stream
from agent.errors import AgentError
from agent.report_details import Details, whole
from agent.worker import Worker
from drivers.api import IdToken

if TYPE_CHECKING:
    from agent.daemon import Daemon

VERSION = 1
ORDER_S = 60.0  # longer than any block waits
NAME_S = 2.0
MAX_OPEN = 16
MAX_WHY, MAX_NAME, MAX_TOKEN, MAX_VALUE = 200, 40, 36, 2500
ROOT = 0

Request = Mapping[str, Any]
Handler = Callable[[Request, Peer], Awaitable[dict[str, Any] | Stream]]

_SET_WORDS = {
    SetStatus.ACCEPTED: (True, "is set"),
    SetStatus.REBOOT_REQUIRED: (True, "is set; it counts after a restart of the agent"),
}


class Technician:
    """`serve` adds a verb: a handler of the request and of who asks. `answered` is the runtime's to call."""

    def __init__(self, daemon: Daemon) -> None:
        self._d = daemon
        self._open: dict[str, asyncio.Future[Answer]] = {}
        self._count = 0
        self._handlers: dict[str, Handler] = {}
        self.details = Details(daemon)
        for verb, read in self.details.TABLE.items():
            self.serve(verb, lambda request, _peer, read=read: read(self.details, request))  # type: ignore[misc]
        orders: Mapping[str, Handler] = {
            "start": self._start,
            "stop": lambda request, peer: self._order("stop", StopHere(_evse(request)), request, peer),
            "unlock": lambda request, peer: self._order("unlock", UnlockHere(_evse(request)), request, peer),
            "availability": self._availability,
            "set": self._set,
            "retry": lambda request, peer: self._order("retry", RetryHere(), request, peer),
        }
        for verb, handler in orders.items():
            self.serve(verb, handler)

    def serve(self, verb: str, handler: Handler) -> None:
        self._handlers[verb] = handler

    async def answer(self, request: dict[str, Any], peer: Peer) -> dict[str, Any] | Stream:
        """One request of the control socket."""
        if request.get("v", VERSION) != VERSION:
            raise AgentError(
                f"this agent speaks version {VERSION} of the control socket; use its own release's command"
            )
        handler = self._handlers.get(str(request.get("verb")))
        if handler is None:
            raise AgentError(f"unknown verb {str(request.get('verb'))[:40]!r}; known are {', '.join(self._handlers)}")
        return await handler(request, peer)

    def answered(self, ref: Ref, answer: Answer) -> None:
        """The core has said what becomes of an order."""
        future = self._open.get(ref.id)
        if future is not None and not future.done():
            future.set_result(answer)

    # --- orders -------------------------------------------------------------------------------------------------

    async def _start(self, request: Request, peer: Peer) -> dict[str, Any]:
        evse, card = _evse(request), request.get("token")
        own = self._d.config.service.technician_token
        if card is None and own is None:
            raise AgentError(
                "a start needs a card (--card), unless [service] technician_token names one for this purpose"
            )
        if card is None and own is not None:
            return await self._order("start", StartHere(evse, IdToken(own, "Local"), own=True), request, peer)
        if not isinstance(card, str) or not 0 < len(card) <= MAX_TOKEN or not card.isprintable():
            raise AgentError(f"a card has 1 to {MAX_TOKEN} characters")
        return await self._order("start", StartHere(evse, IdToken(card)), request, peer)

    async def _availability(self, request: Request, peer: Peer) -> dict[str, Any]:
        operative, evse = request.get("operative"), None if request.get("evse") is None else _evse(request)
        if not isinstance(operative, bool):
            raise AgentError("operative is true or false")
        told = await self._order("availability", ServiceHere(operative, evse), request, peer)
        facts = self._d.built.station.facts
        closed = [str(number) for number, one in facts.evses.items() if not one.operative and evse in (None, number)]
        if operative and closed:
            told["text"] = (
                f"EVSE {', '.join(closed)} is not in service yet; is the whole station, or an update under way?"
            )
        return told

    async def _set(self, request: Request, peer: Peer) -> dict[str, Any]:
        """One variable, or those that a key of the older protocol stands for."""
        value = request.get("value")
        if value is not None and not (isinstance(value, str) and len(value) <= MAX_VALUE):
            raise AgentError("a value is a text")
        told = {"done": True, "text": ""}
        for row, inner in self.details.assignments(str(request.get("name"))[:200], value):
            told = await self._order("variables", WriteHere(row, inner), request, peer)
            if not told["done"]:
                told["text"] = f"{told['text']}{self.details.why_not(row, inner)}"
                break
        return told

    async def _order(self, verb: str, order: Order, request: Request, peer: Peer) -> dict[str, Any]:
        why = request.get("why")
        if not isinstance(why, str) or not why.strip():
            raise AgentError("an order needs a reason (--reason); it is kept with your name")
        if len(self._open) >= MAX_OPEN:
            raise AgentError("too many orders at once")
        self._count += 1
        ref = Ref(f"here-{self._count}", verb, await who(peer, request))
        future = self._open[ref.id] = asyncio.get_running_loop().create_future()
        try:
            await self._d.runtime.feed(Ordered(ref, order, _clean(why, MAX_WHY)))
            async with asyncio.timeout(ORDER_S):
                return _words(await future)
        except TimeoutError:
            raise AgentError("nothing has been heard of the order; see chargepoint status") from None
        finally:
            del self._open[ref.id]


def _words(answer: Answer) -> dict[str, Any]:
    done, text = True, "done"
    if isinstance(answer, Told):
        done, text = answer.done, answer.text
    elif isinstance(answer, StatusAnswer):
        done, text = WORDS.get(answer.status, (False, f"refused: {answer.reason or answer.status}"))
    elif isinstance(answer, WritesAnswer):
        row, status = answer.results[0]
        done, said = _SET_WORDS.get(status, (False, "cannot be set so"))
        text = f"{row} {said}"
    return {"done": done, "text": text}


def _evse(request: Request) -> int:
    return whole(request, "evse", 1, 99)


async def who(peer: Peer, request: Request) -> str:
    """Who asks, by the system's word for his number; root may say in whose place he acts."""
    worker = Worker("name")  # a directory service may be far away, and the process must be able to end meanwhile
    try:
        async with asyncio.timeout(NAME_S):
            name = await worker.do(lambda: _user(peer.uid))
    except TimeoutError:
        name = f"uid {peer.uid}"
    finally:
        worker.leave()
    behind = request.get("sudo")
    return f"{_clean(behind, MAX_NAME)} as {name}" if peer.uid == ROOT and isinstance(behind, str) and behind else name


def _user(uid: int) -> str:
    import pwd

    try:
        return _clean(pwd.getpwuid(uid).pw_name, MAX_NAME)
    except KeyError:
        return f"uid {uid}"


def _clean(text: str, longest: int) -> str:
    return "".join(c if c.isprintable() else " " for c in text).strip()[:longest]
