"""The journal's rows as others see them, and the few of them that are held in memory.

`Window` holds the next rows to be told, so that the head is known without asking the disk, and the disk is asked once
for many rows. It follows each commit; if it cannot, it forgets all and reads anew.
"""

from __future__ import annotations

from collections import deque
from zlib import crc32

from agent.core.record import record
from agent.core.types import Instant, TransactionEvent
from agent.store.codec import Unreadable, decode_event
from agent.store.database import Database
from agent.store.ledger import Draft

WINDOW_ROWS = 32

Raw = tuple[int, str, int, str]  # id, transaction, check sum, body


@record
class Row:
    """A row to be told to the CSMS. `csms_id`: its name for the transaction; "-1" when the start was given up, None
    while it waits. `via`: the dialect that told the start."""

    id: int
    event: TransactionEvent
    csms_id: str | None = None
    via: str = ""


@record
class DeadLetter:
    """A row that the CSMS would not take. `event` is None when the row itself is damaged."""

    id: int
    transaction: str
    seq: int
    why: str
    event: TransactionEvent | None


@record
class Counts:
    """`bytes`: of the rows' own text. `oldest`: when the head of the journal happened."""

    rows: int = 0
    bytes: int = 0
    dead_letters: int = 0
    transactions: int = 0
    oldest: Instant | None = None


def check_sum(body: str) -> int:
    return crc32(body.encode())


def read_body(body: str, expected: int) -> TransactionEvent:
    """Raises `Unreadable`. A bill made of a flipped bit would be worse than one that is missing."""
    if not isinstance(body, str) or check_sum(body) != expected:
        raise Unreadable("the check sum does not fit")
    return decode_event(body)


class Window:
    def __init__(self, db: Database) -> None:
        self._db = db
        self._rows: deque[Raw] = deque()
        self._complete = False  # the journal ends where the window does

    def first(self) -> Raw | None:
        """The journal's head. Raises `StoreFault`."""
        if not self._rows and not self._complete:
            found = self._db.rows(
                "SELECT id, tx, check_sum, body FROM journal ORDER BY id LIMIT ?",
                (WINDOW_ROWS,),
            )
            self._rows.extend((row_id, tx, sum_, body) for row_id, tx, sum_, body in found)
            self._complete = len(found) < WINDOW_ROWS
        return self._rows[0] if self._rows else None

    def second(self) -> Raw | None:
        """The row after the head, if it is held."""
        return self._rows[1] if len(self._rows) > 1 else None

    def pass_first(self) -> bool:
        """Take the row after the head for the head. False: what comes next is not held, so only a commit can tell."""
        if len(self._rows) < 2 and not (self._rows and self._complete):
            return False
        self._rows.popleft()
        return True

    def follow(self, draft: Draft) -> None:
        """Do as the commit has done."""
        for row_id in draft.removed:
            if self._rows and self._rows[0][0] == row_id:
                self._rows.popleft()
            elif self._rows and self._rows[0][0] < row_id <= self._rows[-1][0]:
                draft.reordered = True
        if self._complete and len(self._rows) + len(draft.added) <= WINDOW_ROWS:
            self._rows.extend(draft.added)
        elif draft.added:
            self._complete = False
        if draft.reordered:
            self._rows.clear()
            self._complete = False
