"""How the file is found: sound, damaged, half exchanged by a salvage that a power cut ended, or not usable at all.

The exchange of a damaged file for a salvaged one is safe at every instruction: the new file is complete and on disk
under another name before the old one is renamed, and a start that finds only the new one finishes the exchange.
"""

from __future__ import annotations

import os
from pathlib import Path

from agent.store.database import MEMORY, Database, sync_directory
from agent.store.faults import StoreFault, translate

NEW, DAMAGED = ".new", ".damaged"


def open_file(path: str, max_bytes: int, *, fast: bool, distrust: str = "") -> tuple[Database, list[str], str]:
    """The file, sound; what damage has cost, in words; where the damaged file lies. Raises `StoreFault`.

    `distrust`: what was found wrong with a file that had seemed sound."""
    if path == MEMORY:
        return Database(path, max_bytes, fast=fast), [], ""
    try:
        _finish_exchange(path)
        found, problems = (None, [distrust]) if distrust else _look(path, max_bytes, fast)
        if found is not None:
            found.reserve()
            return found, [], ""
        from agent.store.salvage import salvage  # needed once in a charger's life, if ever

        lost = [f"{path} is damaged: {'; '.join(problems)}"[:300]]
        lost += salvage(path, path + NEW, max_bytes)
        _exchange(path)
        return Database(path, max_bytes, fast=fast), lost, path + DAMAGED
    except OSError as error:
        fault = translate(error)
        assert fault is not None
        raise fault from error


def _look(path: str, max_bytes: int, fast: bool) -> tuple[Database | None, list[str]]:
    """The open file, or what is wrong with it."""
    try:
        found = Database(path, max_bytes, fast=fast)
    except StoreFault as fault:
        if fault.kind != "corrupt":
            raise
        return None, [fault.why]
    try:
        problems = found.problems()
    except StoreFault:
        found.close()
        raise
    if not problems:
        return found, []
    try:
        found.close()
    except StoreFault as fault:
        problems.append(fault.why)
    return None, problems


def _finish_exchange(path: str) -> None:
    new = Path(path + NEW)
    if not new.exists():
        return
    if Path(path).exists():  # a salvage that was cut short: the damaged file is still in its place
        _remove(path + NEW)
    else:
        new.rename(path)
        sync_directory(new)


def _exchange(path: str) -> None:
    _remove(path + DAMAGED)
    for suffix in ("-wal", ""):  # the file last: while it is there, the exchange has not begun
        part = Path(path + suffix)
        if part.exists():
            part.rename(path + DAMAGED + suffix)
    sync_directory(Path(path))
    _finish_exchange(path)


def _remove(path: str) -> None:
    for suffix in ("", "-wal", "-shm"):
        Path(path + suffix).unlink(missing_ok=True)


def explain(path: str, fault: StoreFault) -> StoreFault:
    """SQLite says "disk I/O error" of a file system that was mounted read-only, where the file system knows better, and
    "database is locked" of a file that another agent has open."""
    if fault.kind == "busy":
        return StoreFault("busy", f"another agent is running on {Path(path).parent}; there can be one only")
    if fault.kind != "io":
        return fault
    try:
        facts = os.statvfs(Path(path).parent)
    except OSError:
        return fault
    if facts.f_flag & os.ST_RDONLY:
        return StoreFault("readonly", f"{Path(path).parent} is on a read-only file system")
    if facts.f_bavail == 0:
        return StoreFault("full", f"{Path(path).parent} has no space left")
    return fault


def in_memory(path: str, max_bytes: int) -> tuple[Database, bool]:
    """A store in memory with all that the file tells, and whether that is all that there is.

    A WAL can only be read where files may be made, so a copy elsewhere is read, not the file itself."""
    import tempfile  # rarely needed, and slow to load

    memory = Database(MEMORY, max_bytes)
    if path == MEMORY or not Path(path).exists():
        return memory, True
    try:
        with tempfile.TemporaryDirectory(prefix="chargepoint-") as folder:
            copy = str(Path(folder) / "copy.db")
            copy_files(path, copy)
            source = Database(copy, max_bytes, fast=True)
            try:
                sound = not source.problems()
                if sound:
                    source.backup(memory)
            finally:
                source.close()
    except (OSError, StoreFault):
        memory.close()
        return Database(MEMORY, max_bytes), False
    return memory, sound


def copy_files(path: str, to: str) -> None:
    """The file and its WAL as they are now, which is what a power cut would leave."""
    import shutil

    for suffix in ("", "-wal"):
        if Path(path + suffix).exists():
            shutil.copyfile(path + suffix, to + suffix)
