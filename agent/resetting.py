"""Factory reset: what the agent has remembered is removed, and never what was configured.

It is ordered in a running agent and done by the next one, before anything is opened: a mark in the storage folder says
that it is wanted, and goes when it is done. So a power cut at any instant leaves the old state or none. Rules kept:

* Refused while a transaction is open; and while anything waits for the CSMS, or was given up, unless that may be
  discarded. The next process looks once more, for a charge may have begun between the order and the end.
* Only what the agent itself has put there is removed, by the names of `STATE`; no file that the configuration names.
* Who ordered it, and why, stands in the journal; nothing else is left of it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from agent.config import Config
from agent.custody import FOLDER as CERTIFICATES
from agent.errors import AgentError, StoreError
from agent.log import Log
from agent.setup import DATABASE
from agent.setup import RESET_MARK as MARK
from agent.store.recorder import FOLDER as RECORDER
from agent.store.store import Store
from agent.support import FOLDER as OUTGOING
from agent.support import KNOWN_HOSTS
from agent.updates import FOLDER as FIRMWARE

MAX_MARK_BYTES = 4096
STATE = (f"{DATABASE}*", CERTIFICATES, OUTGOING, FIRMWARE, RECORDER, KNOWN_HOSTS)


def order(config: Config, by: str, why: str, discard: bool) -> None:
    """Leave the mark for the next process. Raises AgentError when the disk does not take it."""
    folder = Path(config.storage.dir)
    fresh = folder / f"{MARK}.new"
    try:
        with fresh.open("w", encoding="utf-8") as file:
            json.dump({"by": by, "why": why, "discard": discard}, file)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(folder / MARK)
        _settle(folder)
    except OSError as error:
        raise AgentError(f"{folder}: the order cannot be written: {error.strerror or error}") from None


def carry_out(config: Config, log: Log) -> None:
    """Before the store is opened: do what the mark says, or say why not. Raises StoreError while another process has
    the store: then this one ends, and the mark is there for the next."""
    mark = Path(config.storage.dir) / MARK
    try:
        told = json.loads(mark.read_text("utf-8")[:MAX_MARK_BYTES])
        by, why, discard = str(told["by"]), str(told["why"]), told["discard"] is True
    except (OSError, ValueError, TypeError, KeyError):
        log.warning("FactoryResetRefused", f"{mark}: the order cannot be read")
        _forget(mark)
        return
    hindrance = _hindrance(config, discard)
    if hindrance:
        log.warning("FactoryResetRefused", f"ordered by {by}, not done: {hindrance}", why=why)
    else:
        left = [str(path) for path in _targets(config) if not _erase(path, _named(config))]
        if left:
            log.error("FactoryResetNotWhole", f"ordered by {by}; these could not be removed: {', '.join(left[:5])}")
        else:
            log.info("FactoryReset", f"ordered by {by}: all that was remembered is removed", why=why)
    _forget(mark)


def _hindrance(config: Config, discard: bool) -> str:
    store = Store(Path(config.storage.dir) / DATABASE)
    store.open("")
    try:
        memory, counts = store.restore(), store.counts()
        waits = counts.rows or len(store.dead_letters())
    except StoreError as error:
        return str(error)
    finally:
        with suppress(StoreError):
            store.close()
    if memory.open_transactions:
        return "a transaction is open"
    return "" if discard or not waits else "transactions wait for the CSMS"


def _targets(config: Config) -> Iterator[Path]:
    folder = Path(config.storage.dir)
    for name in STATE:
        yield from sorted(folder.glob(name))
    if config.security.dir:
        yield Path(config.security.dir)


def _named(config: Config) -> set[Path]:
    """Files of the configuration, wherever they stand."""
    slots = (config.csms, *config.csms.fallback)
    names: list[Any] = [config.path, config.service.maps_dir]
    for csms in slots:
        names += [csms.ca_file, csms.client_certificate_file, csms.client_key_file]
    return {Path(name).resolve() for name in names if name}


def _erase(path: Path, spared: set[Path]) -> bool:
    """Remove it with all that is in it; whether that could be done. What is spared stays where it is."""
    if path.resolve() in spared:
        return True
    try:
        if path.is_dir() and not path.is_symlink():
            done = [_erase(inner, spared) for inner in sorted(path.iterdir())]  # all of it, whatever fails
            with suppress(OSError):  # something in it is spared, or stays
                path.rmdir()
            return all(done)
        path.unlink(missing_ok=True)
    except OSError:
        return False
    return True


def _forget(mark: Path) -> None:
    with suppress(OSError):
        mark.unlink(missing_ok=True)
        _settle(mark.parent)


def _settle(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
