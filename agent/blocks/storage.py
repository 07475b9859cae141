"""Storage: what the station makes of a store that is full, read-only or at its bound.

A charge that runs goes on (its events are held in memory and stored later), a new one waits until everything is on
disk. The fault shows on every EVSE, so that the CSMS hears of it; it stops nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from agent.blocks.station import Block, Facts, Out
from agent.core.events import (
    Event,
    FaultCleared,
    FaultRaised,
    QueueEmptied,
    SamplesThinned,
    StorageFailed,
    StorageRecovered,
)
from agent.core.faults import STORAGE
from agent.core.types import Instant


class Storage(Block):
    def __init__(self, facts: Facts) -> None:
        self._facts = facts

    def on_failed(self, e: StorageFailed, _now: Instant) -> Out:
        self._facts.storing = False
        yield from self._raise(e.why)

    def on_thinned(self, e: SamplesThinned, _now: Instant) -> Out:
        yield from self._raise(f"{e.count} middle samples were dropped")

    def on_recovered(self, _e: StorageRecovered, _now: Instant) -> Out:
        self._facts.storing = True
        yield from self._clear()

    def on_emptied(self, _e: QueueEmptied, _now: Instant) -> Out:
        if self._facts.storing:
            yield from self._clear()

    def _raise(self, why: str) -> Iterator[Event]:
        for evse in self._facts.evses.values():
            if STORAGE not in evse.faults:
                yield FaultRaised(evse.id, STORAGE, why)

    def _clear(self) -> Iterator[Event]:
        for evse in self._facts.evses.values():
            if STORAGE in evse.faults:
                yield FaultCleared(evse.id, STORAGE)

    HEARS: ClassVar = {
        StorageFailed: "on_failed",
        StorageRecovered: "on_recovered",
        SamplesThinned: "on_thinned",
        QueueEmptied: "on_emptied",
    }
