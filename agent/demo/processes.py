"""The demo's two child processes: the simulated hardware and the agent. Each has a log file, and none outlives us.

They are the same commands that a person would type (`chargepoint simulate`, `chargepoint run`), in sessions of their
own, so that Ctrl-C reaches the demo alone, which ends them in order. Should the demo be killed, the kernel ends them.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

END_S = 8.0  # the agent promises 5 s
TAIL_LINES = 25


class Child:
    """One command, again and again if it must be."""

    def __init__(self, words: Sequence[str], log: Path) -> None:
        self.words = tuple(words)
        self.log = log
        self.starts = 0
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        """None when it does not run."""
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    @property
    def exit_code(self) -> int | None:
        return self._process.returncode if self._process is not None else None

    async def start(self) -> None:
        assert self.pid is None, "one at a time"
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *_ended_with_us(),
                *_ourselves(),
                *self.words,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=os.environ | {"PYTHONUNBUFFERED": "1"},
            )
        self.starts += 1

    async def kill(self) -> None:
        """SIGKILL: it cannot hear it coming. Nothing happens to one that does not run."""
        if self._process is None or self._process.returncode is not None:
            return
        self._process.kill()
        await asyncio.wait_for(self._process.wait(), END_S)

    async def stop(self) -> None:
        """SIGTERM, and SIGKILL when that is not heard."""
        if self._process is None or self._process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self._process.wait(), END_S)
        except TimeoutError:
            await self.kill()

    async def ended(self) -> int:
        assert self._process is not None
        return await self._process.wait()

    def tail(self, lines: int = TAIL_LINES) -> list[str]:
        """The last lines of its log."""
        try:
            return self.log.read_text(errors="replace").splitlines()[-lines:]
        except OSError:
            return []


def _ended_with_us() -> tuple[str, ...]:
    """What stands before a command so that it gets SIGTERM when we die; it becomes that command, under its own pid."""
    setpriv = shutil.which("setpriv")
    return (setpriv, "--pdeathsig", "TERM") if setpriv else ()


def _ourselves() -> tuple[str, ...]:
    """How this program was called: by its installed name, which knows where its modules are, or as a module."""
    called = Path(sys.argv[0])
    if called.name == "chargepoint" and os.access(called, os.X_OK):
        return (str(called.absolute()),)
    return (sys.executable, "-m", "agent")
