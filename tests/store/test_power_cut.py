"""Real power cuts: an ext4 file system on a loop device loses everything that was not sent to it (FS_IOC_SHUTDOWN).

What a commit has returned for must be there when the file system is mounted again, once and in order, and nothing of a
commit that had not returned may be half there. Needs root for the loop device; elsewhere it says so, in CI it fails.
"""

from __future__ import annotations

import fcntl
import os
import random
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent.store.store import Store

CUTS = 12
SHUTDOWN = 0x8004587D  # _IOR('X', 125, u32)
NO_LOG_FLUSH = 2
WRITER = """
import sys
from tests.store.power_writer import write
write(sys.argv[1], int(sys.argv[2]))
"""


@contextmanager
def mounted(image: Path, where: Path) -> Iterator[None]:
    subprocess.run(["mount", "-o", "loop", str(image), str(where)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(where)], check=True)
        wait_until_let_go(image)


def wait_until_let_go(image: Path) -> None:
    """A mount name space of another test may hold the dead file system; mounted again, it would still be dead."""
    end = time.monotonic() + 60.0
    while subprocess.run(["losetup", "-j", str(image)], capture_output=True, check=True).stdout:
        assert time.monotonic() < end, "somebody holds the file system"
        time.sleep(0.02)


def cut_power(where: Path) -> None:
    """From this moment on nothing reaches the device any more, the journal's last commit included."""
    handle = os.open(where, os.O_RDONLY)
    fcntl.ioctl(handle, SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
    os.close(handle)


def write_until(where: Path, first: int, rows: int) -> int:
    """A process of its own writes; the power goes when it has told of `rows` commits. The last number told before that:
    what is told while the power goes may be a sync that the dying kernel let pass."""
    command = [sys.executable, "-c", WRITER, str(where / "store.db"), str(first)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as writer:
        assert writer.stdout is not None
        for _ in range(rows):
            assert writer.stdout.readline(), "the writer died before its time"
        cut_power(where)
        writer.kill()
    return first + rows - 1


def seqs(path: Path) -> list[int]:
    store = Store(path)
    opened = store.open("boot")
    assert opened.fault is None
    assert opened.lost == ()
    found = []
    while (row := store.head()) is not None:
        found.append(row.event.seq)
        store.answered(row.id, "1", "x")
    store.close()
    return found


@pytest.mark.skipif(os.geteuid() != 0 and "CI" not in os.environ, reason="needs root for a loop device")
def test_what_was_committed_survives_every_power_cut(tmp_path: Path) -> None:
    image, where = tmp_path / "disk.img", tmp_path / "disk"
    where.mkdir()
    subprocess.run(["mke2fs", "-q", "-t", "ext4", str(image), "48M"], check=True, stdout=subprocess.DEVNULL)
    rng = random.Random(11)
    first = 0
    for cut in range(CUTS):
        with mounted(image, where):
            acknowledged = write_until(where, first, rng.randint(1, 120))
        with mounted(image, where):
            found = seqs(where / "store.db")
        assert found == list(range(first, found[-1] + 1)), f"cut {cut}"
        assert acknowledged <= found[-1], f"cut {cut}"
        first = found[-1] + 1
    assert subprocess.run(["e2fsck", "-fn", str(image)], capture_output=True, check=False).returncode == 0
