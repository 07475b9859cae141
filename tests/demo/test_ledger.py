"""The bill of the demo: what is told twice counts once, and what is missing is seen."""

from __future__ import annotations

import pytest

from agent.demo import ledger
from agent.demo.ledger import Ledger, LedgerFull


def test_a_bill_is_the_register_at_the_end_minus_the_register_at_the_start() -> None:
    bill = Ledger().begin("key", "CARD", "now")
    for energy_wh in (1000.4, 1010.0, 1062.6):
        bill.read(energy_wh)
    assert bill.energy_wh == 63


def test_a_bill_without_a_reading_is_nothing() -> None:
    bill = Ledger().begin("key", "CARD", "now")
    bill.read(None)
    assert bill.energy_wh == 0


def test_a_mark_is_new_once() -> None:
    bill = Ledger().begin("key", "CARD", "now")
    assert [bill.new("0"), bill.new("0")] == [True, False]
    assert bill.told_twice == 1


def test_a_gap_in_the_sequence_is_seen() -> None:
    bill = Ledger().begin("key", "CARD", "now")
    for mark in ("0", "1", "4"):
        bill.new(mark)
    assert bill.missing == [2, 3]


def test_marks_that_are_times_have_no_gaps() -> None:
    bill = Ledger().begin("key", "CARD", "now")
    bill.new("2026-11-21T10:00:00Z")
    assert bill.missing == []


def test_the_same_start_is_the_same_transaction() -> None:
    book = Ledger()
    assert book.begin("key", "CARD", "now") is book.begin("key", "CARD", "now")
    assert len(book) == 1


def test_an_ended_transaction_is_not_open() -> None:
    book = Ledger()
    book.begin("a", "CARD", "now").ended_at = "later"
    assert book.open() is None
    assert book.latest() is book.find("a")


def test_a_ledger_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "MAX_TRANSACTIONS", 1)
    book = Ledger()
    book.begin("a", "CARD", "now")
    with pytest.raises(LedgerFull):
        book.begin("b", "CARD", "now")
