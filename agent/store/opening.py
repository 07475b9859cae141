"""How the file is found: sound, damaged, half exchanged by a salvage that a power cut ended, or not usable at all.

The exchange of a damaged file for a salvaged one is safe at every instruction: the new file is complete and on disk
under another name before the old one is renamed, and a start that finds only the new one finishes the exchange.
"""

from __future__ import annotations

from pathlib import Path

from agent.store.database import MEMORY, Database, sync_directory
from agent.store.faults import StoreFault, translate
from agent.store.salvage import salvage

NEW, DAMAGED = ".new", ".damaged"


def open_file(path: str, max_bytes: int, *, fast: bool) -> tuple[Database, list[str], str]:
    """The file, sound; what damage has cost, in words; where the damaged file lies. Raises `StoreFault`."""
    if path == MEMORY:
        return Database(path, max_bytes, fast=fast), [], ""
    try:
        _finish_exchange(path)
        found, problems = _look(path, max_bytes, fast)
        if found is not None:
            return found, [], ""
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


def in_memory(path: str, max_bytes: int) -> tuple[Database, bool]:
    """A store in memory with all that the file tells, and whether that is all that there is."""
    memory = Database(MEMORY, max_bytes)
    if path == MEMORY or not Path(path).exists():
        return memory, True
    try:
        source = Database(path, max_bytes, read_only=True)
    except StoreFault:
        return memory, False
    try:
        source.backup(memory)
    except StoreFault:
        memory.close()
        return Database(MEMORY, max_bytes), False
    finally:
        source.close()
    return memory, True
