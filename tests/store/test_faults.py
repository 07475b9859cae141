"""A disk that is full, read-only, or somebody else's: nothing half-applied, nothing harmed, and a word to decide by."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from agent.core.effects import Effect, Remember
from agent.store import Limits, Store, StoreFault
from agent.store.database import RESERVE, WAL_BYTES
from agent.store.faults import translate
from tests.store.conftest import Opener
from tests.store.scenes import drain, ended, sample, started, whole

TINY = Limits(soft_bytes=1 << 20, hard_bytes=100 << 10)  # SQLite's own bound comes before any thinning
ROOT = Path(__file__).parents[2]


def fill_up(store: Store) -> int:
    """Commits until the store refuses; how many rows it took."""
    for n in range(10_000):
        try:
            store.commit([sample("tx", n)])
        except StoreFault as fault:
            if fault.kind == "full":
                return n
            raise
    raise AssertionError("never full")


def test_a_full_store_says_so_and_keeps_what_it_has(opened: Opener) -> None:
    taken = fill_up(opened(TINY))
    assert [e.seq for e in drain(opened(TINY))] == list(range(taken))


def test_a_full_store_still_delivers_and_then_takes_commits_again(opened: Opener) -> None:
    store = opened(TINY)
    fill_up(store)
    drain(store)
    store.commit(whole("ty", 5))
    assert store.counts().rows == 7


def test_of_a_commit_that_fails_nothing_is_left(opened: Opener) -> None:
    store = opened(TINY)
    taken = fill_up(store)
    before = store.counts()
    many: list[Effect] = [Remember("t", "k", 1), *whole("ty", 500)]
    with pytest.raises(StoreFault):
        store.commit(many)
    assert store.counts() == before
    store = opened(TINY)
    assert store.restore().tables == {} and store.counts().rows == taken


def test_an_answer_whose_commit_fails_leaves_its_row_at_the_head(opened: Opener) -> None:
    store = opened(TINY)
    store.commit([started("ty")])
    fill_up(store)
    row = store.head()
    assert row is not None
    with pytest.raises(StoreFault):
        store.answered(row.id, "7", "", whole("tz", 500))
    assert store.head() == row
    assert opened(TINY).head() == row


def test_a_commit_that_failed_can_be_made_again(opened: Opener) -> None:
    store = opened()
    store._db.run("PRAGMA query_only=ON")
    with pytest.raises(StoreFault) as caught:
        store.commit(whole("tx", 3))
    store._db.run("PRAGMA query_only=OFF")
    store.commit(whole("tx", 3))
    assert caught.value.kind == "readonly"
    assert drain(opened()) == [record.event for record in whole("tx", 3)]


def test_clocks_are_unchanged_when_they_cannot_be_stored(store: Store) -> None:
    store._db.run("PRAGMA query_only=ON")
    with pytest.raises(StoreFault):
        store.retime("boot", 5.0)
    store._db.run("PRAGMA query_only=OFF")
    store.retime("boot", 5.0)
    assert store._clocks["boot"][0] == 5.0


def test_a_second_process_cannot_take_the_file(path: Path) -> None:
    first = Store(path)
    first.open()
    with pytest.raises(StoreFault) as caught:
        Store(path).open()
    first.close()
    assert str(caught.value) == f"busy: another agent is running on {path.parent}; there can be one only"


def test_a_file_of_a_later_release_is_left_alone(path: Path) -> None:
    first = Store(path)
    first.open()
    first.commit(whole("tx", 3))
    first._db.run("PRAGMA user_version=99")
    first.close()
    before = path.read_bytes()
    store = Store(path)
    report = store.open()
    store.commit(whole("ty", 3))
    store.close()
    assert report.fault is not None and report.fault.kind == "newer" and path.read_bytes() == before


def test_a_place_that_cannot_be_written_leaves_a_store_in_memory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = Store(tmp_path / "file" / "store.db")
    report = store.open()
    store.commit(whole("tx", 3))
    assert report.fault is not None and store.fault is report.fault and len(drain(store)) == 5
    store.close()


def test_a_store_in_memory_goes_to_disk_when_it_can(tmp_path: Path) -> None:
    obstacle = tmp_path / "place"
    obstacle.write_text("")
    store = Store(obstacle / "store.db")
    store.open()
    store.commit([started("tx"), Remember("open", "tx", {"evse": 1})])
    assert store.recover() is False
    obstacle.unlink()
    assert store.recover() is True and store.fault is None
    store.commit([ended("tx", 1)])
    store.close()
    again = Store(obstacle / "store.db")
    assert again.open().fault is None
    assert [e.seq for e in drain(again)] == [0, 1]
    again.close()


def test_space_that_cannot_be_set_aside_harms_nothing(path: Path) -> None:
    Path(f"{path}{RESERVE}").symlink_to("/nowhere/at/all")
    store = Store(path)
    assert store.open().fault is None
    store.close()


def test_space_that_a_power_cut_kept_from_being_set_aside_is_set_aside_at_the_next_start(path: Path) -> None:
    reserve = Path(f"{path}{RESERVE}")
    reserve.touch()
    store = Store(path)
    store.open()
    store.close()
    assert reserve.stat().st_size == WAL_BYTES


def test_a_bug_in_a_statement_is_not_taken_for_a_fault_of_the_disk() -> None:
    with pytest.raises(sqlite3.OperationalError) as caught:
        sqlite3.connect(":memory:").execute("SELECT nonsense")
    assert translate(caught.value) is None


def test_a_store_in_plain_memory_works(tmp_path: Path) -> None:
    store = Store(":memory:")
    assert store.open().fault is None
    store.commit(whole("tx", 100))
    assert len(drain(store)) == 102
    store.close()


# --- real disks -----------------------------------------------------------------------------------------------


def on_a_small_disk(tmp_path: Path, scene: str) -> str:
    """Run a scene in a process of its own whose `disk` holds 6 MB; a name space of its own takes the mount away."""
    script = f"""
import os, subprocess, sys
from pathlib import Path
from agent.core.effects import *
from agent.store import *
from tests.store.scenes import *
disk = Path({str(tmp_path)!r})
def mount(options): subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", str(disk)], check=True)
mount("size=6m")
{scene}
"""
    user = [] if sys.platform != "linux" or _is_root() else ["--map-root-user"]
    done = subprocess.run(
        ["unshare", *user, "--mount", sys.executable, "-c", script],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def _is_root() -> bool:
    return Path("/proc/self").stat().st_uid == 0


FILL = """
store = Store(disk / "store.db")
store.open()
(disk / "others").write_bytes(bytes(1_500_000))
store.commit([started("tx")])
taken = 1
try:
    while taken < 100_000:
        store.commit([sample("tx", taken)])
        taken += 1
except StoreFault as fault:
    kind = fault.kind
"""


def test_when_the_disk_is_full_everything_stored_can_still_be_told(tmp_path: Path) -> None:
    scene = FILL + "print(kind, [e.seq for e in drain(store)] == list(range(taken)), taken > 500)"
    assert on_a_small_disk(tmp_path, scene) == "full True True"


def test_when_the_disk_is_full_a_transaction_can_still_end(tmp_path: Path) -> None:
    scene = FILL + "store.commit([ended('tx', taken)]); print(store.counts().rows == taken + 1)"
    assert on_a_small_disk(tmp_path, scene) == "True"


def test_on_a_full_disk_a_new_store_comes_up_in_memory(tmp_path: Path) -> None:
    scene = """
try:
    (disk / "others").write_bytes(bytes(7_000_000))
except OSError:
    pass
store = Store(disk / "store.db")
report = store.open()
store.commit(whole("tx", 3))
print(report.fault.kind, len(drain(store)))
"""
    assert on_a_small_disk(tmp_path, scene) == "full 5"


READ_ONLY = """
store = Store(disk / "store.db")
store.open()
store.commit([started("tx"), sample("tx", 1), Remember("open", "tx", {"evse": 1})])
saved = {p.name: p.read_bytes() for p in disk.iterdir()}
mount("size=20m")  # a power cut: what was on disk, on a file system that takes no writes
for name, content in saved.items():
    (disk / name).write_bytes(content)
subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
store = Store(disk / "store.db")
report = store.open()
"""


def test_on_a_read_only_disk_the_store_comes_up_with_all_it_knew(tmp_path: Path) -> None:
    scene = READ_ONLY + "print(report.fault.kind, store.counts().rows, store.restore().open_transactions[0].next_seq)"
    assert on_a_small_disk(tmp_path, scene) == "readonly 2 2"


def test_when_the_disk_can_be_written_again_what_happened_meanwhile_is_stored(tmp_path: Path) -> None:
    scene = (
        READ_ONLY
        + """
store.commit([ended("tx", 2)])
before = store.recover()
subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
print(before, store.recover())
store.close()
store = Store(disk / "store.db")
store.open()
print([e.seq for e in drain(store)])
"""
    )
    assert on_a_small_disk(tmp_path, scene) == "False True\n[0, 1, 2]"


def test_the_fault_of_a_write_that_the_system_refuses_is_io(path: Path) -> None:
    """RLIMIT_FSIZE makes the kernel refuse bytes past a bound."""
    script = f"""
import resource, signal
from agent.store import *
from tests.store.scenes import *
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = Store({str(path)!r}, fast=True)
store.open()
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
taken = 0
try:
    while taken < 1000:
        store.commit([sample("tx", taken)])
        taken += 1
except StoreFault as fault:
    print(fault.kind, taken > 10, store.counts().rows == taken)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.strip() == "io True True", done.stderr
    again = Store(path)
    again.open()
    rows = again.counts().rows
    assert [e.seq for e in drain(again)] == list(range(rows)) and rows > 10
    again.close()
