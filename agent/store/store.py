"""The store: everything that must outlive the process, in one file, one commit a step.

Rules kept here
* All durable effects of a step go into one commit (`commit`, `answered`); when it fails nothing has changed, on disk or
  in memory, and the same call may be made again.
* A journal row leaves only because the CSMS has answered it (`answered`, which stores the CSMS's transaction id by the
  same commit), because it was set aside (`dead_letter`), or, samples only, because the journal is at its bound.
* Samples that the CSMS has taken leave together (`take`), by the commit that comes next for whatever reason, or by
  one of their own when they are `MAX_TAKEN` or seconds old: half the commits while samples are told as they are taken,
  a thirtieth while a backlog is. A power cut in between repeats those samples, the same messages with the same ids;
  never a start or an end, which go by a commit of their own.
* `head`, `counts`, `salt`, `fault` are answered from memory and may be asked from any thread at any time;
  `sent` and `take` are called while no other call is under way; every other method may wait for the disk and is called
  from one thread at a time.
* An idle store writes nothing. How often a row was tried is not its business: a retry costs no write.

Choices: row ids are reserved by the thousand instead of AUTOINCREMENT, which would dirty a second page a sample. A
transaction's own row is written when it begins, ends, is named by the CSMS, or has no row waiting any more; what its
waiting rows tell is not told twice. Late knowledge of the time is one row (`retime`), applied as rows are read.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from agent.core.effects import Effect, Record
from agent.core.events import OpenTransaction, Restored
from agent.core.record import record, replace
from agent.core.types import ClockQuality, TransactionEvent, TxKind
from agent.store import changes
from agent.store import ledger as facts
from agent.store.changes import OPEN, Committed, Limits
from agent.store.codec import Unreadable, retimed, retimed_json
from agent.store.database import Database
from agent.store.faults import StoreFault
from agent.store.journal import Counts, DeadLetter, Raw, Row, Window, read_body
from agent.store.ledger import Draft
from agent.store.opening import copy_files, explain, in_memory, open_file
from agent.store.thinning import Role, role_of

LOST_SEQ = 100_000  # where an open transaction goes on whose sequence numbers were lost in damage: a gap, no repeat
CHECK_EVERY = 32  # journal rows between two looks at the size of the file
MAX_CLOCKS = 64
MAX_TAKEN = 32

T = TypeVar("T")


@record
class Opened:
    """`fault`: the file cannot be used, the store lives in memory. `lost`: what damage has cost, in words; the damaged
    file is kept as `set_aside`. `power_lost`: the board was without power since the last start."""

    starts: int
    salt: str
    power_lost: bool = False
    fault: StoreFault | None = None
    lost: tuple[str, ...] = ()
    set_aside: str = ""


class Store:
    """`path` may be ":memory:". `fast`: no fsync, for simulations that cut no real power."""

    def __init__(self, path: str | os.PathLike[str], limits: Limits | None = None, *, fast: bool = False) -> None:
        self.path = os.fspath(path)
        self.limits = limits or Limits()
        self.fault: StoreFault | None = None  # why nothing is durable, while the store lives in memory
        self._fast = fast
        self._db: Database
        self._window: Window
        self._ledger = facts.Ledger()
        self._marks: dict[str, str] = {}
        self._clocks: dict[str, tuple[float, ClockQuality]] = {}
        self._head: Row | None = None
        self._next: Row | None = None  # the row after the head, read in good time
        self._newest: tuple[int, TransactionEvent] | None = None  # most often told at once: it need not be read again
        self._taken: list[int] = []  # samples that the CSMS has; they go from the file with the next commit
        self._counts = Counts()
        self._pinned = 0
        self._unchecked = 0
        self._power_lost = False
        self._faithful = True  # the copy in memory holds all that the file holds

    # --- opening and closing ----------------------------------------------------------------------------------------

    def open(self, boot: str = "") -> Opened:
        """Never fails but with kind "busy": what cannot be used is reported, and the store is there all the same.
        `boot` names the power-up of the board."""
        try:
            return self._open_file(boot)
        except StoreFault as fault:
            self._close_quietly()
            if fault.kind == "busy":
                raise explain(self.path, fault) from fault
            self.fault = explain(self.path, fault)
            self._db, self._faithful = in_memory(self.path, self.limits.hard_bytes)
            return self._begin(boot, [], "")

    def _open_file(self, boot: str) -> Opened:
        hard = self.limits.hard_bytes
        self._db, lost, set_aside = open_file(self.path, hard, fast=self._fast)
        try:
            return self._begin(boot, lost, set_aside)
        except StoreFault as fault:
            if fault.kind != "corrupt" or lost:
                raise
            self._close_quietly()
            self._db, lost, set_aside = open_file(self.path, hard, fast=self._fast, distrust=fault.why)
            return self._begin(boot, lost, set_aside)

    def _begin(self, boot: str, lost: list[str], set_aside: str) -> Opened:
        self._load()
        self._power_lost = self._marks.get("boot", boot) != boot
        starts = facts.whole(self._marks.get("starts", "0")) + 1
        marks = {"boot": boot, "starts": str(starts)}
        if not self.salt or lost:  # counters may be lost with the rest: no transaction id may come up a second time
            marks["salt"] = os.urandom(6).hex()
        self._set_marks(marks)
        lost = lost + self._change(changes.drop_unreadable)
        if lost:
            lost = lost + self._change(changes.close_orphans)
        self._publish()
        return Opened(starts, self.salt, self._power_lost, self.fault, tuple(lost), set_aside)

    def _load(self) -> None:
        self._ledger = facts.load(self._db)
        self._marks = dict(self._db.rows("SELECT name, value FROM marks"))
        clocks = self._db.rows("SELECT boot, offset_s, quality FROM clocks")
        self._clocks = {boot: (offset_s, ClockQuality(quality)) for boot, offset_s, quality in clocks}
        self._window = Window(self._db)

    def recover(self) -> bool:
        """While in memory: try to bring everything to the file. True: all is durable (again)."""
        if self.fault is None:
            return True
        if not self._faithful:
            return False  # the file may hold what this memory does not: only a new start can tell
        try:
            file, _, _ = open_file(self.path, self.limits.hard_bytes, fast=self._fast)
        except StoreFault:
            return False
        try:
            self.settle()
            self._db.backup(file)
        except StoreFault:
            file.close()
            return False
        self._db.close()
        self._db, self.fault = file, None
        self._window = Window(file)
        return True

    def close(self) -> None:
        """In order; what was committed is safe without it."""
        with suppress(StoreFault):  # what the CSMS has taken is told to it a second time, no more
            self.settle()
        self._db.close()

    def _close_quietly(self) -> None:
        try:
            self._db.close()
        except (AttributeError, StoreFault):
            return  # not open, or the reason is known already

    def clone(self, path: str | os.PathLike[str]) -> None:
        """What a power cut would leave: the file and its WAL as they are now, under another name."""
        copy_files(self.path, os.fspath(path))

    # --- what is remembered -----------------------------------------------------------------------------------------

    def restore(self) -> Restored:
        """The first event of a process."""
        tables: dict[str, dict[str, Any]] = {}
        for table, key, value in self._db.rows("SELECT tbl, key, value FROM kept ORDER BY tbl, key"):
            tables.setdefault(json.loads(table), {})[json.loads(key)] = retimed_json(json.loads(value), self._clocks)
        known = [tx for tx in self._ledger.txs.values() if not tx.ended]
        snapshots = tables.get(OPEN, {})
        lost = [facts.Tx(tx, next_seq=LOST_SEQ) for tx in snapshots if tx not in self._ledger.txs]
        return Restored(
            tables,
            tuple(
                OpenTransaction(
                    tx.id, tx.next_seq, snapshots.get(tx.id, {}), tx.csms_id, tx.energy_wh if tx.next_seq else None
                )
                for tx in [*known, *lost]
            ),
            self._power_lost,
        )

    @property
    def salt(self) -> str:
        """Made once a file, at random: tells its transaction ids from those of any other station or file."""
        return self._marks.get("salt", "")

    def _set_marks(self, marks: dict[str, str]) -> None:
        self._change(lambda _: self._db.run_many("INSERT OR REPLACE INTO marks VALUES(?,?)", marks.items()))
        self._marks |= marks

    # --- the journal's reading side: from memory --------------------------------------------------------------------

    def head(self) -> Row | None:
        """The oldest row that the CSMS has not answered."""
        return self._head

    def counts(self) -> Counts:
        return self._counts

    def begun_in(self) -> str:
        """The dialect that told the start of a transaction of which there is more to tell; "" when there is none. (What
        is asked beside a commit sees a copy.)"""
        txs = tuple(self._ledger.txs.values())
        return next((tx.via for tx in txs if tx.via and (tx.rows or not tx.ended)), "")

    def sent(self, row_id: int) -> None:
        """The head has left: whatever is learnt about the time, a repeat will say the same. Until its answer comes
        there is time to read the row after it."""
        self._pinned = row_id
        raw = self._window.second()
        if raw is not None and (self._next is None or self._next.id != raw[0]):
            with suppress(Unreadable):
                self._next = self._row(raw)

    # --- one commit -------------------------------------------------------------------------------------------------

    def commit(self, effects: Sequence[Effect]) -> Committed:
        """`Record`, `Remember` and `Forget`, all or (`StoreFault`) nothing."""
        return self._commit(effects)

    def answered(
        self, row_id: int, csms_id: str | None = None, via: str = "", effects: Sequence[Effect] = ()
    ) -> Committed:
        """The CSMS has taken this row: it goes, `csms_id` is bound to its transaction, and all that follows from the
        answer is stored, in one commit. `via`: the dialect that told the row; kept of a start."""
        return self._commit(effects, lambda draft: changes.deliver(draft, row_id, csms_id, via))

    def take(self, row_id: int) -> bool:
        """The CSMS has taken this sample, and said nothing: the next row is the head at once, and this one goes with
        the next commit, whatever it is for. False: no such row, or enough of them; it is to be `answered`."""
        head = self._head
        if head is None or head.id != row_id or len(self._taken) >= MAX_TAKEN:
            return False
        if role_of(head.event) != Role.SAMPLE or not self._window.pass_first():
            return False
        self._taken.append(row_id)
        self._publish()
        return True

    def settle(self) -> None:
        """Commit what `take` has left."""
        if self._taken:
            self._change(lambda _: None)

    def dead_letter(self, row_id: int, why: str) -> Committed:
        """Set a row aside that the CSMS does not take; the rest of its transaction is still told."""
        return self._commit((), lambda draft: changes.bury(draft, row_id, why, self.limits.dead_letters))

    def retry_dead_letters(self) -> int:
        """Put every dead letter back where it was in the journal. How many there were."""
        count = self._change(changes.unbury)
        self._publish()
        return count

    def retime(self, boot: str, offset_s: float, quality: ClockQuality = ClockQuality.SYNCED) -> None:
        """What was recorded in this power-up under a lower clock quality happened at `mono + offset_s`. The first
        offset of a quality stays, so that a row never tells two times."""
        if boot in self._clocks and self._clocks[boot][1] >= quality:
            return
        clocks = {**self._clocks, boot: (offset_s, quality)}
        while len(clocks) > MAX_CLOCKS:
            del clocks[next(iter(clocks))]
        self._change(lambda _: self._store_clocks(clocks))
        self._clocks = clocks
        self._next = None
        if self._head is not None and self._head.id != self._pinned:
            self._head = replace(self._head, event=retimed(self._head.event, clocks))
        self._count()

    def page(self, after: int, limit: int) -> list[Row]:
        """Rows that wait, in order, from behind this id on; those whose text is damaged are left out."""
        query = "SELECT id, tx, check_sum, body FROM journal WHERE id>? ORDER BY id LIMIT ?"
        found = []
        for raw in self._db.rows(query, (after, limit + len(self._taken))):
            with suppress(Unreadable):
                if raw[0] not in self._taken:
                    found.append(self._row(raw))
        return found[:limit]

    def waiting(self) -> dict[str, int]:
        """How many rows wait of each transaction that has any."""
        return {tx.id: tx.rows for tx in self._ledger.txs.values() if tx.rows}

    def dead_letters(self) -> tuple[DeadLetter, ...]:
        found = []
        for row_id, tx, seq, sum_, body, why in self._db.rows(
            "SELECT id, tx, seq, check_sum, body, why FROM dead ORDER BY id"
        ):
            try:
                event = retimed(read_body(body, sum_), self._clocks)
            except Unreadable:
                event = None
            found.append(DeadLetter(row_id, tx, seq, why, event))
        return tuple(found)

    # --- how a commit is made ---------------------------------------------------------------------------------------

    def _commit(self, effects: Sequence[Effect], first: Callable[[Draft], Committed | None] | None = None) -> Committed:
        def work(draft: Draft) -> Committed:
            done = first(draft) if first else None
            changes.apply(draft, effects)
            if self._unchecked + len(draft.added) >= CHECK_EVERY:
                done = changes.keep_bounds(draft, self.limits, self._head.id if self._head else 0)
            return done or Committed()

        before = self._ledger.next_id
        vital = first is not None or any(isinstance(e, Record) and e.event.kind is TxKind.ENDED for e in effects)
        done = self._change_at_all_cost(work) if vital else self._change(work)
        self._unchecked = (self._unchecked + self._ledger.next_id - before) % CHECK_EVERY
        self._publish()
        return done

    def _change_at_all_cost(self, work: Callable[[Draft], T]) -> T:
        """Worth the reserve: it makes room, or ends a bill."""
        try:
            return self._change(work)
        except StoreFault as fault:
            if fault.kind != "full" or not self._db.make_room():
                raise
            return self._change(work)

    def _change(self, work: Callable[[Draft], T]) -> T:
        draft = Draft(self._ledger, self._db)

        def whole() -> T:
            if self._taken:
                changes.settle(draft, self._taken)
            result = work(draft)
            draft.write()
            return result

        result = self._db.transact(whole)
        self._ledger = draft.settle()
        self._window.follow(draft)
        self._newest = draft.newest
        self._taken.clear()
        return result

    def _publish(self) -> None:
        """Make the head known. The commit stands already: a page that cannot be read now is asked for again later."""
        try:
            self._head = self._read_head()
        except StoreFault:
            self._head = None
        self._count()

    def _read_head(self) -> Row | None:
        while (raw := self._window.first()) is not None:
            row_id, tx = raw[0], self._ledger.txs[raw[1]]
            for known in (self._head, self._next):
                if known is not None and (known.id, known.csms_id, known.via) == (row_id, tx.wire_id, tx.via):
                    return known
            try:
                return self._row(raw)
            except Unreadable as error:
                why = f"damaged on disk: {error}"
                self._change(lambda draft, i=row_id, w=why: changes.bury(draft, i, w, self.limits.dead_letters))  # type: ignore[misc]
        return None

    def _row(self, raw: Raw) -> Row:
        row_id, tx_id, sum_, body = raw
        tx, newest = self._ledger.txs[tx_id], self._newest
        event = newest[1] if newest is not None and newest[0] == row_id else read_body(body, sum_)
        return Row(row_id, retimed(event, self._clocks), tx.wire_id, tx.via)

    def _count(self) -> None:
        ledger, head = self._ledger, self._head
        rows = ledger.rows - len(self._taken)
        self._counts = Counts(rows, ledger.bytes, ledger.dead, len(ledger.txs), head.event.at if head else None)

    def _store_clocks(self, clocks: dict[str, tuple[float, ClockQuality]]) -> None:
        self._db.run("DELETE FROM clocks")
        rows = [(boot, offset_s, int(quality)) for boot, (offset_s, quality) in clocks.items()]
        self._db.run_many("INSERT INTO clocks VALUES(?,?,?)", rows)
