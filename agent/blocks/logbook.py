"""The logbook of the charger, which a technician reads first: faults that came and went, the link, registration, and
what was ordered on the spot, by whom and why. (Security events have a log of their own.)

Rules kept here
* Bounded: the oldest entry goes first. An order is always durable, in the commit of what follows from it.
* What may flutter (a link, a fault) is durable once in `QUIET_S` for each kind; a return of the link when its loss was,
  and the registration when it was refused. The rest is held in memory only: no loose contact wears out the flash.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any, ClassVar

from agent.blocks.kept import Kept, instant, text, whole
from agent.blocks.station import Block, Out
from agent.core.effects import Effect, Forget, Remember
from agent.core.events import FaultCleared, FaultRaised, LinkDown, LinkUp, Registered, Restored
from agent.core.faults import CATALOGUE, STORAGE
from agent.core.record import record, replace
from agent.core.security import ClockSet
from agent.core.technician import Logged
from agent.core.types import ClockQuality, Instant, Registration

TABLE = "logbook"
MAX_ENTRIES = 300
MAX_TEXT = 300
QUIET_S = 600.0
MAX_QUIET = 200
_UP = "up"
_IN_MEMORY = (STORAGE, _UP, str(Registration.ACCEPTED))  # there is no place for the first, no need to keep the others


@record
class LogEntry:
    """`kind`: "order", "fault", "cleared", "link" or "registration". `evse` 0: none in particular."""

    number: int  # grows, over restarts
    at: Instant
    kind: str
    text: str
    evse: int = 0
    by: str = ""
    why: str = ""
    durable: bool = True


class Logbook(Block):
    def __init__(self) -> None:
        self._entries: deque[LogEntry] = deque()
        self._number = 0
        self._loss_kept = False  # the last loss of the link is durable, so its return is to be
        self._quiet: dict[tuple[str, int, str], float] = {}  # until when an entry of this sort is held in memory only

    def entries(self) -> list[LogEntry]:
        """The oldest first."""
        return list(self._entries)

    def on_restored(self, e: Restored, _now: Instant) -> Out:
        kept = Kept(e, TABLE)
        found = sorted(kept.rows(_decode).values(), key=lambda entry: entry.number)
        self._entries.extend(found[-MAX_ENTRIES:])
        self._number = max((entry.number for entry in found), default=0)
        for entry in found[:-MAX_ENTRIES]:
            yield Forget(TABLE, str(entry.number))
        yield from kept.forget()

    def on_logged(self, e: Logged, now: Instant) -> Out:
        return self._add(LogEntry(0, now, e.kind, e.text, e.evse, e.by, e.why))

    def on_fault(self, e: FaultRaised | FaultCleared, now: Instant) -> Out:
        row, came = CATALOGUE[e.fault], isinstance(e, FaultRaised)
        info = f" ({e.info})" if isinstance(e, FaultRaised) and e.info else ""
        words = row.text if came else row.cleared or "it has gone"
        entry = LogEntry(0, now, "fault" if came else "cleared", f"{e.fault}: {words}{info}", e.evse)
        return self._add(entry, e.fault)

    def on_link(self, e: LinkUp | LinkDown, now: Instant) -> Out:
        if isinstance(e, LinkDown):
            yield from self._add(LogEntry(0, now, "link", f"connection lost: {e.why or 'closed'}"), "down")
            self._loss_kept = self._entries[-1].durable
        else:
            sort, self._loss_kept = "" if self._loss_kept else _UP, False
            yield from self._add(LogEntry(0, now, "link", "connected to the central system"), sort)

    def on_registered(self, e: Registered, now: Instant) -> Out:
        return self._add(LogEntry(0, now, "registration", f"the central system says {e.status}"), str(e.status))

    def _add(self, entry: LogEntry, sort: str = "") -> Iterator[Effect]:
        self._number += 1
        durable = sort not in _IN_MEMORY and (not sort or self._is_due((entry.kind, entry.evse, sort), entry.at.mono))
        entry = replace(entry, number=self._number, text=entry.text[:MAX_TEXT], durable=durable)
        self._entries.append(entry)
        if entry.durable:
            yield Remember(TABLE, str(entry.number), _encode(entry))
        if len(self._entries) > MAX_ENTRIES:
            oldest = self._entries.popleft()
            if oldest.durable:
                yield Forget(TABLE, str(oldest.number))

    def _is_due(self, key: tuple[str, int, str], mono: float) -> bool:
        due = mono >= self._quiet.get(key, mono)
        if due:
            self._quiet.pop(key, None)
            self._quiet[key] = mono + QUIET_S
            if len(self._quiet) > MAX_QUIET:
                del self._quiet[next(iter(self._quiet))]
        return due

    def on_clock(self, _e: ClockSet, now: Instant) -> Out:
        self._entries = deque(_retimed(entry, now) for entry in self._entries)
        return iter(())

    HEARS: ClassVar = {
        Restored: "on_restored",
        Logged: "on_logged",
        FaultRaised: "on_fault",
        FaultCleared: "on_fault",
        LinkUp: "on_link",
        LinkDown: "on_link",
        Registered: "on_registered",
        ClockSet: "on_clock",
    }


def retimed(at: Instant, now: Instant) -> Instant:
    """The true time of what happened before anybody had told it."""
    if at.quality is ClockQuality.SYNCED or at.boot != now.boot:
        return at
    return Instant(at.mono, now.utc - (now.mono - at.mono), now.quality, now.boot)


def _retimed(entry: LogEntry, now: Instant) -> LogEntry:
    return replace(entry, at=retimed(entry.at, now))


def _encode(entry: LogEntry) -> list[Any]:
    at = entry.at
    return [[at.mono, at.utc, int(at.quality), at.boot], entry.kind, entry.text, entry.evse, entry.by, entry.why]


def _decode(key: str, value: Any) -> LogEntry:
    at, kind, words, evse, by, why = value
    return LogEntry(whole(int(key)), instant(at), text(kind), text(words), whole(evse), text(by), text(why))
