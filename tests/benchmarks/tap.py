"""A wire tap: a pseudo-terminal pair between the agent and the simulated line that notes each frame and its time.

A frame from the master is complete when it is read here; an answer when the line has carried its last byte, since the
simulated line hands it over then. So `time between` two frames is what an analyser on the real line would show.
"""

from __future__ import annotations

import asyncio
import os
import time
import tty
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

READ_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Frame:
    at: float
    from_master: bool
    data: bytes


class Tap:
    """`outer` is where the agent looks for its port, `inner` where the simulated line is."""

    def __init__(self, outer: Path, inner: Path) -> None:
        self._outer, self._inner = outer, inner
        self.frames: list[Frame] = []

    async def __aenter__(self) -> Self:
        self._ours, self._theirs = os.openpty()
        tty.setraw(self._theirs)
        self._line = os.open(self._inner, os.O_RDWR | os.O_NOCTTY)
        tty.setraw(self._line)
        self._outer.symlink_to(os.ttyname(self._theirs))
        loop = asyncio.get_running_loop()
        loop.add_reader(self._ours, self._carry, self._ours, self._line, True)
        loop.add_reader(self._line, self._carry, self._line, self._ours, False)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        loop = asyncio.get_running_loop()
        for fd in (self._ours, self._line):
            loop.remove_reader(fd)
        for fd in (self._ours, self._line, self._theirs):
            os.close(fd)

    def _carry(self, source: int, sink: int, from_master: bool) -> None:
        now = time.monotonic()
        data = os.read(source, READ_BYTES)
        self.frames.append(Frame(now, from_master, data))
        os.write(sink, data)
