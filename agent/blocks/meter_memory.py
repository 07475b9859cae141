"""What is remembered of the meters: the register of an open transaction from time to time, and each meter's number.

Rules kept here
* While a transaction is open its register is stored with the time of its reading at least every `MOST_APART_S`, within
  a commit that a sample needs anyway where samples are told; so a restart knows what may be billed since, and how long
  that was. The snapshot of the transaction carries it.
* The number of a meter (its serial number, where the driver can tell) is remembered for each EVSE. Another number is
  another meter, whatever its register says: an open transaction ends with the last value of the old one. It does not
  go on with the new register, for a bill over two meters could be checked against neither.
* An exchange is told as a warning of the fault catalogue.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from agent.blocks import snapshot
from agent.blocks.kept import Kept, text
from agent.blocks.station import Block, Facts, Out
from agent.core.effects import Effect, Forget, Note, Remember
from agent.core.events import DeviceLost, Event, MeterNamed, MeterRead, MeterReplaced, Restored, SampleTaken
from agent.core.evse import Evse
from agent.core.faults import Own
from agent.core.supervision import FaultSeen
from agent.core.types import Instant

TABLE, SOURCE = "meters", "replaced"
STORE_S, MOST_APART_S = 240.0, 300.0  # with a sample after the first, without one after the second


class MeterMemory(Block):
    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._numbers: dict[int, str] = {}
        self._named: set[int] = set()  # EVSEs whose meter has told its number, and it is the one remembered
        self._stored: dict[int, tuple[str, float]] = {}  # the transaction, and when its register was stored

    def knows(self, evse: int) -> bool:
        return evse in self._named

    # --- registers ----------------------------------------------------------------------------------------------

    def on_read(self, e: MeterRead, now: Instant) -> Out:
        yield from self._store(self._facts.evses[e.evse], now, MOST_APART_S)

    def on_sample(self, e: SampleTaken, now: Instant) -> Out:
        yield from self._store(self._facts.evses[e.evse], now, STORE_S)

    def _store(self, evse: Evse, now: Instant, after_s: float) -> Iterator[Effect]:
        tx = evse.tx
        if tx is None or tx.restored:
            return
        known, at = self._stored.get(evse.id, ("", 0.0))
        if known != tx.id:  # its beginning stored it
            self._stored[evse.id] = tx.id, tx.started_at.mono if tx.started_at.boot == now.boot else -MOST_APART_S
        elif now.mono - at >= after_s:
            self._stored[evse.id] = tx.id, now.mono
            yield Remember(snapshot.OPEN, tx.id, snapshot.encode(evse.id, tx))

    # --- numbers ------------------------------------------------------------------------------------------------

    def on_named(self, e: MeterNamed, _now: Instant) -> Out:
        before = self._numbers.get(e.evse)
        self._named.add(e.evse)
        if before == e.number:
            return
        self._numbers[e.evse] = e.number
        yield Remember(TABLE, str(e.evse), e.number)
        if before is not None:
            why = f"its number is {e.number}, it was {before}"
            yield Note(
                "warning",
                "MeterReplaced",
                f"EVSE {e.evse}: another meter: {why}",
                (("EVSE", e.evse), ("FAULT", str(Own.METER_REPLACED))),
            )
            yield MeterReplaced(e.evse, why, e.number)

    def on_replaced(self, e: MeterReplaced, _now: Instant) -> Iterator[Event | Effect]:
        if not e.why:
            return
        if not e.number and self._numbers.pop(e.evse, None) is not None:
            self._named.discard(e.evse)
            yield Forget(TABLE, str(e.evse))  # its register told so; the number that it tells next is no news
        yield FaultSeen(e.evse, Own.METER_REPLACED, SOURCE, e.why)
        yield FaultSeen(e.evse, Own.METER_REPLACED, SOURCE, None)  # it stands for as long as the catalogue says

    def on_lost(self, e: DeviceLost, _now: Instant) -> Out:
        if e.device == "meter":
            self._named.discard(e.evse)
        return iter(())

    def on_restored(self, e: Restored, _now: Instant) -> Out:
        kept = Kept(e, TABLE)
        found = kept.rows(lambda key, value: (int(key), text(value)))
        self._numbers = dict(found.values())
        yield from kept.forget()

    HEARS: ClassVar = {
        Restored: "on_restored",
        MeterRead: "on_read",
        SampleTaken: "on_sample",
        MeterNamed: "on_named",
        MeterReplaced: "on_replaced",
        DeviceLost: "on_lost",
    }
