"""Durable: one commit a step, and what happens when the disk refuses it.

What cannot be committed is held in memory, in order and bounded, and goes first into the next commit that succeeds.
While something is held nothing is delivered to the CSMS (its answer could not be stored), no power is switched on,
and the station has heard `StorageFailed`. Beyond the bound samples thin out; a start or an end is never dropped.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from agent.core.effects import Effect, Forget, Record, Remember
from agent.core.events import (
    Event,
    SamplesThinned,
    StorageFailed,
    StorageRecovered,
)
from agent.core.faults import STORAGE
from agent.core.technician import Told
from agent.core.types import TxKind
from agent.errors import StoreError
from agent.ocpp.outbox import Waiting
from agent.store.changes import Committed

MAX_BACKLOG = 5000
RETRY_S = 5.0
SETTLE_S = 5.0  # samples that the CSMS has taken are gone from the disk at the latest after so long
Work = Callable[[Callable[[], Any]], Awaitable[Any]]


class StorePort(Protocol):
    """What is needed of `agent.store`; called from one thread at a time, but for `head`, `take` and `sent`."""

    def commit(self, effects: Sequence[Effect]) -> Committed: ...
    def head(self) -> Waiting | None: ...
    def sent(self, row_id: int) -> None: ...
    def answered(self, row_id: int, csms_id: str | None, via: str, effects: Sequence[Effect]) -> Committed: ...
    def take(self, row_id: int) -> bool: ...
    def settle(self) -> None: ...
    def dead_letter(self, row_id: int, why: str) -> Committed: ...
    def dead_letters(self) -> Sequence[Any]: ...
    def retry_dead_letters(self) -> int: ...
    def retime(self, boot: str, offset_s: float) -> object: ...


class LogPort(Protocol):
    def debug(self, event: str, message: str = ..., /, **fields: object) -> None: ...
    def info(self, event: str, message: str = ..., /, **fields: object) -> None: ...
    def warning(self, event: str, message: str = ..., /, **fields: object) -> None: ...
    def error(self, event: str, message: str = ..., /, **fields: object) -> None: ...


class Durable:
    """`work` runs a store call where it may block. Every method returns the events that follow from it."""

    def __init__(self, store: StorePort, work: Work, log: LogPort) -> None:
        self._store, self._work, self._log = store, work, log
        self._backlog: list[Effect] = []
        self.trouble = ""  # why nothing can be stored just now; "" when all is on disk
        self.retry_at = float("inf")
        self._settle_at = float("inf")
        self.dead_letters: Sequence[Any] = ()

    async def commit(self, effects: Sequence[Effect], mono: float) -> list[Event]:
        return await self._whole(effects, mono, self._store.commit)

    async def delivered(
        self, row_id: int, csms_id: str | None, via: str, effects: Sequence[Effect], mono: float
    ) -> list[Event]:
        """The CSMS has taken a row: it goes, by the commit that stores what follows from the answer. A sample, from
        which nothing follows, goes with the next commit."""
        if not effects and csms_id is None and not self.trouble and self._store.take(row_id):
            self._settle_at = min(self._settle_at, mono + SETTLE_S)
            return []
        return await self._whole(effects, mono, lambda whole: self._store.answered(row_id, csms_id, via, whole))

    async def _whole(
        self, effects: Sequence[Effect], mono: float, commit: Callable[[Sequence[Effect]], Committed]
    ) -> list[Event]:
        whole = [*self._backlog, *effects]
        self._settle_at = float("inf")
        try:
            done: Committed = await self._work(lambda: commit(whole))
        except StoreError as error:
            return self._failed(effects, str(error), mono)
        return [*self._told(done), *self._recovered()]

    def _failed(self, effects: Sequence[Effect], why: str, mono: float) -> list[Event]:
        if not self.trouble:
            self._log.error("StorageFailed", f"nothing can be stored: {why}", fault=STORAGE)
        self.trouble = why
        self.retry_at = mono + RETRY_S
        self._hold(effects)
        return [StorageFailed(why)]

    def _hold(self, effects: Sequence[Effect]) -> None:
        self._backlog.extend(effects)
        if len(self._backlog) > MAX_BACKLOG:
            self._backlog = _newest(self._backlog)
        if len(self._backlog) > MAX_BACKLOG:
            dropped = _middle_samples(self._backlog)
            self._backlog = [e for e in self._backlog if id(e) not in dropped]
            text = f"{len(dropped)} meter samples were dropped while the disk refuses"
            self._log.error("SamplesThinned", text, count=len(dropped))

    def _recovered(self) -> list[Event]:
        if not self.trouble:
            return []
        self.trouble = ""
        self.retry_at = float("inf")
        self._backlog.clear()
        self._log.info("StorageRecovered", "what was held in memory is stored")
        return [StorageRecovered()]

    @property
    def due_at(self) -> float:
        """When `catch_up` has something to do."""
        return min(self.retry_at, self._settle_at)

    async def catch_up(self, mono: float) -> list[Event]:
        """Try what is held once more, and let go what was taken, when it is time."""
        return await self.commit((), mono) if mono >= self.due_at else []

    async def set_aside(self, row: Waiting, why: str, mono: float) -> list[Event]:
        """The CSMS does not take this row: keep it as a dead letter."""
        event = row.event
        text = f"the CSMS does not take {event.message_id}: {why}; it is kept aside"
        self._log.error("DeadLetter", text, tx=event.transaction, seq=event.seq)
        try:
            done = await self._work(lambda: self._store.dead_letter(row.id, why))
            await self.look_at_dead_letters()
        except StoreError as error:
            return self._failed((), f"it could not be set aside: {error}", mono)
        return self._told(done)

    async def look_at_dead_letters(self) -> None:
        """Refresh what is shown of them."""
        self.dead_letters = await self._work(self._store.dead_letters)

    async def requeue(self) -> Told:
        """What was given up goes back to where it was in the journal."""
        try:
            count = await self._work(self._store.retry_dead_letters)
            await self.look_at_dead_letters()
        except StoreError as error:
            return Told(False, f"nothing can be stored: {error}")
        if not count:
            return Told(True, "nothing was given up")
        return Told(True, f"{count} {'message goes' if count == 1 else 'messages go'} to the central system once more")

    async def retime(self, boot: str, offset_s: float) -> bool:
        """Rows written before the time was known get their true times. False: not now, the disk refuses."""
        try:
            await self._work(lambda: self._store.retime(boot, offset_s))
        except StoreError as error:
            self._log.warning("StorageFailed", f"stored times could not be corrected: {error}", fault=STORAGE)
            return False
        return True

    def _told(self, done: Committed) -> list[Event]:
        """What a commit had to do beyond its orders."""
        for message_id in done.dropped_dead_letters:
            self._log.error("DeadLetterDropped", f"{message_id} had to make room for newer dead letters")
        if not done.thinned:
            return []
        of = ", ".join(done.transactions)
        self._log.error("SamplesThinned", f"the store is at its bound: {done.thinned} samples of {of} were dropped")
        return [SamplesThinned(done.thinned)]


def _newest(backlog: Sequence[Effect]) -> list[Effect]:
    """Without what a later order for the same key makes void."""
    later: set[tuple[str, str | None]] = set()
    kept: list[Effect] = []
    for effect in reversed(backlog):
        if isinstance(effect, (Remember, Forget)):
            if {(effect.table, effect.key), (effect.table, None)} & later:
                continue
            later.add((effect.table, effect.key))
        kept.append(effect)
    return kept[::-1]


def _middle_samples(backlog: Sequence[Effect]) -> set[int]:
    """Every other sample of each transaction, never its first or last (by `id`)."""
    samples: dict[str, list[Effect]] = {}
    for effect in backlog:
        if isinstance(effect, Record) and effect.event.kind is TxKind.UPDATED:
            samples.setdefault(effect.event.transaction, []).append(effect)
    return {id(effect) for found in samples.values() for effect in found[1:-1:2]}
