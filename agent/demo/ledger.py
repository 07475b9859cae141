"""What the demo's central system has been told of each transaction, and what it bills for it.

A charger repeats a message when it has not heard the answer, so the same thing may be told twice: everything is filed
under a mark that comes from the charger (sequence number, or time of occurrence) and counted once. The bill is the
meter's register at the end minus the register at the start, in whole watt-hours.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

MAX_TRANSACTIONS = 1000
MAX_MARKS = 100_000  # of one transaction


class LedgerFull(Exception):
    """More than a demo is for."""


@dataclass(slots=True)
class Transaction:
    """One visit of one car, as far as the central system has heard of it."""

    id: str
    card: str
    started_at: str
    started_wh: int | None = None
    last_wh: int | None = None
    ended_at: str = ""
    reason: str = ""
    limit_a: float | None = None  # what we have told the charger to keep to
    marks: dict[str, None] = field(default_factory=dict)
    told_offline: int = 0  # how many of the marks came from a time without a link
    told_twice: int = 0  # repetitions, which change nothing

    @property
    def is_open(self) -> bool:
        return not self.ended_at

    @property
    def energy_wh(self) -> int:
        """Of the bill, or of the bill so far."""
        if self.started_wh is None or self.last_wh is None:
            return 0
        return self.last_wh - self.started_wh

    @property
    def missing(self) -> list[int]:
        """Sequence numbers that should have been told and were not, when the marks are such numbers."""
        if not all(mark.isdecimal() for mark in self.marks):
            return []
        told = {int(mark) for mark in self.marks}
        return [number for number in range(max(told, default=-1) + 1) if number not in told]

    def new(self, mark: str) -> bool:
        """File the mark; False when it is known, and so its message has nothing new to say."""
        if mark in self.marks:
            self.told_twice += 1
            return False
        if len(self.marks) >= MAX_MARKS:
            raise LedgerFull(f"transaction {self.id} has more than {MAX_MARKS} messages")
        self.marks[mark] = None
        return True

    def read(self, energy_wh: float | None) -> None:
        """A reading of the lifetime register."""
        if energy_wh is None:
            return
        whole_wh = round(energy_wh)
        self.started_wh = whole_wh if self.started_wh is None else self.started_wh
        self.last_wh = whole_wh if self.last_wh is None else max(self.last_wh, whole_wh)


class Ledger:
    def __init__(self) -> None:
        self._all: dict[str, Transaction] = {}

    def __iter__(self) -> Iterator[Transaction]:
        return iter(self._all.values())

    def __len__(self) -> int:
        return len(self._all)

    def find(self, key: str) -> Transaction | None:
        return self._all.get(key)

    def latest(self) -> Transaction | None:
        return next(reversed(self._all.values()), None)

    def open(self) -> Transaction | None:
        """The youngest one that has not ended."""
        return next((each for each in reversed(self._all.values()) if each.is_open), None)

    def begin(self, key: str, card: str, at: str, name: str = "") -> Transaction:
        """The transaction filed under `key`; a new one is called `name`, or a number of ours."""
        known = self._all.get(key)
        if known is not None:
            return known
        if len(self._all) >= MAX_TRANSACTIONS:
            raise LedgerFull(f"more than {MAX_TRANSACTIONS} transactions")
        fresh = self._all[key] = Transaction(name or str(len(self._all) + 1), card, at)
        return fresh

    def named(self, name: str) -> Transaction | None:
        return next((each for each in self._all.values() if each.id == name), None)
