"""What a commit can do to the file, one function each; all run within the commit's transaction, on its `Draft`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from agent.core.effects import Effect, Forget, Record, Remember
from agent.core.record import record, replace
from agent.core.types import ChargingState, StopReason, TransactionEvent, Trigger, TxKind
from agent.store.codec import Unreadable, encode_event
from agent.store.journal import check_sum, read_body
from agent.store.ledger import Draft
from agent.store.thinning import Role, choose, role_of

OPEN = "open"  # the table of the blocks' snapshots of open transactions
REWRITE_ROWS = 256
THIN_PART = 64  # thinning frees this part of the bound at a time

_COLUMNS = "id, tx, seq, role, energy_wh, check_sum, body"
dumps = json.JSONEncoder(separators=(",", ":")).encode


@record
class Limits:
    """`soft_bytes`: content past which samples thin out; `hard_bytes`: what the file may never exceed. With the WAL
    (2 MB, for a moment up to 6) and the reserve (2 MB) all is within 64 MiB."""

    soft_bytes: int = 53 << 20
    hard_bytes: int = 56 << 20
    rows: int = 200_000
    dead_letters: int = 1000


@record
class Committed:
    """What a commit did beyond what it was told: samples thinned out and of which transactions, and the message ids of
    dead letters that had to make room for newer ones."""

    thinned: int = 0
    transactions: tuple[str, ...] = ()
    dropped_dead_letters: tuple[str, ...] = ()


# --- effects ------------------------------------------------------------------------------------------------


def apply(draft: Draft, effects: Sequence[Effect]) -> None:
    for effect in effects:
        if isinstance(effect, Record):
            append(draft, effect.event)
        elif isinstance(effect, Remember):
            _remember(draft, effect)
        else:
            assert isinstance(effect, Forget), effect
            _forget(draft, effect)


def append(draft: Draft, event: TransactionEvent) -> None:
    body = encode_event(event)
    row_id, role, sum_ = draft.give_id(), role_of(event), check_sum(body)
    draft.db.run(
        "INSERT INTO journal VALUES(?,?,?,?,?,?,?)",
        (row_id, event.transaction, event.seq, int(role), event.energy_wh, sum_, body),
    )
    draft.row_added(event.transaction, event.seq, role, event.energy_wh, len(body))
    draft.added.append((row_id, event.transaction, sum_, body))
    draft.newest = row_id, event


def _remember(draft: Draft, effect: Remember) -> None:
    """A value that is there already costs no write."""
    value = dumps(effect.value)
    draft.db.run(
        "INSERT INTO kept VALUES(?,?,?,?) ON CONFLICT(tbl, key) DO UPDATE SET value=excluded.value, "
        "check_sum=excluded.check_sum WHERE value IS NOT excluded.value",
        (dumps(effect.table), dumps(effect.key), value, check_sum(value)),
    )


def _forget(draft: Draft, effect: Forget) -> None:
    if effect.key is None:
        draft.db.run("DELETE FROM kept WHERE tbl=?", (dumps(effect.table),))
    else:
        draft.db.run("DELETE FROM kept WHERE tbl=? AND key=?", (dumps(effect.table), dumps(effect.key)))


# --- rows leave the journal -----------------------------------------------------------------------------------


def deliver(draft: Draft, row_id: int, csms_id: str | None, via: str) -> None:
    """The CSMS has taken a row. One that is gone already stays gone."""
    gone = _take_out(draft, row_id)
    if gone is None:
        return
    tx_id, role, size = gone
    tx = draft.row_gone(tx_id, role, size)
    if role == Role.START:
        draft.change(replace(tx, csms_id=csms_id or tx.csms_id, via=via or tx.via), store=True)


def settle(draft: Draft, taken: Sequence[int]) -> None:
    """Samples that the CSMS has taken before go from the file, all at once."""
    marks = ",".join("?" * len(taken))
    gone = draft.db.run(f"DELETE FROM journal WHERE id IN ({marks}) RETURNING id, tx, role, length(body)", tuple(taken))  # noqa: S608
    for row_id, tx_id, role, size in gone.fetchall():
        draft.removed.append(row_id)
        draft.row_gone(tx_id, role, size)


def bury(draft: Draft, row_id: int, why: str, bound: int) -> Committed:
    """Move a row to the dead letters."""
    draft.db.run(f"INSERT OR REPLACE INTO dead SELECT {_COLUMNS}, ? FROM journal WHERE id=?", (why, row_id))  # noqa: S608
    gone = _take_out(draft, row_id)
    if gone is None:
        return Committed()
    tx_id, role, size = gone
    draft.row_gone(tx_id, role, size, dead=1)
    return Committed(dropped_dead_letters=tuple(_make_room(draft, bound)))


def _take_out(draft: Draft, row_id: int) -> tuple[str, int, int] | None:
    """Transaction, role and size of the row that is gone now."""
    found = draft.db.run("DELETE FROM journal WHERE id=? RETURNING tx, role, length(body)", (row_id,)).fetchall()
    if not found:
        return None
    draft.removed.append(row_id)
    tx_id, role, size = found[0]
    return tx_id, role, size


def _make_room(draft: Draft, bound: int) -> list[str]:
    """Past the bound the oldest samples among the dead letters go first, then the oldest of all."""
    dropped: list[str] = []
    while draft.dead > bound:
        query = f"SELECT id, tx, seq FROM dead ORDER BY role<>{int(Role.SAMPLE)}, id LIMIT 1"  # noqa: S608
        row_id, tx_id, seq = draft.db.run(query).fetchall()[0]
        draft.db.run("DELETE FROM dead WHERE id=?", (row_id,))
        draft.letter_gone(tx_id)
        dropped.append(f"{tx_id}-{seq}")
    return dropped


def unbury(draft: Draft) -> int:
    """Every dead letter goes back to where it was in the journal."""
    letters = draft.db.run("SELECT id, tx, seq, role, energy_wh, length(body) FROM dead").fetchall()
    draft.db.run(f"INSERT INTO journal SELECT {_COLUMNS} FROM dead")  # noqa: S608
    draft.db.run("DELETE FROM dead")
    for _, tx_id, seq, role, energy_wh, size in letters:
        draft.letter_gone(tx_id)
        draft.row_added(tx_id, seq, role, energy_wh, size)
    draft.reordered = bool(letters)
    return len(letters)


# --- bounds ---------------------------------------------------------------------------------------------------


def keep_bounds(draft: Draft, limits: Limits, head: int) -> Committed:
    """Thin samples out if the journal is past its bound. The ids of a page's survivors are written anew, because a page
    that is half empty would still be a page."""
    if draft.db.used_bytes() <= limits.soft_bytes and draft.rows <= limits.rows:
        return Committed()
    rows: list[tuple[int, str, int, int]] = draft.db.run("SELECT id, tx, role, length(body) FROM journal").fetchall()
    mean = draft.bytes / max(1, draft.rows)
    wanted = max(limits.soft_bytes // THIN_PART, int((draft.rows - limits.rows) * mean))
    drop, thinned = choose(rows, draft.levels(), wanted, head)
    sizes = {row_id: (tx, role, size) for row_id, tx, role, size in rows}
    for row_id in drop:
        tx_id, role, size = sizes[row_id]
        tx = draft.row_gone(tx_id, role, size)
        draft.change(tx, store=True)
    for tx_id in thinned:
        known = draft.tx(tx_id)
        assert known is not None
        draft.change(replace(known, level=known.level + 1), store=True)
    _rewrite(draft, [row[0] for row in rows], set(drop))
    draft.reordered = True
    return Committed(len(drop), tuple(thinned))


def _rewrite(draft: Draft, ids: list[int], drop: set[int]) -> None:
    for start in range(0, len(ids), REWRITE_ROWS):
        part = ids[start : start + REWRITE_ROWS]
        if drop.isdisjoint(part):
            continue
        ends = part[0], part[-1]
        rows = draft.db.run(f"SELECT {_COLUMNS} FROM journal WHERE id BETWEEN ? AND ? ORDER BY id", ends)  # noqa: S608
        survivors: list[tuple[Any, ...]] = [row for row in rows.fetchall() if row[0] not in drop]
        draft.db.run("DELETE FROM journal WHERE id BETWEEN ? AND ?", ends)
        draft.db.run_many("INSERT INTO journal VALUES(?,?,?,?,?,?,?)", survivors)


# --- after damage ---------------------------------------------------------------------------------------------


def drop_unreadable(draft: Draft) -> list[str]:
    """Forget what is remembered in words that are not those that were written; which, in words."""
    said = []
    for table, key, value, sum_ in draft.db.run("SELECT tbl, key, value, check_sum FROM kept").fetchall():
        if not is_kept_whole(table, key, value, sum_):
            draft.db.run("DELETE FROM kept WHERE tbl=? AND key=?", (table, key))
            said.append(f"unreadable: {table} {key}")
    return said


def is_kept_whole(table: str, key: str, value: str, sum_: int) -> bool:
    try:
        return check_sum(value) == sum_ and isinstance(json.loads(table), str) and isinstance(json.loads(key), str)
    except ValueError:
        return False


def close_orphans(draft: Draft) -> list[str]:
    """End the open transactions whose snapshot was lost, with what their last row tells, so that the bill is not lost.
    What was done, in words."""
    snapshots = {json.loads(row[0]) for row in draft.db.run("SELECT key FROM kept WHERE tbl=?", (dumps(OPEN),))}
    said = []
    for tx in draft.all_txs():
        if tx.ended or tx.id in snapshots:
            continue
        ended = _ending(draft, tx.id)
        if ended is None:
            draft.change(replace(tx, ended=True), store=True)
            said.append(f"open transaction {tx.id}: nothing left to end it with")
        else:
            append(draft, replace(ended, seq=tx.next_seq))
            said.append(f"open transaction {tx.id}: ended with its last stored value, {ended.energy_wh} Wh")
    return said


def _ending(draft: Draft, tx_id: str) -> TransactionEvent | None:
    query = "SELECT body, check_sum FROM journal WHERE tx=? ORDER BY id DESC"
    for body, sum_ in draft.db.run(query, (tx_id,)).fetchall():
        try:
            last = read_body(body, sum_)
        except Unreadable:
            continue
        return replace(
            last,
            kind=TxKind.ENDED,
            trigger=Trigger.ABNORMAL_CONDITION,
            charging_state=ChargingState.IDLE,
            stop_reason=StopReason.OTHER,
            token=None,
            readings=(),
        )
    return None
