"""The wire to the CSMS: one WebSocket kept alive for years. Text in, text out, and what became of the connection.

Knows nothing of OCPP messages. `run()` dials, reads, and dials again for ever; it ends only on `stop()` or
cancellation. Rules kept:

* Nothing that a network, a proxy or a server does ends the loop; each failure becomes one `Disconnected` with a reason
  in plain words and the time until the next dial.
* Back-off with jitter before every redial, also after a handshake that succeeds and then drops: a completed handshake
  proves nothing. `confirm()` starts the back-off anew, and so does a link that stood for some minutes.
* Every wait has an end: name lookup, TCP, TLS and handshake together, sending, closing, the consumer, the answer to a
  ping. One `asyncio.timeout` spans whatever the loop does at the moment; `drop`, `redial` and `stop` make it expire.
* A half-open connection is found by our own pings within interval + timeout + close time, or by TCP if data waits
  unacknowledged.
* Memory is bounded: the consumer is awaited before the next frame is read, so a slow consumer slows the server down.

The WebSocket library is loaded at the first dial: the rest of the agent starts meanwhile.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from agent.core.record import record
from agent.edge import reasons
from agent.edge.connection import arguments, close, read_in_small_pieces, verified_chain, watch_tcp
from agent.edge.consumer import Consumer
from agent.edge.dial import BackOff, LinkSettings, target
from agent.edge.overdue import Overdue
from agent.edge.reasons import LinkWhy, WhyKind
from agent.edge.tls import TrustStore

if TYPE_CHECKING:
    from agent.edge.wire import Wire

HEAD_CHARS = 200  # of a frame that is too long: enough to read its message id
CONSUMER_TIMEOUT_S = 60.0  # a consumer that takes a frame longer than this has lost the connection anyway
AT_ONCE_CHARS = 4096  # at four bytes a character half of what the library buffers before a sender has to wait


@record
class Connected:
    subprotocol: str


@record
class Received:
    text: str


@record
class Oversized:
    """A frame longer than `frame_limit` came; the connection stands."""

    head: str
    size: int


@record
class Ignored:
    """A frame came that is not UTF-8; the connection stands."""

    size: int


@record
class Disconnected:
    """`was_up`: a `Connected` stood before this; else a dial failed. `redial_in_s` None: nobody will dial again."""

    why: LinkWhy
    redial_in_s: float | None
    was_up: bool


LinkEvent = Connected | Received | Oversized | Ignored | Disconnected


class Link:
    """`settings` is asked at each dial. `on_event` is told everything in order, from within `run()`; it may return an
    awaitable, which is let finish whatever happens to the connection, unless it takes longer than `CONSUMER_TIMEOUT_S`.
    `rng` draws from [0, 1), `mono` is the clock of `healthy(now)`."""

    def __init__(
        self,
        settings: Callable[[], LinkSettings],
        on_event: Callable[[LinkEvent], Awaitable[None] | None],
        *,
        rng: Callable[[], float],
        mono: Callable[[], float] = time.monotonic,
    ) -> None:
        self._provider = settings
        self._on_event = on_event
        self._rng = rng
        self._mono = mono
        self._settings = settings()
        self._back_off = BackOff()
        self._trust = TrustStore()
        self._ws: Wire | None = None
        self._send_overdue: Overdue | None = None  # while the link is up
        self._closed: type[Exception] = ConnectionError  # the library's ConnectionClosed, once it is loaded
        self._span: asyncio.Timeout | None = None  # spans what run() does now
        self._order: LinkWhy | None = None  # why that span was made to expire
        self._stopping = self._hurry = self._pausing = False
        self._consumer: Consumer | None = None  # while the link is up
        self._ping_interval_s: float | None = None  # set at run time; None: as the settings say
        self._ping_now = asyncio.Event()
        self._alive_at = 0.0  # mono when the server last proved that it lives
        self.rtt_s: float | None = None
        self.subprotocol: str | None = None
        self.dials = 0
        self.why: LinkWhy | None = None  # of the last failure

    # --- what the runtime may ask and order ---

    @property
    def is_up(self) -> bool:
        return self.subprotocol is not None

    def healthy(self, now: float) -> bool:
        """The connection stands and the server has proved it lately; `now` on the scale of `mono`."""
        interval_s = self.ping_interval_s
        return self.is_up and (interval_s <= 0 or now - self._alive_at <= interval_s + self._settings.ping_timeout_s)

    def alive_s(self, now: float) -> float | None:
        """Seconds since the server last proved that it lives, by a frame or a pong; None: there is no link."""
        return max(0.0, now - self._alive_at) if self.is_up else None

    def chain(self) -> list[bytes] | None:
        """The server's verified chain (DER), [] when it is not known, None when there is no link with TLS."""
        return verified_chain(self._ws) if self._ws is not None and self.is_up else None

    @property
    def ping_interval_s(self) -> float:
        return self._settings.ping_interval_s if self._ping_interval_s is None else self._ping_interval_s

    def set_ping_interval(self, interval_s: float) -> None:
        """At once and from now on; 0 stops the pings."""
        self._ping_interval_s = interval_s
        self._ping_now.set()

    def probe(self) -> None:
        """Ping now: somebody waits for an answer longer than he should."""
        self._ping_now.set()

    def confirm(self) -> None:
        """The CSMS has proved itself (BootNotification accepted, or any answer later on): the back-off starts anew."""
        self._back_off.reset()

    def drop(self, reason: str) -> None:
        """Close the connection, or give up the dial under way; dial again after the back-off."""
        if self._ws is not None or not self._pausing:
            self._interrupt(LinkWhy(WhyKind.DROPPED, reason))

    def redial(self, reason: str = "new settings") -> None:
        """Close what there is and dial at once with fresh settings. For orders of people, not for failures."""
        self._hurry = True
        self._interrupt(LinkWhy(WhyKind.REDIAL, reason))

    def stop(self) -> None:
        """Close and end `run()`, within the close timeout."""
        self._stopping = True
        self._interrupt(LinkWhy(WhyKind.STOPPED, "the agent stops"))

    def takes_at_once(self, text: str) -> bool:
        """`send` would not wait for anything."""
        return len(text) <= AT_ONCE_CHARS and self._ws is not None and self._ws.clear

    async def send(self, text: str) -> bool:
        """True: the text was handed to the operating system (no more can be known). False: there is no link."""
        ws, overdue = self._ws, self._send_overdue
        if ws is None or overdue is None:
            return False
        if len(text) <= AT_ONCE_CHARS and ws.say(text):
            return True
        ticket = overdue.begin()
        try:
            await ws.send(text)
        except self._closed:
            return False
        finally:
            overdue.end(ticket)
        return True

    # --- the loop ---

    async def run(self) -> None:
        while not self._stopping:
            why, was_up = await self._once()
            self.why = why
            wait_s = 0.0 if self._hurry else self._back_off.next(self._settings, self._rng, why.retry_after_s)
            await self._tell(Disconnected(why, None if self._stopping else wait_s, was_up))
            if not (self._hurry or self._stopping):
                await self._pause(wait_s)

    async def _pause(self, wait_s: float) -> None:
        self._pausing = True
        try:
            async with asyncio.timeout(wait_s) as self._span:
                await asyncio.Event().wait()  # for the end of this span
        except TimeoutError:
            self._order = None
        finally:
            self._span, self._pausing = None, False

    async def _once(self) -> tuple[LinkWhy, bool]:
        """One dial and, if it succeeds, the life of its connection. Returns why it is over and whether it was up."""
        self._settings = settings = self._provider()
        self._order, self._hurry = None, False
        self.dials += 1
        ws = await self._dial(settings)
        if isinstance(ws, LinkWhy):
            return ws, False
        self._ws = ws
        try:
            if (order := self._ordered()) is not None:  # it came in the very moment in which the dial succeeded
                return order, False
            subprotocol = self._negotiated(ws, settings)
            if isinstance(subprotocol, LinkWhy):
                return subprotocol, False
            return await self._live(ws, subprotocol), True
        finally:
            self._ws = self.subprotocol = self.rtt_s = None
            await close(ws, settings.close_timeout_s)

    def _ordered(self) -> LinkWhy | None:
        return self._order

    async def _dial(self, settings: LinkSettings) -> Wire | LinkWhy:
        from websockets.asyncio.client import connect
        from websockets.exceptions import ConnectionClosed

        from agent.edge.wire import Wire

        self._closed = ConnectionClosed
        reached: list[Wire] = []

        def connection(*args: Any, **kwargs: Any) -> Wire:
            """The library asks for its protocol object when TCP stands: so we know how far a dial came."""
            reached.append(Wire(*args, **kwargs))
            return reached[-1]

        where = None
        try:
            where = target(settings)
            async with asyncio.timeout(settings.open_timeout_s) as self._span:
                more = arguments(where, settings, self._trust)
                return await connect(where.url, create_connection=connection, **more)  # type: ignore[arg-type,return-value]
        except Exception as e:  # noqa: BLE001  whatever a dial may raise, it must not end the loop, and is reported
            host = where.host if where else ""
            late = reached[-1].cut_by if reached else None
            return self._order or reasons.explain(
                e, host=host, reached=bool(reached), open_timeout_s=settings.open_timeout_s, late=late
            )
        finally:
            self._span = None

    @staticmethod
    def _negotiated(ws: Wire, settings: LinkSettings) -> str | LinkWhy:
        if ws.subprotocol is not None:
            return ws.subprotocol
        if settings.accept_without_subprotocol and settings.subprotocols:
            return settings.subprotocols[0]
        offered = ", ".join(settings.subprotocols)
        return LinkWhy(WhyKind.SUBPROTOCOL, f"the server chose none of our OCPP versions ({offered})")

    async def _live(self, ws: Wire, subprotocol: str) -> LinkWhy:
        began = self._alive_at = self._mono()
        watch_tcp(ws, self._settings)
        read_in_small_pieces(ws)
        stuck = LinkWhy(WhyKind.SEND, "the server takes no more data")
        busy = LinkWhy(WhyKind.CONSUMER, "the agent was too busy to take what the server sent")
        self._send_overdue = Overdue(self._settings.send_timeout_s, lambda: self._interrupt(stuck, dead=ws))
        late = Overdue(CONSUMER_TIMEOUT_S, lambda: self._interrupt(busy, force=True))
        self._consumer = consumer = Consumer(late, lambda: self._expire() if self._order or consumer.bug else None)
        self.subprotocol = subprotocol
        pings = asyncio.create_task(self._ping(ws), name="link-ping")
        try:
            async with asyncio.timeout(None) as self._span:
                consumer.busy = True
                await self._tell(Connected(subprotocol))
                consumer.busy = False
                return self._ordered() or await self._read(ws, consumer)
        except TimeoutError:
            if consumer.bug is not None:
                raise consumer.bug from None
            if self._order is None:  # not ours: somebody else's bug
                raise
            return self._order
        finally:
            self._send_overdue.stop()
            self._send_overdue = self._span = self._consumer = None
            pings.cancel()
            if self._mono() - began >= self._settings.settled_s:
                self._back_off.reset()

    async def _read(self, ws: Wire, consumer: Consumer) -> LinkWhy:
        def taker(frame: bytes) -> bool:
            """A short text came alone. False: the consumer is at work, or is to have no more."""
            ready = not consumer.busy and consumer.bug is None and self._order is None
            at_once = ready and len(frame) <= self._settings.frame_limit
            if at_once:
                consumer.take(self._consumed, frame)
            return at_once

        ws.taker = taker
        try:
            while self._order is None:
                frame = await ws.recv(decode=False)
                await consumer.done()
                consumer.take_in_turn(self._consumed, frame)
                await consumer.done()
                ws.done()
            return self._order
        except self._closed as e:
            await consumer.done()
            return self._order or reasons.closed(e)
        finally:
            ws.taker = None
            await consumer.stop()

    def _consumed(self, frame: bytes) -> Awaitable[None] | None:
        self._alive_at = self._mono()
        return self._on_event(_event(frame, self._settings.frame_limit))

    def _expire(self) -> None:
        """What the loop does now is over: there is an order, or the consumer's bug."""
        if self._span is not None and not self._span.expired():
            self._span.reschedule(asyncio.get_running_loop().time())

    async def _tell(self, event: Connected | Disconnected) -> None:
        """The consumer must not hold up the loop for ever."""
        done = self._on_event(event)
        if done is None:
            return
        try:
            async with asyncio.timeout(CONSUMER_TIMEOUT_S) as limit:
                await done
        except TimeoutError:
            if not limit.expired():
                raise

    # --- pings ---

    async def _ping(self, ws: Wire) -> None:
        """Until the connection ends."""
        while True:
            if await self._ping_due() and not await self._pong(ws):
                return

    async def _ping_due(self) -> bool:
        """False: the interval was changed meanwhile; wait anew."""
        asked, interval_s = self._ping_now, self.ping_interval_s
        asked.clear()
        try:
            async with asyncio.timeout(interval_s if interval_s > 0 else None):
                await asked.wait()
        except TimeoutError:
            return True
        return interval_s == self.ping_interval_s

    async def _pong(self, ws: Wire) -> bool:
        timeout_s = self._settings.ping_timeout_s
        try:
            async with asyncio.timeout(timeout_s):
                # shielded: the library expects to settle this future itself, also when the pong comes late
                self.rtt_s = await asyncio.shield(asyncio.ensure_future(await ws.ping()))
        except self._closed:
            return False
        except TimeoutError:
            why = LinkWhy(WhyKind.PING, f"the server has not answered a ping for {timeout_s:g} s: the link is dead")
            self._interrupt(why, dead=ws)
            return False
        self._alive_at = self._mono()
        return True

    def _interrupt(self, why: LinkWhy, *, dead: Wire | None = None, force: bool = False) -> None:
        """Make what run() does now expire. A consumer at work finishes first; if it waits for a `dead` connection,
        cutting that makes it finish."""
        if self._span is None or self._span.expired() or (dead is not None and dead is not self._ws):
            return
        self._order = self._order or why
        if force or self._consumer is None or not self._consumer.busy:
            self._expire()
        elif dead is not None:
            dead.transport.abort()


def _event(frame: bytes, limit: int) -> LinkEvent:
    if len(frame) > limit:
        return Oversized(frame[:HEAD_CHARS].decode("utf-8", "replace"), len(frame))
    try:
        return Received(str(frame, "utf-8"))
    except UnicodeDecodeError:
        return Ignored(len(frame))
