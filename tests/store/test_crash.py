"""The process dies at any instruction; what had been acknowledged is there, once, in order, and so is the next number.

A forked child works on the file and reports each commit that has returned through a pipe. One sweep ends it at every
commit, right before it or right after it and before memory follows; the other kills it at random moments (SIGKILL), the
same file going through all the deaths. The kernel's page cache survives this; that a commit is on the medium when it
returns is what WAL and synchronous=FULL are for.
"""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from agent.core.effects import Remember
from agent.core.types import TxKind
from agent.store import Store
from agent.store.database import Database
from tests.store.scenes import event, sample, started

STEPS = 24
NAME = "4711"


@dataclass
class Told:
    """What the world has seen of one transaction: events recorded, and events taken by the CSMS."""

    recorded: int = 0
    taken: int = 0


def work(store: Store, rng: random.Random, steps: int, say: Callable[[bytes], object]) -> None:
    """Record and deliver, at random; `say` b"r" or b"t" when the commit has returned."""
    found = store.restore().open_transactions
    seq = found[0].next_seq if found else 0
    for _ in range(steps):
        row = store.head()
        if row is not None and rng.random() < 0.45:
            first = row.event.kind is TxKind.STARTED
            store.answered(row.id, NAME if first else None, "x", [Remember("last", "taken", row.event.seq)])
            say(b"t")
        else:
            store.commit([started("tx"), Remember("open", "tx", {"evse": 1})] if seq == 0 else [sample("tx", seq)])
            seq += 1
            say(b"r")


def check(path: Path, told: Told) -> None:
    """At most the one commit that was under way may be there without having been reported; then it counts as such."""
    store = Store(path, fast=True)
    report = store.open()
    restored = store.restore()
    found = restored.open_transactions
    next_seq = found[0].next_seq if found else 0
    rows = store.counts().rows
    head = store.head()
    store.close()
    taken = next_seq - rows
    assert report.lost == () and report.fault is None
    assert 0 <= next_seq - told.recorded + taken - told.taken <= 1
    assert next_seq >= told.recorded and taken >= told.taken
    told.recorded, told.taken = next_seq, taken
    assert restored.tables.get("last", {}).get("taken", -1) == taken - 1
    if head is not None:
        assert head.event.seq == taken and head.csms_id == (NAME if taken else None)


def child(job: Callable[[Callable[[bytes], object]], None]) -> tuple[int, int]:
    """Fork; the process id and what its reports can be read from."""
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(read_end)
            job(lambda word: os.write(write_end, word))
        finally:
            os._exit(0)
    os.close(write_end)
    return pid, read_end


def reports(read_end: int, told: Told) -> None:
    with os.fdopen(read_end, "rb") as pipe:
        words = pipe.read()
    told.recorded += words.count(b"r")
    told.taken += words.count(b"t")


def die_at(store: Store, commit: int, moment: str) -> None:
    """End this process at the n-th commit: before it, or after it and before anybody knows."""
    db, count = store._db, 0
    real = Database.transact

    def deadly(work_: Callable[[], object]) -> object:
        nonlocal count
        count += 1

        def last() -> object:
            result = work_()
            if count == commit and moment == "before":
                os._exit(1)
            return result

        result = real(db, last)
        if count == commit and moment == "after":
            os._exit(1)
        return result

    db.transact = deadly  # type: ignore[method-assign, assignment]


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("commit", range(1, STEPS + 1))
def test_death_at_a_commit_loses_nothing_and_doubles_nothing(path: Path, commit: int, moment: str) -> None:
    def job(say: Callable[[bytes], object]) -> None:
        store = Store(path)
        store.open()
        die_at(store, commit, moment)
        work(store, random.Random(commit), STEPS, say)

    told = Told()
    pid, read_end = child(job)
    reports(read_end, told)
    os.waitpid(pid, 0)
    assert told.recorded + told.taken == commit - 1
    check(path, told)
    expected = commit - 1 if moment == "before" else commit
    assert told.recorded + told.taken == expected


@pytest.mark.parametrize("seed", range(4))
def test_a_file_goes_through_many_kills_without_loss_or_repeat(path: Path, seed: int) -> None:
    rng = random.Random(seed)
    told = Told()
    for life in range(25):

        def job(say: Callable[[bytes], object], life: int = life) -> None:
            store = Store(path)
            store.open()
            work(store, random.Random(seed * 1000 + life), 10_000, say)

        pid, read_end = child(job)
        patience = rng.randrange(1, 120)
        seen = b""
        while len(seen) < patience and (more := os.read(read_end, 1)):
            seen += more
        os.kill(pid, signal.SIGKILL)
        told.recorded += seen.count(b"r")
        told.taken += seen.count(b"t")
        reports(read_end, told)
        os.waitpid(pid, 0)
        check(path, told)
    store = Store(path)
    store.open()
    rest = []
    while (row := store.head()) is not None:
        rest.append(row.event)
        store.answered(row.id)
    store.close()
    assert [e.seq for e in rest] == list(range(told.taken, told.recorded))
    assert rest[1:2] == [event("tx", told.taken + 1)][: len(rest[1:2])]
