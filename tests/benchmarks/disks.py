"""What the disk sees: fdatasync calls and bytes, of the agent's process by strace."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.central import Central
from tests.benchmarks.measures import SETTLE_S, charge
from tests.benchmarks.stage import charger, child_of, running

STRACE = ("strace", "-f", "-qq", "-y", "-e", "trace=fdatasync,fsync,pwrite64,write,writev,pwritev")


@dataclass(frozen=True)
class Disk:
    """fdatasync calls, and bytes written to files of the store."""

    syncs: float
    bytes: float

    def per(self, count: int) -> Disk:
        return Disk(self.syncs / count, self.bytes / count)

    def __add__(self, other: Disk) -> Disk:
        return Disk(self.syncs + other.syncs, self.bytes + other.bytes)


@dataclass(frozen=True)
class Disks:
    """`stored`: a sample while the central system is away. `told`: a sample, stored, told, answered and gone.
    `transaction`: all that a transaction takes besides its samples."""

    idle: Disk
    stored: Disk
    told: Disk
    transaction: Disk


class _Trace:
    """What strace has written; `since()` gives what is new."""

    def __init__(self, path: Path) -> None:
        self._path, self._mark = path, 0

    def since(self) -> Disk:
        text = self._path.read_bytes()
        lines = [line for line in text[self._mark :].decode(errors="replace").splitlines() if "/memory/" in line]
        self._mark = len(text)
        written = (int(n) for line in lines for n in re.findall(r"write\w*\(.*= (\d+)$", line))
        return Disk(sum("sync(" in line for line in lines), sum(written))


async def disk(central: Central, version: str, span_s: float) -> Disks:
    """Idle, then charging, then charging while the link is down."""
    async with charger(central.url, version) as scene:
        words = (*STRACE, "-o", str(scene.folder / "trace"))
        central.expect(version)
        with running(*scene.agent, log=scene.log, before=words) as tracer:
            await central.heard("StatusNotification")
            await asyncio.sleep(SETTLE_S + 1)
            trace = _Trace(scene.folder / "trace")
            trace.since()
            await asyncio.sleep(span_s)
            idle = trace.since()
            await charge(scene, central, version)
            begin, count = trace.since(), central.tx_count
            await asyncio.sleep(span_s)
            told, samples = trace.since(), central.tx_count - count
            central.hang_up()
            await asyncio.sleep(1.0)
            trace.since()
            await _next_write(trace)
            began = time.monotonic()
            await asyncio.sleep(span_s)
            stored = trace.since() + await _next_write(trace)
            stored = stored.per(round(time.monotonic() - began))
            os.kill(child_of(tracer.pid), signal.SIGTERM)  # a tracer does not pass it on
    one = told.per(samples)
    return Disks(idle, stored, one, Disk(begin.syncs - one.syncs * (count - 1), begin.bytes - one.bytes * (count - 1)))


async def _next_write(trace: _Trace) -> Disk:
    """What is written up to the end of the next sample, which comes each second: so whole samples are counted."""
    found = trace.since()
    async with asyncio.timeout(10.0):
        while not found.syncs:
            await asyncio.sleep(0.02)
            found += trace.since()
    await asyncio.sleep(0.2)  # all that belongs to it
    return found + trace.since()


def sync_us() -> float:
    """One fdatasync of one page, median of 200."""
    times = []
    with tempfile.TemporaryFile() as file:
        for n in range(200):
            os.pwrite(file.fileno(), b"x" * 4096, n * 4096)
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            times.append((time.perf_counter() - began) * 1e6)
    return statistics.median(times)
