"""The last transactions that have ended, for whoever stands before the charger: where, whose, how much, why it ended,
and when the CSMS was told. Bills are made from the journal, not from this.

A row is stored by the commit that ends the transaction, and once more by the one that delivers its end. Of a card four
characters are kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from agent.blocks.kept import Kept, instant, maybe, text, whole
from agent.blocks.logbook import retimed
from agent.blocks.station import Block, Out
from agent.core.effects import Effect, Forget, Remember
from agent.core.events import Restored, TransactionAnswered, TransactionEnded
from agent.core.record import record, replace
from agent.core.security import ClockSet
from agent.core.types import Instant, TransactionEvent, TxKind
from drivers.api import IdToken, shorten

TABLE = "history"
MAX_ROWS = 200


@record
class Past:
    """A transaction that has ended. `card`: its last characters; `told`: when the CSMS took the end."""

    transaction: str
    number: int  # in the order of their ends
    evse: int
    card: str
    started: Instant | None
    ended: Instant
    started_wh: int
    energy_wh: int
    reason: str
    csms_id: str | None = None
    told: Instant | None = None


class History(Block):
    def __init__(self) -> None:
        self._rows: dict[str, Past] = {}
        self._number = 0

    def rows(self) -> list[Past]:
        """The oldest end first."""
        return list(self._rows.values())

    def on_restored(self, e: Restored, _now: Instant) -> Out:
        kept = Kept(e, TABLE)
        rows = sorted(kept.rows(_decode).values(), key=lambda row: row.number)
        self._rows = {row.transaction: row for row in rows}
        self._number = max((row.number for row in rows), default=0)
        yield from kept.forget()
        yield from self._make_room()

    def on_ended(self, e: TransactionEnded, _now: Instant) -> Out:
        if e.ended is not None:
            yield from self._add(e.ended, e.token, e.csms_id)

    def on_answered(self, e: TransactionAnswered, now: Instant) -> Out:
        row = self._rows.get(e.event.transaction)
        if e.event.kind is TxKind.ENDED:
            if row is None and self._has_let_go(e.event):
                return
            if row is None:  # it was ended without us: its EVSE is gone, or the store had to end it
                yield from self._add(e.event, None, e.csms_id)
            row = self._rows[e.event.transaction]
            yield self._put(replace(row, told=now, csms_id=e.csms_id or row.csms_id))
        elif row is not None and e.csms_id is not None:
            yield self._put(replace(row, csms_id=e.csms_id))

    def _has_let_go(self, ended: TransactionEvent) -> bool:
        """It is older than all that there is room for."""
        return len(self._rows) >= MAX_ROWS and ended.at.utc < next(iter(self._rows.values())).ended.utc

    def _add(self, ended: TransactionEvent, token: IdToken | None, csms_id: str | None) -> Iterator[Effect]:
        self._number += 1
        yield self._put(
            Past(
                ended.transaction,
                self._number,
                ended.evse,
                shorten(token.value) if token else "",
                ended.started_at,
                ended.at,
                ended.started_wh,
                ended.energy_wh,
                str(ended.stop_reason or ""),
                csms_id,
            )
        )
        yield from self._make_room()

    def _put(self, row: Past) -> Remember:
        self._rows[row.transaction] = row
        return Remember(TABLE, row.transaction, _encode(row))

    def _make_room(self) -> Iterator[Effect]:
        while len(self._rows) > MAX_ROWS:
            oldest = next(iter(self._rows))
            del self._rows[oldest]
            yield Forget(TABLE, oldest)

    def on_clock(self, _e: ClockSet, now: Instant) -> Out:
        """In memory; the store corrects what it holds by itself."""
        for row in self.rows():
            started = retimed(row.started, now) if row.started else None
            told = retimed(row.told, now) if row.told else None
            self._rows[row.transaction] = replace(row, started=started, ended=retimed(row.ended, now), told=told)
        return iter(())

    HEARS: ClassVar = {
        Restored: "on_restored",
        TransactionEnded: "on_ended",
        TransactionAnswered: "on_answered",
        ClockSet: "on_clock",
    }


def _instant(at: Instant | None) -> list[Any] | None:
    return [at.mono, at.utc, int(at.quality), at.boot] if at else None


def _encode(row: Past) -> list[Any]:
    times = [_instant(row.started), _instant(row.ended), _instant(row.told)]
    return [row.number, row.evse, row.card, *times, row.started_wh, row.energy_wh, row.reason, row.csms_id]


def _decode(key: str, value: Any) -> Past:
    number, evse, card, started, ended, told, started_wh, energy_wh, reason, csms_id = value
    return Past(
        key,
        whole(number),
        whole(evse),
        text(card),
        maybe(instant, started),
        instant(ended),
        whole(started_wh),
        whole(energy_wh),
        text(reason),
        maybe(text, csms_id),
        maybe(instant, told),
    )
