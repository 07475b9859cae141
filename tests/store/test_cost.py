"""What a sample costs the flash: counted, not timed."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

from agent.core.effects import Remember
from agent.store import Store
from tests.store.scenes import drain, sample, started

ROOT = Path(__file__).parents[2]
ROWS = 500
MAX_BYTES = 10_000


def written() -> int:
    """Bytes that this process has handed to write calls."""
    counters = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(counters["wchar"])


def running(path: Path) -> Store:
    store = Store(path)
    store.open()
    store.commit([started("tx"), Remember("open", "tx", {"evse": 1})])
    return store


def test_a_stored_sample_writes_at_most_ten_kilobytes(path: Path) -> None:
    store = running(path)
    before = written()
    for n in range(ROWS):
        store.commit([sample("tx", n + 1)])
    cost = (written() - before) / ROWS
    store.close()
    assert cost < MAX_BYTES


def test_a_delivered_sample_writes_at_most_ten_kilobytes_more(path: Path) -> None:
    store = running(path)
    for n in range(ROWS):
        store.commit([sample("tx", n + 1)])
    before = written()
    drain(store)
    cost = (written() - before) / ROWS
    store.close()
    assert cost < MAX_BYTES


def test_ten_samples_in_one_commit_cost_little_more_than_one(path: Path) -> None:
    store = running(path)
    before = written()
    store.commit([sample("tx", n + 1) for n in range(10)])
    cost = written() - before
    store.close()
    assert cost < 2 * MAX_BYTES


def test_reading_head_and_counts_writes_nothing(path: Path) -> None:
    store = running(path)
    before = written()
    for _ in range(100):
        store.head()
        store.counts()
        store.restore()
    after = written()
    store.close()
    assert after == before


SCRIPT = """
import sys
from agent.store import Store
from tests.store.scenes import *
store = Store(sys.argv[1])
store.open()
store.commit([started("tx")])
for n in range(int(sys.argv[2])):
    store.commit([sample("tx", n + 1)])
"""


def syncs(path: Path, rows: int) -> int:
    """How often a process that stores so many samples waits for the medium."""
    log = path.with_suffix(".strace")
    trace = ["strace", "-f", "-e", "trace=fdatasync,fsync,sync_file_range", "-o", str(log)]
    subprocess.run([*trace, sys.executable, "-c", SCRIPT, str(path), str(rows)], cwd=ROOT, check=True, timeout=120)
    return len(re.findall(r"sync\(\d+\)\s+= 0", log.read_text()))


def test_a_stored_sample_costs_one_fdatasync(path: Path, tmp_path: Path) -> None:
    """Counted by strace; where that is not installed, by what SQLite says of itself."""
    if shutil.which("strace"):
        few, many = syncs(tmp_path / "few.db", 100), syncs(tmp_path / "many.db", 500)
        assert many - few == 400
    store = running(path)
    modes = [store._db.rows(f"PRAGMA {name}")[0][0] for name in ("journal_mode", "synchronous", "locking_mode")]
    store.close()
    assert modes == ["wal", 2, "exclusive"]
