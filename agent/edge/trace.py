"""The last OCPP frames, both ways, in memory: what a bundle shows of the talk with the CSMS.

It is fed with every frame, so it keeps them as they are and redacts them only when somebody looks. Bounded in bytes; a
long frame loses its end. Nothing is written to flash for it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

from agent.core.security import timestamp
from agent.core.types import Instant

BUDGET = 256 * 1024  # characters of all frames, with what keeping one costs
LONGEST = 4096  # characters of one
COST = 160


class Trace:
    """`mono` is the clock of `Instant.mono`."""

    def __init__(self, mono: Callable[[], float]) -> None:
        self._mono = mono
        self._frames: deque[tuple[float, str, str]] = deque()
        self._size = 0

    def add(self, way: str, text: str) -> None:
        """`way`: "<" from the CSMS, ">" to it, "=" what became of the link."""
        if len(text) > LONGEST:
            text = text[:LONGEST]
        self._frames.append((self._mono(), way, text))
        self._size += len(text) + COST
        while self._size > BUDGET:
            self._size -= len(self._frames.popleft()[2]) + COST

    def lines(self, now: Instant, oldest: float | None, latest: float | None) -> Iterator[tuple[str, str, str]]:
        """Time, way and frame of those between two moments (UTC epoch seconds), not redacted. A frame from before the
        clock was set gets its true time."""
        for mono, way, text in list(self._frames):
            utc = now.utc - (now.mono - mono)
            if (oldest is None or utc >= oldest) and (latest is None or utc <= latest):
                yield timestamp(utc), way, text
