"""Runtime: the one loop that joins the layers. Take an event, let the station decide, commit, act, arm one timer.

Rules kept here
* One step at a time, whoever brings the event (a lock is the queue; callers wait, so nothing piles up).
* What must be durable is committed in one commit before any of its effects shows (`agent.durable`). Only taking power
  away does not wait for the disk; power is not switched on while something waits for it.
* The answer to a transaction event and all that follows from it go into the commit that deletes the event.
* Nothing here knows a protocol version but by the tables of its dialect.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from agent.blocks.station import Station
from agent.core.effects import (
    Answer,
    Ask,
    Effect,
    Errand,
    Forget,
    LearnTime,
    Note,
    Offer,
    Record,
    Redial,
    Remember,
    Reply,
    Restart,
)
from agent.core.events import (
    CallFailed,
    Event,
    LinkDown,
    LinkUp,
    QueueEmptied,
    QueueFilled,
    SecurityEvent,
    Tick,
)
from agent.core.network import CsmsChanged
from agent.core.requests import Ref, Request, VariablesSetRequested
from agent.core.technician import Ordered, Requeue
from agent.core.types import ClockQuality, Instant, Registration
from agent.durable import Durable, LogPort, StorePort, Work
from agent.ocpp.conversation import Conversation, Delivered, Fault, Hang, Hear, Outcome, Say, Undeliverable
from agent.orders import HardwarePort, order
from agent.timekeeping import ClockPort, Timekeeper

MAX_TO_SEND = 64  # answers and one call; each inbound CALL has at most one
T = TypeVar("T")
DURABLE = (Record, Remember, Forget)


class LinkPort(Protocol):
    def confirm(self) -> None: ...
    def drop(self, reason: str) -> None: ...
    def redial(self, reason: str = ...) -> None: ...
    def set_ping_interval(self, interval_s: float) -> None: ...
    def takes_at_once(self, text: str) -> bool: ...
    async def send(self, text: str) -> bool: ...


class Runtime:
    """`work` runs a store call where it may block; `leave` is told once when the process is to end; `errand` begins
    work beside the loop and returns at once; `trace` is shown every frame, "<" from the CSMS and ">" to it; `answer`
    takes what is answered to a request that was made here and not by the CSMS; `decide` stands for `station.handle`."""

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
        errand: Callable[[Errand], None] | None = None,
        trace: Callable[[str, str], None] = lambda _way, _text: None,
        answer: Callable[[Ref, Answer], None] = lambda _ref, _answer: None,
        decide: Callable[[Event, Instant], list[Effect]] | None = None,
    ) -> None:
        self.station = station
        self._decide = decide or station.handle
        self.conversation = conversation
        self._facts = station.facts
        self.durable = Durable(store, work, log)
        self.time = Timekeeper(clock, self.durable, log)
        self._store, self._clock, self._link, self._hardware, self._work = store, clock, link, hardware, work
        self._log, self._leave, self._errand, self._trace, self._answer = log, leave, errand, trace, answer
        self._lock = asyncio.Lock()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = float("inf")
        self._timer_waits = False  # it has come, and its step waits its turn
        self._tasks: set[asyncio.Task[None]] = set()
        self._to_send: asyncio.Queue[str] = asyncio.Queue(MAX_TO_SEND)
        self._sending = False  # `sender` is at it
        self._held: dict[int, float] = {}  # offers that wait for the disk
        self._offered: dict[int, float] = {}
        self._queued = False
        self._links = 0
        self._spoken = ""  # the version of the last link
        self.version_seen: Callable[[str], Effect | None] = lambda _subprotocol: None
        self.failure: BaseException | None = None
        self.failed = asyncio.Event()

    # --- events in ----------------------------------------------------------------------------------------------

    async def feed(self, event: Event) -> None:
        """One step: decide, commit, act."""
        async with self._lock:
            await self._steps([event])

    async def idle(self) -> None:
        """Returns when no step is under way."""
        async with self._lock:
            return

    async def between(self, read: Callable[[], T]) -> T:
        """What a store call tells that only reads, asked between two steps."""
        async with self._lock:
            found: T = await self._work(read)
            return found

    async def received_oversized(self, head: str) -> None:
        """A frame has come that is longer than we read; `head` is its beginning."""
        async with self._lock:
            await self._follow(self.conversation.oversized(head))

    async def received(self, text: str) -> None:
        """A frame has come from the CSMS."""
        async with self._lock:
            self._log.debug("FrameIn", text)
            self._trace("<", text)
            now = self._clock.now()
            answered = self.conversation.answered_mono
            await self._follow(self.conversation.received(text, self._facts.registration, now.mono))
            if self.conversation.answered_mono != answered and self._facts.registration is Registration.ACCEPTED:
                self._link.confirm()  # it answers: the next redial need not wait long
            await self._end_of_step()

    async def connected(self, subprotocol: str) -> None:
        async with self._lock:
            dialect = self.conversation.connected(subprotocol)
            variables = self._facts.variables
            variables.layer("preset", self.conversation.presets)
            variables.layer("pin", dialect.pins)
            self.settings_changed()
            news = self.version_seen(subprotocol)
            if news is not None:
                await self._carry_out([news], self._clock.now(), deque())
            self._links += 1
            self._log.info("LinkUp", f"connected to the CSMS in {subprotocol}")
            while not self._to_send.empty():
                self._to_send.get_nowait()
            # Who speaks another version than before has never heard of us in it: that is no mere reconnect.
            moved = [CsmsChanged()] if self._spoken not in ("", subprotocol) else []
            self._spoken = subprotocol
            await self._steps([*moved, LinkUp(self._links == 1)])

    async def disconnected(self, why: str) -> None:
        async with self._lock:
            lost: list[Event] = list(self.conversation.disconnected())
            await self._steps([LinkDown(why), *lost])

    async def _on_timer(self) -> None:
        async with self._lock:
            self._timer_waits = False
            now = self._clock.now()
            await self._follow(self.conversation.expire(now.mono))
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
        if delivered is not None:
            csms_id = delivered.event.csms_id if delivered.event else None
            version = self.conversation.dialect.name
            queue.extend(await self.durable.delivered(delivered.row.id, csms_id, version, durable, now.mono))
        elif durable:
            queue.extend(await self.durable.commit(durable, now.mono))
        self._release()
        for effect in effects:
            if not isinstance(effect, DURABLE):
                await self._perform(effect, now, queue)

    def _release(self) -> None:
        """Everything is on disk: power that waited for it may be given."""
        if self._held and not self.durable.trouble:
            for evse, current_a in self._held.items():
                self._hardware.offer(evse, current_a)
            self._held.clear()

    # --- acting -------------------------------------------------------------------------------------------------

    def _offer(self, effect: Offer) -> None:
        waits = self._held.pop(effect.evse, None) is not None
        before = 0.0 if waits else self._offered.get(effect.evse, 0.0)
        self._offered[effect.evse] = effect.current_a
        if self.durable.trouble and before == 0 and effect.current_a > 0:
            self._held[effect.evse] = effect.current_a  # what this power depends on is not on disk yet
        else:
            self._hardware.offer(effect.evse, effect.current_a)

    async def _perform(self, effect: Effect, now: Instant, queue: deque[Event]) -> None:
        if isinstance(effect, Note):
            getattr(self._log, effect.level)(effect.code, effect.text, **{k.lower(): v for k, v in effect.fields})
        elif isinstance(effect, Ask):
            queue.extend(CallFailed(call, "dropped") for call in self.conversation.outbox.ask(self.time.dated(effect)))
        elif isinstance(effect, Reply) and effect.ref.by:
            self._answer(effect.ref, effect.answer)
        elif isinstance(effect, Reply):
            await self._follow(self.conversation.reply(effect.ref, effect.answer))
        elif isinstance(effect, Offer):
            if self._offered.get(effect.evse) != effect.current_a:
                self._offer(effect)
        elif isinstance(effect, Requeue):
            self._answer(effect.ref, await self.durable.requeue())
            self.conversation.outbox.afresh()
        elif isinstance(effect, LearnTime):
            asked, answered = self.conversation.sent_mono, self.conversation.answered_mono
            queue.extend(await self.time.learn(effect.utc, asked, answered))
        else:
            self._perform_rare(effect)

    def _perform_rare(self, effect: Effect) -> None:
        if order(self._hardware, effect):
            return
        if isinstance(effect, Redial):
            (self._link.redial if effect.at_once else self._link.drop)(effect.why)
        elif isinstance(effect, Restart):
            self._leave(effect)
        elif isinstance(effect, Errand) and self._errand is not None:
            self._errand(effect)
        else:
            raise AssertionError(f"no way to do {effect!r}")

    # --- what the conversation wants ----------------------------------------------------------------------------

    async def _follow(self, outcomes: Sequence[Outcome]) -> None:
        for outcome in outcomes:
            if isinstance(outcome, Say):
                await self._send(outcome.text)
                if outcome.row_id is not None:
                    self._store.sent(outcome.row_id)
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
                if outcome.invalid:
                    await self._steps_within([SecurityEvent("InvalidMessages", outcome.why)])

    async def _steps_within(self, events: Sequence[Event]) -> None:
        queue = deque(events)
        while queue:
            event = queue.popleft()
            now = self._clock.now()
            await self._carry_out(self._decide(event, now), now, queue)
            if isinstance(event, Request) and not self.station.hears(type(event)):
                await self._follow(self.conversation.refuse(event.ref))
            if isinstance(event, (VariablesSetRequested, Ordered)):
                self.settings_changed()
            queue.extend(self._queue_news())

    async def _delivered(self, outcome: Delivered) -> None:
        now = self._clock.now()
        queue: deque[Event] = deque()
        effects = self._decide(outcome.event, now) if outcome.event is not None else []
        await self._carry_out(effects, now, queue, outcome)
        await self._steps_within([*queue, *self._queue_news()])

    async def _dead(self, outcome: Undeliverable) -> None:
        news = await self.durable.set_aside(outcome.row, outcome.why, self._clock.now().mono)
        await self._steps_within([*news, *self._queue_news()])

    def _queue_news(self) -> list[Event]:
        queued = self._store.head() is not None
        if queued is self._queued:
            return []
        self._queued = queued
        return [QueueFilled() if queued else QueueEmptied()]

    async def _send(self, text: str) -> None:
        """Now, if that needs no waiting; else in its turn, by `sender`. Whoever waits for it comes before the trace."""
        if self._to_send.empty() and not self._sending and self._link.takes_at_once(text):
            await self._link.send(text)
        else:
            self._queue_up(text)
        self._log.debug("FrameOut", text)
        self._trace(">", text)

    def _queue_up(self, text: str) -> None:
        try:
            self._to_send.put_nowait(text)
        except asyncio.QueueFull:
            self._link.drop("the CSMS asks faster than it takes answers")

    async def sender(self) -> None:
        """Carries frames to the link, one after the other; runs beside the loop so that no step waits for a socket."""
        while True:
            text = await self._to_send.get()
            self._sending = True
            await self._link.send(text)
            self._sending = False

    # --- the end of a step: what to send next, and when to look again ---------------------------------------------

    def settings_changed(self) -> None:
        """Variables that count outside of the station may have new values."""
        variables = self._facts.variables
        self._link.set_ping_interval(variables.number("OCPPCommCtrlr.WebSocketPingInterval"))
        outbox = self.conversation.outbox
        outbox.max_attempts = int(variables.number("OCPPCommCtrlr.MessageAttempts[TransactionEvent]"))
        outbox.attempt_interval_s = variables.number("OCPPCommCtrlr.MessageAttemptInterval[TransactionEvent]")

    async def _end_of_step(self) -> None:
        now = self._clock.now()
        if not self.time.settled or now.quality is not ClockQuality.SYNCED:
            await self._steps_within(await self.time.look(now))
        await self._steps_within(await self.durable.catch_up(now.mono))
        self._release()
        timeout_s = self._facts.variables.number("OCPPCommCtrlr.MessageTimeout[Default]")
        while True:
            # Looked at anew each time: a row whose leaving could not be stored would be next for ever.
            self.conversation.outbox.rows_wait = bool(self.durable.trouble)
            found = self.conversation.next(self._facts.registration, now.mono, timeout_s)
            if found is None:
                break
            await self._follow([found])
        self._arm()

    def _arm(self) -> None:
        if self._timer_waits:
            return  # its step arms it anew; another one now would be one too many for ever
        times = [self.station.next_deadline(), self.conversation.deadline(), self.durable.due_at]
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
        self._timer, self._timer_at, self._timer_waits = None, float("inf"), True
        task = asyncio.ensure_future(self._on_timer())
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self.failure = task.exception()
            self.failed.set()
