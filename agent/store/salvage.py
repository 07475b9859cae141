"""What can still be read of a damaged file goes into a fresh one.

A copy is worked on, the original stays as it is. When its first page is useless, that of a fresh file takes its place:
the layout of our files is always the same, so the tables begin at the same pages. Each table is read forwards and
backwards until a bad page stops it; between two bad pages of the journal the search goes on by halving. Rows that do
not make sense are left behind, and everything that is lost is said in words.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

from agent.store.changes import is_kept_whole
from agent.store.codec import Unreadable
from agent.store.database import LAYOUT, PAGE_BYTES, Database, forgiving
from agent.store.journal import read_body

COPY = ".salvage"
PROBES = 200
_SIZE_AT, _FREE_AT = 28, 32  # SQLite file format, section 1.3: size in pages; first free page and count of free pages
_TABLES = {  # table: (key, columns)
    "marks": ("name", 2),
    "clocks": ("boot", 3),
    "transactions": ("tx", 7),
    "kept": ("tbl, key", 4),
    "dead": ("id", 8),
    "journal": ("id", 7),
}
Values = tuple[Any, ...]
Found = Generator[Values, None, Values | None]


def salvage(path: str, target: str, max_bytes: int) -> list[str]:
    """Make `target` of what `path` still tells; what is lost, in words."""
    fresh = Database(target, max_bytes)
    layout = fresh.layout()
    fresh.close()
    first_page = Path(target).read_bytes()[:PAGE_BYTES]
    try:
        source = _open_copy(path, first_page, layout)
        fresh = Database(target, max_bytes)
        try:
            return fresh.transact(lambda: [said for table in _TABLES for said in _table(source, fresh, table)])
        finally:
            source.close()
            fresh.close()
    finally:
        for suffix in ("", "-wal", "-shm", "-journal"):
            Path(path + COPY + suffix).unlink(missing_ok=True)


def _open_copy(path: str, first_page: bytes, layout: list[Values]) -> sqlite3.Connection:
    for transplant in (False, True):
        for suffix in ("", "-wal"):
            if Path(path + suffix).exists():
                os.close(os.open(path + COPY + suffix, os.O_WRONLY | os.O_CREAT, 0o600))
                shutil.copyfile(path + suffix, path + COPY + suffix)
        if transplant:
            _transplant(Path(path + COPY), first_page)
        source = sqlite3.connect(path + COPY, isolation_level=None)
        source.text_factory = forgiving
        try:
            source.execute("PRAGMA locking_mode=EXCLUSIVE")
            found = source.execute(LAYOUT).fetchall()
        except (sqlite3.DatabaseError, UnicodeDecodeError):
            found = []
        if transplant or found == layout:
            return source
        source.close()
    raise AssertionError("the second round returns")


def _transplant(copy: Path, first_page: bytes) -> None:
    """A fresh first page over the damaged one, with the true size and no free pages."""
    size = max(1, copy.stat().st_size // PAGE_BYTES)
    page = bytearray(first_page)
    page[_SIZE_AT : _SIZE_AT + 4] = size.to_bytes(4, "big")
    page[_FREE_AT : _FREE_AT + 8] = bytes(8)
    with copy.open("r+b") as file:
        file.write(page)


def _table(source: sqlite3.Connection, fresh: Database, table: str) -> Iterator[str]:
    """Copy one table; yields what was lost."""
    key, columns = _TABLES[table]
    places = ",".join("?" * columns)
    trouble: list[str] = []
    unfit = 0
    for row in _rows(source, table, key, trouble):
        try:
            if len(row) != columns or not _makes_sense(table, row):
                unfit += 1
                continue
            fresh.run(f"INSERT OR IGNORE INTO {table} VALUES({places})", row)
        except (sqlite3.IntegrityError, TypeError, AttributeError):  # a page of another table
            unfit += 1
    if trouble or unfit:
        kept = fresh.number(f"SELECT count(*) FROM {table}")  # noqa: S608
        yield f"{table}: {kept} rows saved; unreadable: {unfit} rows" + "".join(f"; {t}" for t in trouble[:3])


def _makes_sense(table: str, row: Values) -> bool:
    """Beyond what the layout itself refuses."""
    if table == "kept":
        return is_kept_whole(*row)
    if table not in ("journal", "dead"):
        return True
    _id, tx, seq, _role, energy_wh, sum_, body = row[:7]
    try:
        event = read_body(body, sum_)
    except Unreadable:
        return False
    return (event.transaction, event.seq, event.energy_wh) == (tx, seq, energy_wh)


def _rows(source: sqlite3.Connection, table: str, key: str, trouble: list[str]) -> Iterator[Values]:
    """Rows from both ends, and for tables with a number as key from between the bad pages too. Some come twice."""
    low = yield from _read(source, f"SELECT * FROM {table} ORDER BY {key}", (), trouble)  # noqa: S608
    if not trouble:
        return
    backwards = ", ".join(f"{name} DESC" for name in key.split(", "))
    high = yield from _read(source, f"SELECT * FROM {table} ORDER BY {backwards}", (), trouble)  # noqa: S608
    if key == "id" and low is not None and high is not None:
        yield from _between(source, table, low[0], high[0])


def _between(source: sqlite3.Connection, table: str, low: int, high: int) -> Iterator[Values]:
    gaps, probes = [(low, high)], PROBES
    while gaps and probes:
        low, high = gaps.pop(0)
        middle = (low + high) // 2
        if high - low < 2:
            continue
        probes -= 1
        bad: list[str] = []
        up = f"SELECT * FROM {table} WHERE id>=? AND id<? ORDER BY id"  # noqa: S608
        last = yield from _read(source, up, (middle, high), bad)
        if bad:
            gaps.append((last[0] if last else middle, high))
        bad = []
        down = f"SELECT * FROM {table} WHERE id<? AND id>? ORDER BY id DESC"  # noqa: S608
        last = yield from _read(source, down, (middle, low), bad)
        if bad:
            gaps.append((low, last[0] if last else middle))


def _read(source: sqlite3.Connection, query: str, values: Values, trouble: list[str]) -> Found:
    """Rows until a bad page; returns the last of them."""
    last = None
    try:
        for row in source.execute(query, values):
            last = row
            yield row
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        trouble.append(str(error))
    return last
