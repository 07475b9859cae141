"""What the store knows of its transactions without asking the disk, and one commit's changes to it.

A `Ledger` is what is on disk; a `Draft` is what it will be after the commit in the making. Only a commit that has
succeeded turns the draft into the ledger (`settle`), so that memory never runs ahead of the disk.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from agent.core.record import record, replace
from agent.core.types import TransactionEvent
from agent.store.database import Database
from agent.store.thinning import Role

GIVEN_UP = "-1"  # errata 3.18: stands for the CSMS's id when a start could not be delivered


@record
class Tx:
    """One transaction. `rows`: in the journal; `dead`: among the dead letters; `starting`: its start is in the journal;
    `level`: how often it was thinned; `next_seq`, `energy_wh`: over all of its rows, delivered or not."""

    id: str
    csms_id: str | None = None
    via: str = ""
    next_seq: int = 0
    energy_wh: int = 0
    ended: bool = False
    level: int = 0
    rows: int = 0
    dead: int = 0
    starting: bool = False

    @property
    def wire_id(self) -> str | None:
        """The CSMS's id; None while its start waits, `GIVEN_UP` when no start will bring one any more."""
        return self.csms_id if self.csms_id is not None or self.starting else GIVEN_UP

    @property
    def over(self) -> bool:
        return self.ended and not self.rows and not self.dead


@dataclass(slots=True)
class Ledger:
    """`reserved`: row ids below it may have been given out; so none is ever given twice, at one write a thousand."""

    txs: dict[str, Tx] = field(default_factory=dict)
    next_id: int = 1
    reserved: int = 1
    rows: int = 0
    bytes: int = 0
    dead: int = 0


class Draft:
    """One commit's changes. The caller changes the file by the same calls, within the same transaction."""

    RESERVE = 1000

    def __init__(self, ledger: Ledger, db: Database) -> None:
        self._ledger, self.db = ledger, db
        self._changed: dict[str, Tx] = {}
        self._stale: dict[str, None] = {}  # transactions whose row on disk must follow
        self._emptied: dict[str, None] = {}  # and those whose must if no row of theirs waits in the end
        self.next_id, self.reserved = ledger.next_id, ledger.reserved
        self.rows, self.bytes, self.dead = ledger.rows, ledger.bytes, ledger.dead
        self.added: list[tuple[int, str, int, str]] = []  # (id, transaction, check sum, body)
        self.newest: tuple[int, TransactionEvent] | None = None  # as it was before it became text
        self.removed: list[int] = []
        self.reordered = False

    def tx(self, tx_id: str) -> Tx | None:
        return self._changed.get(tx_id) or self._ledger.txs.get(tx_id)

    def all_txs(self) -> list[Tx]:
        return list((self._ledger.txs | self._changed).values())

    def levels(self) -> dict[str, int]:
        return {tx.id: tx.level for tx in self.all_txs() if tx.level}

    def change(self, tx: Tx, *, store: bool) -> None:
        self._changed[tx.id] = tx
        if store:
            self._stale[tx.id] = None

    def give_id(self) -> int:
        row_id, self.next_id = self.next_id, self.next_id + 1
        if row_id >= self.reserved:
            self.reserved = row_id + self.RESERVE
            self.db.run("INSERT OR REPLACE INTO marks VALUES('reserved', ?)", (str(self.reserved),))
        return row_id

    def row_added(self, tx_id: str, seq: int, role: int, energy_wh: int, size: int) -> None:
        tx = self.tx(tx_id)
        known = tx or Tx(tx_id)
        grown = replace(
            known,
            next_seq=max(known.next_seq, seq + 1),
            energy_wh=max(known.energy_wh, energy_wh),
            rows=known.rows + 1,
            ended=known.ended or role == Role.END,
            starting=known.starting or role == Role.START,
        )
        self.change(grown, store=tx is None or grown.ended != tx.ended)
        self.rows, self.bytes = self.rows + 1, self.bytes + size

    def row_gone(self, tx_id: str, role: int, size: int, *, dead: int = 0) -> Tx:
        """A row has left the journal, for the dead letters if `dead`."""
        tx = self.tx(tx_id)
        assert tx is not None, tx_id
        left = replace(tx, rows=tx.rows - 1, dead=tx.dead + dead, starting=tx.starting and role != Role.START)
        self.change(left, store=False)
        self._emptied[tx_id] = None
        self.rows, self.bytes, self.dead = self.rows - 1, self.bytes - size, self.dead + dead
        return left

    def letter_gone(self, tx_id: str) -> None:
        """A row has left the dead letters."""
        tx = self.tx(tx_id)
        assert tx is not None, tx_id
        self.change(replace(tx, dead=tx.dead - 1), store=tx.ended)
        self.dead -= 1

    def write(self) -> None:
        """Bring the transactions' rows on disk up to date."""
        alone = [tx_id for tx_id in self._emptied if not self._changed[tx_id].rows]
        for tx_id in {**self._stale, **dict.fromkeys(alone)}:
            tx = self._changed[tx_id]
            if tx.over:
                self.db.run("DELETE FROM transactions WHERE tx=?", (tx_id,))
            else:
                self.db.run(
                    "INSERT OR REPLACE INTO transactions VALUES(?,?,?,?,?,?,?)",
                    (tx.id, tx.csms_id, tx.via, tx.next_seq, tx.energy_wh, int(tx.ended), tx.level),
                )

    def settle(self) -> Ledger:
        """After the commit: the ledger as it is now."""
        ledger = self._ledger
        for tx in self._changed.values():
            if tx.over:
                ledger.txs.pop(tx.id, None)
            else:
                ledger.txs[tx.id] = tx
        ledger.next_id, ledger.reserved = self.next_id, self.reserved
        ledger.rows, ledger.bytes, ledger.dead = self.rows, self.bytes, self.dead
        return ledger


def load(db: Database) -> Ledger:
    """The ledger as the file tells it. A transaction whose own row was lost in damage is known by its journal rows."""
    ledger = Ledger()
    for tx, csms_id, via, next_seq, energy_wh, ended, level in db.rows(
        "SELECT tx, csms_id, via, next_seq, energy_wh, ended, level FROM transactions"
    ):
        ledger.txs[tx] = Tx(tx, csms_id, via, next_seq, energy_wh, bool(ended), level)
    groups = (
        "SELECT tx, count(*), sum(length(body)), max(seq), max(energy_wh), max(role), min(role), max(id) FROM {} "
        "GROUP BY tx"
    )
    for table in ("journal", "dead"):
        for tx, rows, size, seq, energy_wh, last, first, row_id in db.rows(groups.format(table)):
            known = ledger.txs.get(tx) or Tx(tx)
            known = replace(
                known,
                next_seq=max(known.next_seq, seq + 1),
                energy_wh=max(known.energy_wh, energy_wh),
                ended=known.ended or last == Role.END,
            )
            if table == "journal":
                known = replace(known, rows=rows, starting=first == Role.START)
                ledger.rows, ledger.bytes = ledger.rows + rows, ledger.bytes + size
            else:
                known = replace(known, dead=rows)
                ledger.dead += rows
            ledger.txs[tx] = known
            ledger.next_id = max(ledger.next_id, row_id + 1)
    reserved = db.rows("SELECT value FROM marks WHERE name='reserved'")
    ledger.reserved = ledger.next_id = max(ledger.next_id, whole(reserved[0][0]) if reserved else 1)
    return ledger


def whole(text: str) -> int:
    """A number among the marks; 0 for what damage has made of it."""
    return int(text) if text.isdecimal() else 0
