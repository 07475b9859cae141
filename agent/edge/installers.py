"""Installers: who puts a fetched file on the board. A configured command, or RAUC by its own command.

Both are programs that are run with a deadline; their output goes to the journal, bounded. A program that is given up,
or whose errand ends with the process, is ended with all that it has started.

RAUC: `status` names the slot that runs, `info` verifies a bundle's signature and whether it is for this charger,
`install` writes the other slot and makes it the next one, `status mark-good` keeps the boot loader from going back.
That a bundle is "verified" says nothing of its payload, which is checked while it is written.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from agent.core.firmware import Activation
from agent.core.record import record
from agent.errors import OperatingFault
from agent.log import Log

REFUSED = 65  # exit code of a command: the file is no firmware for this charger (EX_DATAERR)
LOOK_S = 30.0
END_S = 5.0  # how long a program may take to end when it is told to
DRAIN_S = 1.0
BUSY_S = 10.0
MAX_OUTPUT = 256 * 1024
MAX_LINES, MAX_LINE = 100, 200
_NOT_INHERITED = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "CREDENTIALS_DIRECTORY")


class InstallerError(OperatingFault):
    """An installer's program could not be run, failed, or did not end."""


@record
class Outcome:
    """As in `FirmwareInstalled`."""

    activation: Activation = Activation.NONE
    target: str = ""
    why: str = ""
    refused: bool = False


class Installer(Protocol):
    async def running(self) -> str:
        """Names the slot or version that runs; empty: it cannot be told. InstallerError."""
        ...

    async def install(self, file: Path) -> Outcome:
        """Returns when it is on the disk. InstallerError."""
        ...

    async def keep(self) -> None:
        """What runs is good. InstallerError."""
        ...


class Command:
    """Programs of the manufacturer's; `install` gets the file's path as its last argument, and its exit code counts."""

    def __init__(
        self,
        install: Sequence[str],
        *,
        version: Sequence[str] = (),
        keep: Sequence[str] = (),
        activation: Activation = Activation.REBOOT,
        deadline_s: float = 1800.0,
        log: Log,
    ) -> None:
        self._install, self._version, self._keep = tuple(install), tuple(version), tuple(keep)
        self._activation, self._deadline_s, self._log = activation, deadline_s, log

    async def running(self) -> str:
        if not self._version:
            return ""
        code, output = await run(self._version, LOOK_S)
        if code:
            raise InstallerError(f"{self._version[0]} ended with exit code {code}")
        lines = output.decode("utf-8", "replace").split("\n")
        return "".join(c for c in lines[0] if c.isprintable()).strip()[:MAX_LINE]

    async def install(self, file: Path) -> Outcome:
        code, output = await run((*self._install, str(file)), self._deadline_s, self._log)
        if code == 0:
            return Outcome(self._activation)
        return Outcome(why=_why(code, output), refused=code == REFUSED)

    async def keep(self) -> None:
        if self._keep:
            await _must(self._keep, LOOK_S, self._log)


class Rauc:
    """`program`: how RAUC is called, with its options for all commands if there are any."""

    def __init__(self, program: Sequence[str], *, deadline_s: float = 1800.0, log: Log) -> None:
        self._program, self._deadline_s, self._log = tuple(program), deadline_s, log

    async def running(self) -> str:
        return _booted(await self._status())

    async def install(self, file: Path) -> Outcome:
        code, output = await run((*self._program, "info", str(file)), LOOK_S, self._log)
        if code:
            return Outcome(why=_why(code, output), refused=True)
        code, output = await self._when_free("install", str(file))
        if code:
            return Outcome(why=_why(code, output))
        status = await self._status()
        target = str(status.get("boot_primary") or "")
        if target == _booted(status):
            return Outcome(why="the boot loader still prefers the slot that runs")
        return Outcome(Activation.REBOOT, target)

    async def keep(self) -> None:
        await _must((*self._program, "status", "mark-good"), LOOK_S, self._log)

    async def _when_free(self, *words: str) -> tuple[int, bytes]:
        """RAUC's service goes on with an installation whose client has died: wait for that one."""
        until = asyncio.get_running_loop().time() + self._deadline_s
        while True:
            left_s = until - asyncio.get_running_loop().time()
            code, output = await run((*self._program, *words), max(left_s, 1.0), self._log)
            if code == 0 or b"Already processing" not in output or left_s < BUSY_S:
                return code, output
            await asyncio.sleep(BUSY_S)

    async def _status(self) -> dict[str, Any]:
        code, output = await run((*self._program, "status", "--output-format=json"), LOOK_S)
        try:
            found = json.loads(output)
        except ValueError:
            found = None
        if code or not isinstance(found, dict):
            raise InstallerError(f"{self._program[0]} status: exit code {code}, and no status in JSON")
        return found


def _booted(status: dict[str, Any]) -> str:
    """The name of the slot that runs, as `boot_primary` spells it."""
    slots = status.get("slots")
    for entry in slots if isinstance(slots, list) else []:
        for name, slot in entry.items() if isinstance(entry, dict) else ():
            if isinstance(slot, dict) and slot.get("state") == "booted":
                return str(name)
    return ""


# --- running a program ------------------------------------------------------------------------------------------


async def _must(argv: Sequence[str], deadline_s: float, log: Log) -> None:
    code, output = await run(argv, deadline_s, log)
    if code:
        raise InstallerError(f"{argv[0]}: {_why(code, output)}")


def _why(code: int, output: bytes) -> str:
    lines = [line.strip() for line in output.decode("utf-8", "replace").splitlines() if line.strip()]
    tail = "".join(c for c in lines[-1] if c.isprintable())[:MAX_LINE] if lines else ""
    return f"exit code {code}" + (f": {tail}" if tail else "")


async def run(argv: Sequence[str], deadline_s: float, log: Log | None = None) -> tuple[int, bytes]:
    """Exit code and the last of the output, which goes to `log` line by line, errors included; without a log, errors
    are left out. InstallerError when it cannot be started or does not end."""
    output = bytearray()
    ours, theirs = os.pipe()  # our own: what a program leaves behind may hold its end for ever, and we close ours
    stream, pipe = await _listen(ours)
    reading = asyncio.ensure_future(_read(stream, output, log, argv[0]))
    try:
        try:
            process = await _started(argv, theirs, with_errors=log is not None)
        finally:
            os.close(theirs)
        code = await _ended(process, argv[0], deadline_s)
        await asyncio.wait([reading], timeout=DRAIN_S)
    finally:
        reading.cancel()
        pipe.close()
    return code, bytes(output)


async def _listen(fd: int) -> tuple[asyncio.StreamReader, asyncio.ReadTransport]:
    stream = asyncio.StreamReader()
    file = os.fdopen(fd, "rb", 0)
    loop = asyncio.get_running_loop()
    pipe, _protocol = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stream), file)
    return stream, pipe


async def _started(argv: Sequence[str], output: int, *, with_errors: bool) -> asyncio.subprocess.Process:
    environ = {key: value for key, value in os.environ.items() if key not in _NOT_INHERITED} | {"LC_ALL": "C"}
    try:
        return await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output if with_errors else asyncio.subprocess.DEVNULL,
            env=environ,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        raise InstallerError(f"{argv[0]} cannot be run: {getattr(error, 'strerror', None) or error}") from None


async def _ended(process: asyncio.subprocess.Process, name: str, deadline_s: float) -> int:
    try:
        async with asyncio.timeout(deadline_s):
            return await process.wait()
    except TimeoutError:
        await _end(process)
        raise InstallerError(f"{name} did not end within {deadline_s:.0f} s") from None
    except asyncio.CancelledError:
        await _end(process)
        raise


async def _read(stream: asyncio.StreamReader, output: bytearray, log: Log | None, name: str) -> None:
    left = MAX_LINES
    rest = b""
    while block := await stream.read(4096):
        output += block
        del output[:-MAX_OUTPUT]
        *lines, rest = (rest + block).split(b"\n")
        rest = rest[-MAX_LINE:]
        for line in lines[:left] if log is not None else ():
            _show(log, name, line)
        left -= min(left, len(lines))
    if rest and left:
        _show(log, name, rest)


def _show(log: Log | None, name: str, line: bytes) -> None:
    text = "".join(c for c in line.decode("utf-8", "replace") if c.isprintable()).strip()
    if text and log is not None:
        log.info("Installer", f"{Path(name).name}: {text[:MAX_LINE]}")


async def _end(process: asyncio.subprocess.Process) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(TimeoutError):
            async with asyncio.timeout(END_S):
                await process.wait()
                return
