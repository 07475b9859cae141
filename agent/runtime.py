"""Runtime: the one loop that joins the layers. Take an event, let the station decide, commit, act, arm one timer.

Rules kept here * One step at a time, whoever brings the event (a lock is the queue; callers wait, so nothing piles
up). * What must be durable is committed in one commit before any of its effects shows. Only taking power away does
not wait for the disk. What cannot be committed is held in memory, in order and bounded, and tried again; until it is
on disk no power is switched on, and the station hears `StorageFailed`. * The answer to a transaction event and all
that follows from it go into the commit that deletes the event. * Nothing here knows a protocol version but by the
tables of its dialect.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from agent.blocks.station import Station
from agent.core.effects import (
    Ask,
    Effect,
    Forget,
    LearnTime,
    Note,
    Offer,
    Record,
    Redial,
    Remember,
    Reply,
    Restart,
    Show,
    Unlock,
)
from agent.core.events import (
    BootAnswered,
    CallFailed,
    Event,
    LinkDown,
    LinkUp,
    QueueEmptied,
    QueueFilled,
    Request,
    StorageFailed,
    StorageRecovered,
    Tick,
    VariableChanged,
)
from agent.core.types import Instant, Registration, TxKind
from agent.errors import StoreError
from agent.ocpp.conversation import Conversation, Delivered, Fault, Hang, Hear, Outcome, Say, Undeliverable
from agent.ocpp.outbox import Waiting

MAX_BACKLOG = 5000  # durable effects that wait for a disk that refuses them
MAX_TO_SEND = 64  # answers and one call; each inbound CALL has at most one
RETRY_STORE_S = 5.0
DURABLE = (Record, Remember, Forget)
Work = Callable[[Callable[[], Any]], Awaitable[Any]]


class ClockPort(Protocol):
    def now(self) -> Instant: ...
    def learn(self, utc: float, mono_at_request: float, mono_at_answer: float) -> float | None: ...


class LinkPort(Protocol):
    def confirm(self) -> None: ...
    def drop(self, reason: str) -> None: ...
    def redial(self, reason: str = ...) -> None: ...
    def set_ping_interval(self, interval_s: float) -> None: ...
    async def send(self, text: str) -> bool: ...


class HardwarePort(Protocol):
    def offer(self, evse: int, current_a: float) -> None: ...
    def unlock(self, evse: int) -> None: ...
    def show(self, evse: int, state: str) -> None: ...


class StorePort(Protocol):
    """What the runtime needs of `agent.store`; called from one thread at a time."""

    def commit(self, effects: Sequence[Effect]) -> object: ...
    def head(self) -> Waiting | None: ...
    def answered(self, row_id: int, csms_id: str | None, via: str, effects: Sequence[Effect]) -> object: ...
    def dead_letter(self, row_id: int, why: str) -> object: ...
    def retime(self, boot: str, offset_s: float) -> object: ...


class LogPort(Protocol):
    def debug(self, event: str, message: str = ..., /, **fields: object) -> None: ...
    def info(self, event: str, message: str = ..., /, **fields: object) -> None: ...
    def warning(self, event: str, message: str = ..., /, **fields: object) -> None: ...
    def error(self, event: str, message: str = ..., /, **fields: object) -> None: ...


class Runtime:
    """`work` runs a store call where it may block; `leave` is told once when the process is to end."""

    def __init__(
        self,
        *,
        station: Station,
        conversation: Conversation,
        store: StorePort,
        clock: ClockPort,
        link: LinkPort,
        hardware: HardwarePort,
        log: LogPort,
        work: Work,
        leave: Callable[[Restart], None],
    ) -> None:
        self.station = station
        self.conversation = conversation
        self._facts = station.facts
        self._store, self._clock, self._link, self._hardware = store, clock, link, hardware
        self._log, self._work, self._leave = log, work, leave
        self._lock = asyncio.Lock()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = float("inf")
        self._tasks: set[asyncio.Task[None]] = set()
        self._to_send: asyncio.Queue[str] = asyncio.Queue(MAX_TO_SEND)
        self._backlog: list[Effect] = []
        self._retry_at = 0.0
        self._held: dict[int, float] = {}  # offers that wait for the disk
        self._offered: dict[int, float] = {}
        self._queued = False
        self._links = 0
        self.version_seen: Callable[[str], None] = lambda _subprotocol: None
        self.failure: BaseException | None = None
        self.failed = asyncio.Event()

    # --- events in ----------------------------------------------------------------------------------------------

    async def feed(self, event: Event) -> None:
        """One step: decide, commit, act."""
        async with self._lock:
            await self._steps([event])

    async def received(self, text: str) -> None:
        """A frame has come from the CSMS."""
        async with self._lock:
            self._log.debug("FrameIn", text)
            now = self._clock.now()
            await self._follow(self.conversation.received(text, self._facts.registration, now.mono), now)
            await self._end_of_step()

    async def connected(self, subprotocol: str) -> None:
        async with self._lock:
            dialect = self.conversation.connected(subprotocol)
            variables = self._facts.variables
            variables.layer("preset", dialect.presets)
            variables.layer("pin", dialect.pins)
            self.version_seen(subprotocol)
            self._links += 1
            self._log.info("LinkUp", f"connected to the CSMS in {subprotocol}")
            while not self._to_send.empty():
                self._to_send.get_nowait()
            await self._steps([LinkUp(self._links == 1)])

    async def disconnected(self, why: str) -> None:
        async with self._lock:
            lost: list[Event] = list(self.conversation.disconnected())
            await self._steps([LinkDown(why), *lost])

    async def _on_timer(self) -> None:
        async with self._lock:
            self._timer, self._timer_at = None, float("inf")
            now = self._clock.now()
            await self._follow(self.conversation.expire(now.mono), now)
            await self._steps([Tick()])

    # --- the step -----------------------------------------------------------------------------------------------

    async def _steps(self, events: Sequence[Event]) -> None:
        await self._steps_within(events)
        await self._end_of_step()

    async def _carry_out(
        self, effects: Sequence[Effect], now: Instant, queue: deque[Event], delivered: Delivered | None = None
    ) -> None:
        for effect in effects:
            if isinstance(effect, Offer) and effect.current_a < self._offered.get(effect.evse, 0.0):
                self._offer(effect)
        durable: list[Effect] = [effect for effect in effects if isinstance(effect, DURABLE)]
        if durable or delivered is not None:
            await self._commit(durable, now, queue, delivered)
        for effect in effects:
            if not isinstance(effect, DURABLE):
                await self._perform(effect, now, queue)

    async def _commit(
        self, durable: list[Effect], now: Instant, queue: deque[Event], delivered: Delivered | None = None
    ) -> None:
        """On disk when this returns, or held in the backlog and the station told so."""
        whole = [*self._backlog, *durable]
        try:
            if delivered is not None:
                csms_id = delivered.event.csms_id if delivered.event else None
                version = self.conversation.dialect.name
                await self._work(lambda: self._store.answered(delivered.row.id, csms_id, version, whole))
            else:
                await self._work(lambda: self._store.commit(whole))
        except StoreError as error:
            self._hold(durable)
            self._retry_at = now.mono + RETRY_STORE_S
            if len(self._backlog) == len(durable):
                self._log.error("StorageFailed", f"nothing can be stored: {error}")
            queue.append(StorageFailed(str(error)))
            return
        if self._backlog:
            self._backlog.clear()
            self._log.info("StorageRecovered", "what was held in memory is stored")
            queue.append(StorageRecovered())
            for evse, current_a in self._held.items():
                self._hardware.offer(evse, current_a)
            self._held.clear()

    def _hold(self, durable: list[Effect]) -> None:
        """Keep what could not be stored; beyond the bound the middle samples thin out, never a start or an end."""
        self._backlog.extend(durable)
        if len(self._backlog) > MAX_BACKLOG:
            samples = [e for e in self._backlog if isinstance(e, Record) and e.event.kind is TxKind.UPDATED]
            dropped = {id(e) for e in samples[1::2]}
            self._backlog = [e for e in self._backlog if id(e) not in dropped]
            self._log.error(
                "SamplesThinned",
                f"{len(dropped)} meter samples were dropped while the disk refuses",
                count=len(dropped),
            )

    # --- acting -------------------------------------------------------------------------------------------------

    def _offer(self, effect: Offer) -> None:
        before = self._offered.get(effect.evse, 0.0)
        self._offered[effect.evse] = effect.current_a
        self._held.pop(effect.evse, None)
        if self._backlog and before == 0 and effect.current_a > 0:
            self._held[effect.evse] = effect.current_a  # what this power depends on is not on disk yet
        else:
            self._hardware.offer(effect.evse, effect.current_a)

    async def _perform(self, effect: Effect, now: Instant, queue: deque[Event]) -> None:
        if isinstance(effect, Note):
            getattr(self._log, effect.level)(effect.code, effect.text, **{k.lower(): v for k, v in effect.fields})
        elif isinstance(effect, Ask):
            queue.extend(CallFailed(call, "dropped") for call in self.conversation.outbox.ask(effect))
        elif isinstance(effect, Reply):
            await self._follow(self.conversation.reply(effect.ref, effect.answer), now)
        elif isinstance(effect, Offer):
            if self._offered.get(effect.evse) != effect.current_a:
                self._offer(effect)
        elif isinstance(effect, LearnTime):
            await self._learn(effect.utc, now)
        else:
            self._perform_rare(effect)

    def _perform_rare(self, effect: Effect) -> None:
        if isinstance(effect, Show):
            self._hardware.show(effect.evse, effect.state)
        elif isinstance(effect, Unlock):
            self._hardware.unlock(effect.evse)
        elif isinstance(effect, Redial):
            self._link.redial(effect.why)
        elif isinstance(effect, Restart):
            self._leave(effect)
        else:
            raise AssertionError(f"no way to do {effect!r}")

    async def _learn(self, utc: float, now: Instant) -> None:
        """The CSMS's time; rows written before any time was known get their true times."""
        jump = self._clock.learn(utc, self.conversation.sent_mono, self.conversation.answered_mono)
        if jump is None:
            return
        self._log.info("ClockSet", f"the clock was set by the CSMS, by {jump:+.0f} s")
        after = self._clock.now()
        try:
            await self._work(lambda: self._store.retime(after.boot, after.utc - after.mono))
        except StoreError as error:
            self._log.warning("StorageFailed", f"stored times could not be corrected: {error}")

    # --- what the conversation wants ----------------------------------------------------------------------------

    async def _follow(self, outcomes: Sequence[Outcome], now: Instant) -> None:
        for outcome in outcomes:
            if isinstance(outcome, Say):
                self._send(outcome.text)
            elif isinstance(outcome, Hear):
                await self._steps_within([outcome.event])
            elif isinstance(outcome, Delivered):
                await self._delivered(outcome)
            elif isinstance(outcome, Undeliverable):
                await self._dead(outcome)
            elif isinstance(outcome, Hang):
                self._link.drop(outcome.why)
            else:
                assert isinstance(outcome, Fault)
                (self._log.error if outcome.bug else self._log.warning)("Conversation", outcome.why)

    async def _steps_within(self, events: Sequence[Event]) -> None:
        queue = deque(events)
        while queue:
            event = queue.popleft()
            now = self._clock.now()
            await self._carry_out(self.station.handle(event, now), now, queue)
            if isinstance(event, Request) and not self.station.hears(type(event)):
                await self._follow(self.conversation.refuse(event.ref), now)
            if isinstance(event, BootAnswered) and event.status is Registration.ACCEPTED:
                self._link.confirm()
            if isinstance(event, VariableChanged):
                self._settings_changed()
            queue.extend(self._queue_news())

    async def _delivered(self, outcome: Delivered) -> None:
        now = self._clock.now()
        queue: deque[Event] = deque()
        effects = self.station.handle(outcome.event, now) if outcome.event is not None else []
        await self._carry_out(effects, now, queue, outcome)
        await self._steps_within([*queue, *self._queue_news()])

    async def _dead(self, outcome: Undeliverable) -> None:
        event = outcome.row.event
        self._log.error(
            "DeadLetter",
            f"the CSMS does not take {event.message_id}: {outcome.why}; it is kept aside",
            tx=event.transaction,
            seq=event.seq,
        )
        try:
            await self._work(lambda: self._store.dead_letter(outcome.row.id, outcome.why))
        except StoreError as error:
            self._log.warning("StorageFailed", f"it could not be set aside: {error}")
        await self._steps_within(self._queue_news())

    def _queue_news(self) -> list[Event]:
        queued = self._store.head() is not None
        if queued is self._queued:
            return []
        self._queued = queued
        return [QueueFilled() if queued else QueueEmptied()]

    def _send(self, text: str) -> None:
        self._log.debug("FrameOut", text)
        try:
            self._to_send.put_nowait(text)
        except asyncio.QueueFull:
            self._link.drop("the CSMS asks faster than it takes answers")

    async def sender(self) -> None:
        """Carries frames to the link, one after the other; runs beside the loop so that no step waits for a socket."""
        while True:
            await self._link.send(await self._to_send.get())

    # --- the end of a step: what to send next, and when to look again ---------------------------------------------

    def _settings_changed(self) -> None:
        variables = self._facts.variables
        self._link.set_ping_interval(variables.number("OCPPCommCtrlr.WebSocketPingInterval"))
        outbox = self.conversation.outbox
        outbox.max_attempts = int(variables.number("OCPPCommCtrlr.MessageAttempts[TransactionEvent]"))
        outbox.attempt_interval_s = variables.number("OCPPCommCtrlr.MessageAttemptInterval[TransactionEvent]")

    async def _end_of_step(self) -> None:
        now = self._clock.now()
        if self._backlog and now.mono >= self._retry_at:
            queue: deque[Event] = deque()
            await self._commit([], now, queue)
            await self._steps_within([*queue])
        timeout_s = self._facts.variables.number("OCPPCommCtrlr.MessageTimeout[Default]")
        while (found := self.conversation.next(self._facts.registration, now.mono, timeout_s)) is not None:
            await self._follow([found], now)
        self._arm()

    def _arm(self) -> None:
        times = [self.station.next_deadline(), self.conversation.deadline(), self._retry_at if self._backlog else None]
        at = min((t for t in times if t is not None), default=float("inf"))
        if at == self._timer_at:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._timer_at = at
        if at < float("inf"):
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(max(0.0, at - self._clock.now().mono), self._due)

    def _due(self) -> None:
        task = asyncio.ensure_future(self._on_timer())
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self.failure = task.exception()
            self.failed.set()
