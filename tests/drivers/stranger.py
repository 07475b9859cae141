"""A slave of libmodbus as its own process, on a pair of pseudo-terminals or on TCP: nothing of ours, nor of pymodbus.

`libmodbus_slave.c` says what it may be told. libmodbus-dev, gcc and mbpoll come with packaging/bootstrap.sh test. Where
they are missing, these tests fail under continuous integration (CI is set), and are skipped on a developer's machine.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import struct
import subprocess
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import NoReturn

import pytest

from drivers.bus import Bus, Policy, SerialSettings, TcpSettings
from drivers.registers import Row, words_from_bits
from drivers.wire import make_bus
from tests.drivers.bus_helpers import Pty

SOURCE = Path(__file__).with_name("libmodbus_slave.c")
UNIT = 7
PATIENT = Policy(timeout_s=2.0, retries=2, deadline_s=9.0, quarantine_s=0.1)
HASTY = Policy(timeout_s=0.2, retries=0, deadline_s=9.0, quarantine_s=0.1)
WAIT_S = 10.0


def is_missing(what: str) -> NoReturn:
    """End the test: nothing is proved without a stranger, and where everything must be proved that is a failure."""
    (pytest.fail if os.environ.get("CI") else pytest.skip)(
        f"needs {what}: packaging/bootstrap.sh test installs it on Debian"
    )


@cache
def program(folder: Path) -> Path:
    """The slave, compiled into `folder`."""
    if not shutil.which("gcc") or not shutil.which("pkg-config"):
        is_missing("gcc and pkg-config")
    words = ["pkg-config", "--cflags", "--libs", "libmodbus"]
    asked = subprocess.run(words, capture_output=True, text=True, check=False)
    if asked.returncode:
        is_missing("libmodbus-dev")
    made = folder / "libmodbus_slave"
    subprocess.run(["gcc", "-Wall", "-o", made, SOURCE, *asked.stdout.split()], check=True)
    return made


class Stranger:
    """The slave, and a bus that reaches it."""

    def __init__(self, process: Process, bus: Bus) -> None:
        self.bus = bus
        self._process = process

    async def said(self) -> str:
        """The next request that it has answered, in its words: function, address, and what it holds after a write."""
        return await line_of(self._process)

    async def has_said(self, words: str) -> bool:
        """Whether that is among what it says next."""
        async with asyncio.timeout(WAIT_S):
            while (await self.said()) != words:
                pass
        return True


@asynccontextmanager
async def stranger(kind: str, folder: Path, image: Sequence[str], policy: Policy = PATIENT) -> AsyncIterator[Stranger]:
    """A slave on "rtu" or "tcp" as unit `UNIT` that was told the lines of `image`."""
    near, far = Pty(folder / "near"), Pty(folder / "far")
    near.on_data, far.on_data = far.send, near.send
    words = ["tcp", str(UNIT)]
    if kind == "rtu":
        near.plug()
        far.plug()
        words = ["rtu", str(far.path), str(UNIT)]
    process = await asyncio.create_subprocess_exec(program(folder.parent), *words, stdin=PIPE, stdout=PIPE)
    bus: Bus | None = None
    try:
        port = await _ready(process, image)
        settings = TcpSettings("127.0.0.1", port) if port else SerialSettings(str(near.path), 115200)
        bus = make_bus(settings, policy)
        yield Stranger(process, bus)
    finally:
        if bus is not None:
            await bus.close()
        await _end(process)
        near.unplug()
        far.unplug()


async def _ready(process: Process, image: Sequence[str]) -> int:
    assert process.stdin is not None
    process.stdin.write("".join(f"{line}\n" for line in (*image, "go")).encode())
    await process.stdin.drain()
    word, port = (await line_of(process)).split()
    assert word == "ready"
    return int(port)


async def _end(process: Process) -> None:
    assert process.stdin is not None
    process.stdin.close()
    try:
        await asyncio.wait_for(process.wait(), 2.0)
    except TimeoutError:
        process.kill()
        await process.wait()


async def line_of(process: Process) -> str:
    assert process.stdout is not None
    line = await asyncio.wait_for(process.stdout.readline(), WAIT_S)
    assert line, "the slave has ended"
    return line.decode().strip()


def held(row: Row, pattern: int) -> list[str]:
    """Image lines for a register's bit pattern."""
    return [f"{row.table} {row.at + k} {word}" for k, word in enumerate(words_from_bits(row, pattern))]


def held_number(row: Row, number: float) -> list[str]:
    """Image lines for a plain number, before its scale; floats and long integers are written by libmodbus's code."""
    if row.type == "float32":
        return [f"float-{'little' if row.little else 'big'} {row.table} {row.at} {number!r}"]
    if row.type in ("int32", "uint32") and not row.little:
        return [f"int32 {row.table} {row.at} {number:.0f}"]
    if row.type == "float64":
        return held(row, int.from_bytes(struct.pack(">d", number), "big"))
    return held(row, round(number) & (1 << 16 * row.words) - 1)
