"""One SQLite file, one connection: how it is opened, how a transaction runs, how it is checked.

Rules kept here
* WAL and `synchronous=FULL`: a commit that has returned survives a power cut. (Measured: WAL with NORMAL loses commits,
  a rollback journal costs four times the writes and loses the last commit.)
* Pages of 2048 bytes and no automatic vacuum: a stored sample dirties one page, two at most when the tree grows.
  Freed pages are used again, so the file never outgrows its bound, which SQLite itself enforces (`max_page_count`).
* `locking_mode=EXCLUSIVE`: no shared-memory file that the kernel would write back, and no second agent on one file.
* `secure_delete` off: deleting a row does not rewrite what it leaves behind.
* The WAL is checkpointed every thousand pages (2 MB) and kept as large. A reserve file of the same size lies beside it;
  when the disk has no block left it is given up, so that the WAL can be checkpointed and used again from its start, and
  rows can still be delivered and deleted. It is not spent on more samples. The next start makes a new one.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from agent.store.faults import Cause, StoreFault, translate
from agent.store.migrations import MIGRATIONS

PAGE_BYTES = 2048
WAL_PAGES = 1000
CACHE_KIB = 512
WAL_BYTES = 32 + WAL_PAGES * (PAGE_BYTES + 24)
MEMORY = ":memory:"
RESERVE = ".reserve"
LAYOUT = "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name"

T = TypeVar("T")


class Database:
    """Raises `StoreFault`; every other exception is a bug. `fast`: no fsync at all, for simulation."""

    def __init__(self, path: str, max_bytes: int, *, fast: bool = False) -> None:
        self.path = path
        self._fast = fast
        try:
            fresh = path != MEMORY and self._create(Path(path))
            self._connection = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
            self._connection.text_factory = forgiving
        except (sqlite3.Error, OSError) as error:
            raise _fault(error) from error
        try:
            self._configure(max_bytes)
            self._migrate()
            if fresh:
                sync_directory(Path(path))
        except BaseException as error:
            self.close()
            if isinstance(error, Cause):
                raise translate(error) or StoreFault("corrupt", str(error)) from error
            raise

    @staticmethod
    def _create(path: Path) -> bool:
        """Card numbers are nobody else's business: the file is readable by its owner only."""
        if path.exists():
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        return True

    def _configure(self, max_bytes: int) -> None:
        run = self._connection.execute
        run("PRAGMA locking_mode=EXCLUSIVE")  # before the file is first touched
        run(f"PRAGMA page_size={PAGE_BYTES}")
        run("PRAGMA auto_vacuum=NONE")
        run(f"PRAGMA journal_mode={'MEMORY' if self.path == MEMORY else 'WAL'}")
        run(f"PRAGMA synchronous={'OFF' if self._fast else 'FULL'}")
        run(f"PRAGMA wal_autocheckpoint={WAL_PAGES}")
        run(f"PRAGMA journal_size_limit={WAL_BYTES}")
        run(f"PRAGMA cache_size=-{CACHE_KIB}")
        run("PRAGMA secure_delete=OFF")
        run("PRAGMA temp_store=MEMORY")
        run(f"PRAGMA max_page_count={max_bytes // PAGE_BYTES}")

    def _migrate(self) -> None:
        version = self.number("PRAGMA user_version")
        if not 0 <= version <= len(MIGRATIONS):
            raise StoreFault("newer", f"the file has layout {version}, this release knows {len(MIGRATIONS)}")
        for number, script in enumerate(MIGRATIONS[version:], start=version + 1):
            self.transact(lambda script=script, number=number: self._apply(script, number))  # type: ignore[misc]

    def _apply(self, script: str, number: int) -> None:
        for statement in script.split(";"):
            if statement.strip():
                self._connection.execute(statement)
        self._connection.execute(f"PRAGMA user_version={number}")

    def reserve(self) -> None:
        """Set space aside for the day when there is none; on a disk that is full already that day has come."""
        reserve = Path(self.path + RESERVE)
        if self._fast or (reserve.exists() and reserve.stat().st_size >= WAL_BYTES):
            return
        try:
            handle = os.open(reserve, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                os.posix_fallocate(handle, 0, WAL_BYTES)
            finally:
                os.close(handle)
        except OSError:
            with suppress(OSError):  # whatever stands there takes no space
                reserve.unlink()

    # --- use ----------------------------------------------------------------------------------------------------

    def transact(self, work: Callable[[], T]) -> T:
        """`work` within one transaction: all of it is durable when this returns, nothing of it when this raises."""
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            result = work()
            self._connection.execute("COMMIT")
        except BaseException as error:
            self._roll_back()
            if isinstance(error, sqlite3.Error | UnicodeDecodeError):
                raise _fault(error) from error
            raise
        return result

    def _roll_back(self) -> None:
        if self._connection.in_transaction:  # after some faults SQLite has done it by itself
            try:
                self._connection.execute("ROLLBACK")
            except sqlite3.Error as error:
                raise _fault(error) from error

    def make_room(self) -> bool:
        """After a fault of kind "full": give up the reserve. True: it is worth trying again."""
        reserve = Path(self.path + RESERVE)
        if self.path == MEMORY or self.number("PRAGMA page_count") >= self.number("PRAGMA max_page_count"):
            return False
        try:
            reserve.unlink(missing_ok=True)
            busy, in_wal, copied = self.rows("PRAGMA wal_checkpoint(RESTART)")[0]
        except (OSError, StoreFault):
            return False
        return not busy and in_wal == copied

    def run(self, sql: str, values: tuple[Any, ...] = ()) -> sqlite3.Cursor:
        """One statement within `transact`."""
        return self._connection.execute(sql, values)

    def run_many(self, sql: str, values: Iterable[tuple[Any, ...]]) -> None:
        self._connection.executemany(sql, values)

    def rows(self, sql: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        try:
            return self._connection.execute(sql, values).fetchall()
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise _fault(error) from error

    def number(self, sql: str) -> int:
        return int(self.rows(sql)[0][0])

    def used_bytes(self) -> int:
        """What the content takes in the file; free pages do not count."""
        return (self.number("PRAGMA page_count") - self.number("PRAGMA freelist_count")) * PAGE_BYTES

    def problems(self) -> list[str]:
        """What SQLite finds wrong with the file; empty when it is sound."""
        try:
            found = [str(row[0]) for row in self.rows("PRAGMA quick_check(10)")]
            if self.layout() != _our_layout():
                found.append("the layout of the tables is not ours")
        except StoreFault as fault:
            if fault.kind != "corrupt":
                raise
            return [fault.why]
        return found if found != ["ok"] else []

    def layout(self) -> list[tuple[Any, ...]]:
        return self.rows(LAYOUT)

    def backup(self, target: Database) -> None:
        """All of this file's content in place of the other's, in one transaction."""
        try:
            self._connection.backup(target._connection)
        except sqlite3.Error as error:
            raise _fault(error) from error

    def close(self) -> None:
        try:
            self._connection.close()
        except sqlite3.Error as error:
            raise _fault(error) from error


def _our_layout() -> list[tuple[Any, ...]]:
    model = Database(MEMORY, 1 << 20)
    layout = model.layout()
    model.close()
    return layout


def forgiving(text: bytes) -> str:
    """Damaged text is for the reader to find out, by its check sum or its form, and no fault of the whole file."""
    return text.decode(errors="replace")


def sync_directory(path: Path) -> None:
    """Make the name of a new file durable."""
    handle = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _fault(error: Cause) -> StoreFault:
    fault = translate(error)
    if fault is None:
        raise error
    return fault
