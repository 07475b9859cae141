"""A: Security. What the list of security events names is written to the security log and told to the CSMS.

Rules kept here
* The log and what waits for the CSMS are durable and bounded. In a full queue the oldest event that is not critical
  goes first. A full log loses the oldest line of those, critical or not, of which it has more: no flood of the one
  kind, which a CSMS can order at will, washes the other away.
* An event is told with the time at which it happened, in order, one at a time, and a repeat is the same message. One
  that the CSMS refuses gets `MAX_ATTEMPTS`, then the next has its turn; a CSMS that refuses them all is asked once for
  each. A time-out counts only when the CSMS answers something else (a heartbeat is sent to see), as in the outbox.
* Whoever can cause events at will (bad frames, refused dials) fills neither log nor flash: after the first of a kind
  the next are counted, and told as one when the quiet time is over; a flood that goes on doubles that time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from agent.blocks.kept import Kept, instant, text, whole
from agent.blocks.station import Block, Facts, Out
from agent.core.deadlines import Deadlines
from agent.core.effects import Ask, Effect, Forget, Heartbeat, Note, Remember, SecurityNotice
from agent.core.events import (
    CallDone,
    CallFailed,
    HeartbeatAnswered,
    LinkDown,
    ResetDue,
    Restored,
    SamplesThinned,
    SecurityEvent,
    Stopping,
    StorageFailed,
    Tick,
    VariableChanged,
)
from agent.core.security import KINDS, LONGEST_QUIET_S, MAX_INFO, OTHER, ClockSet, Entry, SecurityLogLost
from agent.core.types import ClockQuality, Instant

LOG, QUEUE = "security_log", "security_queue"
MAX_LOG, MAX_QUEUE = 300, 200
MAX_ATTEMPTS = 3
RETRY_S = 30.0
CLOCK_WAIT_S = 2.0
CLOCK_STEP_S = 30.0  # a clock set by less is only being kept right
ENABLED = "SecurityCtrlr.EventNotificationEnabled"
_LOST_ON_THE_WAY = ("offline", "timeout", "dropped")
_TOLD_BY_OTHERS = ("SecurityProfile", "BasicAuthPassword")  # the network block says more of them


class _Quiet:
    """A kind of which one was told lately."""

    def __init__(self, span_s: float) -> None:
        self.span_s = span_s
        self.count = 0
        self.info = ""


class Security(Block):
    """`name` makes message ids unique among stations and over all restarts."""

    def __init__(self, facts: Facts, name: str) -> None:
        self._facts = facts
        self._name = name
        self._log: deque[Entry] = deque(maxlen=MAX_LOG)
        self._waiting: dict[int, Entry] = {}
        self._number = 0
        self._quiet: dict[str, _Quiet] = {}
        self._deadlines = Deadlines()
        self._open: SecurityNotice | None = None  # given to the outbox
        self._repeat: SecurityNotice | None = None  # was not answered, and goes again as it was
        self._attempts = 0
        self._silent = False  # it was not answered; whether the CSMS lives is being seen to
        self._deaf = False  # the last one was given up
        self._clock_waited = False  # a CSMS that tells no time that can be believed
        self._reset_told = False

    def next_deadline(self) -> float | None:
        return self._deadlines.next()

    def entries(self) -> list[Entry]:
        """The oldest first."""
        return list(self._log)

    def lines(self, oldest: float | None = None, latest: float | None = None) -> list[str]:
        """The security log, oldest line first, between two moments (UTC epoch seconds)."""
        first, last = oldest if oldest is not None else 0.0, latest if latest is not None else float("inf")
        return [entry.line() for entry in self._log if first <= entry.at.utc <= last]

    @property
    def waiting(self) -> int:
        """How many events the CSMS has yet to hear."""
        return len(self._waiting)

    # --- the sources that are not somebody's own ------------------------------------------------------------------

    def on_restored(self, e: Restored, _now: Instant) -> Out:
        log, queue = Kept(e, LOG), Kept(e, QUEUE)
        self._log.extend(_entries(log)[-MAX_LOG:])
        self._waiting = {entry.number: entry for entry in _entries(queue)}
        yield from (*log.forget(), *queue.forget())
        self._number = max((entry.number for entry in (*self._log, *self._waiting.values())), default=0)
        yield SecurityEvent("StartupOfTheDevice", "power was lost" if e.power_lost else "the agent was started")

    def on_reset(self, e: ResetDue | Stopping, _now: Instant) -> Out:
        if not self._reset_told:
            self._reset_told = True
            yield SecurityEvent("ResetOrReboot", str(e.reason) if isinstance(e, ResetDue) else e.why)

    def on_clock(self, e: ClockSet, now: Instant) -> Out:
        self._waiting = {number: _retimed(entry, now) for number, entry in self._waiting.items()}
        self._log = deque((_retimed(entry, now) for entry in self._log), MAX_LOG)
        if abs(e.jump_s) > CLOCK_STEP_S:
            yield SecurityEvent("SettingSystemTime", f"set by {e.by}, by {e.jump_s:+.0f} s")

    def on_storage(self, e: SamplesThinned | StorageFailed, _now: Instant) -> Out:
        if isinstance(e, SamplesThinned):
            yield SecurityEvent("MemoryExhaustion", f"{e.count} meter samples were dropped")
        elif e.why.startswith("full"):
            yield SecurityEvent("MemoryExhaustion", "the disk is full")

    def on_variable(self, e: VariableChanged, _now: Instant) -> Out:
        if e.id.component == "SecurityCtrlr" and e.id.variable not in _TOLD_BY_OTHERS:
            yield SecurityEvent("ReconfigurationOfSecurityParameters", f"{e.id} was set")

    def on_lost(self, e: SecurityLogLost, _now: Instant) -> Out:
        self._log.clear()
        yield Forget(LOG)
        yield SecurityEvent("SecurityLogWasCleared", e.why)

    # --- what has happened ----------------------------------------------------------------------------------------

    def on_event(self, e: SecurityEvent, now: Instant) -> Out:
        quiet = self._quiet.get(self._name_of(e.kind))
        if quiet is not None:
            quiet.count += 1
            quiet.info = e.info
            return
        self._hush(e.kind, KINDS.get(e.kind, OTHER).quiet_s, now)
        yield from self._take(e.kind, e.info, now)

    def _name_of(self, kind: str) -> str:
        return kind if kind in KINDS else "other"

    def _hush(self, kind: str, span_s: float, now: Instant) -> None:
        if span_s:
            self._quiet[self._name_of(kind)] = _Quiet(span_s)
            self._deadlines.set(("quiet", kind), now.mono + span_s)

    def _quiet_over(self, kind: str, now: Instant) -> Iterator[Effect]:
        quiet = self._quiet.pop(self._name_of(kind))
        if quiet.count:
            self._hush(kind, min(2 * quiet.span_s, LONGEST_QUIET_S), now)
            more = f"{quiet.count} more in {quiet.span_s / 60:.0f} min, the last: {quiet.info}"
            yield from self._take(kind, more, now)

    def _take(self, kind: str, info: str, now: Instant) -> Iterator[Effect]:
        self._number += 1
        entry = Entry(self._number, now, kind, _printable(info)[:MAX_INFO])
        level = KINDS.get(kind, OTHER).level
        yield Note(level, "SecurityEvent", f"{kind}: {entry.info}".rstrip(": "), (("KIND", kind),))
        if len(self._log) >= MAX_LOG:
            oldest = _first_of_more(self._log)
            self._log.remove(oldest)
            yield Forget(LOG, str(oldest.number))
        self._log.append(entry)
        yield Remember(LOG, str(entry.number), _encode(entry))
        if self._facts.variables.flag(ENABLED):
            self._waiting[entry.number] = entry
            yield Remember(QUEUE, str(entry.number), _encode(entry))
            yield from self._make_room()

    def _make_room(self) -> Iterator[Effect]:
        if len(self._waiting) <= MAX_QUEUE:
            return
        busy = {call.number for call in (self._open, self._repeat) if call is not None}
        idle = [entry for entry in self._waiting.values() if entry.number not in busy]
        victim = next((entry for entry in idle if not _is_critical(entry)), idle[0])
        yield from self._drop(victim.number)

    def _drop(self, number: int) -> Iterator[Effect]:
        del self._waiting[number]
        yield Forget(QUEUE, str(number))

    # --- telling the CSMS -------------------------------------------------------------------------------------------

    def derive(self, now: Instant) -> Iterator[Effect]:
        if not self._waiting:
            return
        if not self._facts.variables.flag(ENABLED):
            self._waiting.clear()
            self._repeat = None
            yield Forget(QUEUE)
        elif self._open is None and not self._silent and self._facts.online and "retry" not in self._deadlines:
            first = next(iter(self._waiting.values()))
            if self._repeat is not None or not self._waits_for_clock(first, now):
                self._open = self._repeat or self._notice(first)
                yield Ask(self._open)

    def _waits_for_clock(self, entry: Entry, now: Instant) -> bool:
        """Whoever accepts us tells the time with it; that is heard a moment later, and the event's own time with it."""
        known = ClockQuality.SYNCED in (entry.at.quality, now.quality) or entry.at.boot != now.boot
        if known or self._clock_waited:
            return False
        self._deadlines.keep("clock", now.mono + CLOCK_WAIT_S)
        return True

    def _notice(self, entry: Entry) -> SecurityNotice:
        return SecurityNotice(entry.kind, entry.at, entry.info, entry.number, f"{self._name}-s{entry.number}")

    def on_done(self, e: CallDone | HeartbeatAnswered, now: Instant) -> Out:
        if isinstance(e, CallDone) and e.call == self._open:
            self._deaf = False
            yield from self._settle()
        elif self._silent and (not isinstance(e, CallDone) or e.said):
            yield from self._attempted(now, "it does not answer it")

    def on_failed(self, e: CallFailed, now: Instant) -> Out:
        if e.call != self._open:
            if self._silent and e.why not in _LOST_ON_THE_WAY:
                yield from self._attempted(now, "it does not answer it")
            return
        self._repeat, self._open = self._open, None
        if e.why == "timeout":
            self._silent = True
            yield Ask(Heartbeat())
        elif e.why == "dropped":
            self._deadlines.set("retry", now.mono + RETRY_S)
        elif e.why != "offline":
            yield from self._attempted(now, f"it answers {_printable(e.why)[:80]}")

    def on_down(self, _e: LinkDown, _now: Instant) -> Out:
        self._silent = self._clock_waited = False
        return iter(())

    def _attempted(self, now: Instant, why: str) -> Iterator[Effect]:
        self._silent = False
        self._attempts += 1
        self._deadlines.set("retry", now.mono + RETRY_S * self._attempts)
        if self._attempts >= (1 if self._deaf else MAX_ATTEMPTS):
            level, self._deaf = "debug" if self._deaf else "warning", True
            text = f"the CSMS does not take SecurityEventNotification: {why}; the security log keeps the event"
            yield Note(level, "SecurityEventNotTold", text)
            yield from self._settle()

    def _settle(self) -> Iterator[Effect]:
        """The one that was tried is done with."""
        tried, self._open, self._repeat, self._attempts = self._open or self._repeat, None, None, 0
        if tried is not None and tried.number in self._waiting:
            yield from self._drop(tried.number)

    def on_tick(self, _e: Tick, now: Instant) -> Out:
        for name in self._deadlines.due(now.mono):
            self._clock_waited |= name == "clock"
            if isinstance(name, tuple):
                yield from self._quiet_over(name[1], now)

    HEARS: ClassVar = {
        Restored: "on_restored",
        ResetDue: "on_reset",
        Stopping: "on_reset",
        ClockSet: "on_clock",
        SamplesThinned: "on_storage",
        StorageFailed: "on_storage",
        VariableChanged: "on_variable",
        SecurityLogLost: "on_lost",
        SecurityEvent: "on_event",
        CallDone: "on_done",
        HeartbeatAnswered: "on_done",
        CallFailed: "on_failed",
        LinkDown: "on_down",
        Tick: "on_tick",
    }


def _is_critical(entry: Entry) -> bool:
    return KINDS.get(entry.kind, OTHER).critical


def _first_of_more(log: Sequence[Entry]) -> Entry:
    critical, other = [e for e in log if _is_critical(e)], [e for e in log if not _is_critical(e)]
    return max(critical, other, key=len)[0]


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)


def _retimed(entry: Entry, now: Instant) -> Entry:
    """With the true time, when it happened before anybody had told it."""
    if entry.at.quality is ClockQuality.SYNCED or entry.at.boot != now.boot:
        return entry
    at = Instant(entry.at.mono, now.utc - (now.mono - entry.at.mono), now.quality, now.boot)
    return Entry(entry.number, at, entry.kind, entry.info)


def _encode(entry: Entry) -> list[Any]:
    at = entry.at
    return [entry.kind, entry.info, [at.mono, at.utc, int(at.quality), at.boot]]


def logged(e: Restored) -> list[str]:
    """The lines of the log that was remembered, for whoever reads it without a station."""
    return [entry.line() for entry in _entries(Kept(e, LOG))[-MAX_LOG:]]


def _entries(kept: Kept) -> list[Entry]:
    """What was remembered, in order; the store corrects the times that were not known then."""
    return sorted(kept.rows(_decode).values(), key=lambda entry: entry.number)


def _decode(key: str, value: Any) -> Entry:
    kind, info, at = value
    return Entry(whole(int(key)), instant(at), text(kind), text(info))
