"""Damaged files: set aside, read as far as they can be read, reported; and the store comes up whatever happened."""

from __future__ import annotations

import os
import random
import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent.core.effects import Remember
from agent.core.types import StopReason, TxKind
from agent.store import Opened, Store
from agent.store.database import PAGE_BYTES
from agent.store.salvage import COPY
from tests.store.scenes import drain, sample, started, whole

TRANSACTIONS, SAMPLES = 20, 48
ROWS = TRANSACTIONS * (SAMPLES + 2)
TRUE = {(r.event.transaction, r.event.seq): r.event for n in range(TRANSACTIONS) for r in whole(f"tx{n}", SAMPLES)}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, str]:
    """A file with a thousand rows and something remembered, and its salt."""
    path = tmp_path_factory.mktemp("sound") / "store.db"
    store = Store(path, fast=True)
    store.open("boot")
    for n in range(TRANSACTIONS):
        store.commit(whole(f"tx{n}", SAMPLES))
    store.commit([Remember("variables", f"v{n}", "x" * 100) for n in range(50)])
    store.close()
    return path.read_bytes(), store.salt


@pytest.fixture
def filled(path: Path, sound: tuple[bytes, str]) -> Path:
    path.write_bytes(sound[0])
    return path


def spoil(path: Path, at: int, garbage: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(garbage)


def bad_page(number: int) -> bytes:
    return random.Random(number).randbytes(PAGE_BYTES)


def reopen(path: Path) -> tuple[Store, Opened]:
    store = Store(path, fast=True)
    return store, store.open("boot")


def test_the_copy_that_is_worked_on_is_nobody_elses_to_read(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    modes: list[int] = []
    connect: Callable[..., sqlite3.Connection] = sqlite3.connect

    def noting(database: str, **options: Any) -> sqlite3.Connection:
        if str(database).endswith(COPY):
            modes.append(stat.S_IMODE(Path(database).stat().st_mode))
        return connect(database, **options)

    monkeypatch.setattr("agent.store.salvage.sqlite3.connect", noting)
    spoil(filled, 100 * PAGE_BYTES, bad_page(100))
    reopen(filled)[0].close()
    assert modes == [0o600]


@pytest.mark.parametrize("page", [20, 100, 200])
def test_one_bad_page_costs_only_its_own_rows(filled: Path, page: int) -> None:
    spoil(filled, page * PAGE_BYTES, bad_page(page))
    store, report = reopen(filled)
    told = drain(store)
    store.close()
    assert report.lost and ROWS - 12 <= len(told) < ROWS


def test_rows_between_two_bad_pages_are_found(filled: Path) -> None:
    for page in (60, 180):
        spoil(filled, page * PAGE_BYTES, bad_page(page))
    store, _ = reopen(filled)
    told = drain(store)
    store.close()
    assert ROWS - 24 <= len(told) < ROWS


def test_what_is_told_after_damage_is_in_order_and_once(filled: Path) -> None:
    for page in (60, 180):
        spoil(filled, page * PAGE_BYTES, bad_page(page))
    store, _ = reopen(filled)
    told = [(int(e.transaction[2:]), e.seq) for e in drain(store)]
    store.close()
    assert told == sorted(set(told))


def test_a_bad_first_page_costs_nothing(filled: Path) -> None:
    spoil(filled, 0, bad_page(1))
    store, report = reopen(filled)
    told, tables = drain(store), store.restore().tables
    store.close()
    assert report.lost and len(told) == ROWS and len(tables["variables"]) == 50


def test_a_truncated_file_gives_what_is_left(filled: Path) -> None:
    os.truncate(filled, filled.stat().st_size // 2)
    store, report = reopen(filled)
    told = drain(store)
    store.close()
    assert report.lost and len(told) > ROWS // 4


def test_the_damaged_file_is_kept_aside(filled: Path) -> None:
    spoil(filled, 0, b"not a database at all")
    store, report = reopen(filled)
    store.close()
    assert Path(report.set_aside).read_bytes().startswith(b"not a database at all")


def test_nothing_else_is_left_lying_about(filled: Path) -> None:
    spoil(filled, 0, bad_page(1))
    store, _ = reopen(filled)
    store.close()
    assert sorted(p.name for p in filled.parent.iterdir()) == ["store.db", "store.db.damaged"]


def test_after_damage_transaction_ids_start_from_another_salt(filled: Path, sound: tuple[bytes, str]) -> None:
    spoil(filled, 100 * PAGE_BYTES, bad_page(100))
    store, report = reopen(filled)
    store.close()
    assert report.salt != sound[1]


def test_a_salvaged_file_is_sound(filled: Path) -> None:
    spoil(filled, 100 * PAGE_BYTES, bad_page(100))
    reopen(filled)[0].close()
    store, report = reopen(filled)
    store.close()
    assert report.lost == ()


@pytest.mark.parametrize("content", [b"", b"\0", b"\xff" * 100_000, b"SQLite format 3\0" + b"\0" * 5000])
def test_a_file_of_garbage_comes_up_empty(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    store, report = reopen(path)
    store.commit(whole("tx", 3))
    assert report.fault is None and len(drain(store)) == 5
    store.close()


def test_garbage_in_place_of_the_wal_does_no_harm(filled: Path) -> None:
    Path(f"{filled}-wal").write_bytes(random.Random(5).randbytes(50_000))
    store, _ = reopen(filled)
    told = drain(store)
    store.close()
    assert len(told) == ROWS


def test_a_wal_with_a_torn_end_gives_every_whole_commit(path: Path) -> None:
    store, _ = reopen(path)
    for record in whole("tx", 98):
        store.commit([record])
    copy = path.with_name("copy.db")
    store.clone(copy)
    store.close()
    wal = Path(f"{copy}-wal")
    os.truncate(wal, wal.stat().st_size - 1000)
    store, _ = reopen(copy)
    told = [e.seq for e in drain(store)]
    store.close()
    assert told == list(range(99))


def test_an_open_transaction_without_its_snapshot_is_ended_with_its_last_value(path: Path) -> None:
    store, _ = reopen(path)
    store.commit([started("tx"), *(sample("tx", n) for n in range(1, 200)), Remember("open", "tx", {"evse": 1})])
    store._db.run("DELETE FROM kept")
    store.close()
    spoil(path, 0, bad_page(1))
    store, report = reopen(path)
    last = drain(store)[-1]
    store.close()
    assert (last.kind, last.seq, last.energy_wh, last.stop_reason) == (TxKind.ENDED, 200, 2990, StopReason.OTHER)
    assert any("ended with its last stored value, 2990 Wh" in words for words in report.lost)


def test_a_snapshot_whose_transaction_was_lost_goes_on_with_a_gap_and_no_repeat(path: Path) -> None:
    store, _ = reopen(path)
    store.commit([started("tx"), Remember("open", "tx", {"evse": 1})])
    drain(store)
    store._db.run("DELETE FROM transactions")
    store.close()
    store, _ = reopen(path)
    (found,) = store.restore().open_transactions
    store.close()
    assert found.next_seq == 100_000


@pytest.mark.parametrize("seed", range(25))
@pytest.mark.parametrize("first_bytes", [PAGE_BYTES, 12 * PAGE_BYTES, 1 << 30])
def test_whatever_bits_flip_the_store_comes_up_and_tells_no_wrong_bill(
    filled: Path, seed: int, first_bytes: int
) -> None:
    """In the layout's own page, in the small tables, anywhere."""
    rng = random.Random(seed)
    for _ in range(rng.choice([1, 1, 5, 50])):
        where = rng.randrange(min(first_bytes, filled.stat().st_size))
        spoil(filled, where, bytes([filled.read_bytes()[where] ^ (1 << rng.randrange(8))]))
    store, report = reopen(filled)
    store.commit([started("new")])
    told = [e for e in drain(store) if e.stop_reason is not StopReason.OTHER and e.transaction != "new"]
    store.close()
    assert report.fault is None
    assert [e for e in told if TRUE[e.transaction, e.seq] != e] == []


@pytest.mark.parametrize("seed", range(40))
def test_whatever_is_spoiled_the_store_comes_up_and_takes_commits(filled: Path, seed: int) -> None:
    """Random damage: overwritten, zeroed, cut, swapped; what is told is in order, once, and as it was recorded."""
    rng = random.Random(seed)
    for _ in range(rng.randint(1, 6)):
        where = rng.randrange(filled.stat().st_size)
        kind = rng.randrange(4)
        if kind == 0:
            spoil(filled, where, rng.randbytes(rng.randint(1, 5000)))
        elif kind == 1:
            spoil(filled, where, bytes(rng.randint(1, 5000)))
        elif kind == 2:
            os.truncate(filled, max(1, where))
        else:
            content = filled.read_bytes()
            spoil(filled, where // PAGE_BYTES * PAGE_BYTES, content[-PAGE_BYTES:])
    store, report = reopen(filled)
    store.commit([started("new")])
    told = [e for e in drain(store) if e.transaction != "new"]
    store.close()
    assert report.fault is None
    made_up = [e for e in told if (e.transaction, e.seq) not in TRUE and e.stop_reason is not StopReason.OTHER]
    assert made_up == []
    assert all(TRUE.get((e.transaction, e.seq), e) == e for e in told if e.stop_reason is not StopReason.OTHER)
    assert len({e.message_id for e in told}) == len(told)


# --- a power cut while a damaged file is exchanged ----------------------------------------------------------------


def test_a_salvage_that_was_cut_short_is_done_again(filled: Path) -> None:
    spoil(filled, 100 * PAGE_BYTES, bad_page(100))
    Path(f"{filled}.new").write_bytes(b"half of a file")
    Path(f"{filled}{COPY}").write_bytes(b"half of a copy")
    store, report = reopen(filled)
    told = drain(store)
    store.close()
    assert report.lost and len(told) >= ROWS - 12


def test_a_salvaged_file_that_was_not_yet_in_its_place_is_taken(filled: Path) -> None:
    filled.rename(f"{filled}.new")
    store, report = reopen(filled)
    told = drain(store)
    store.close()
    assert report.fault is None and len(told) == ROWS
