"""The last OCPP frames, both ways, in memory: what a bundle shows of the talk with the CSMS; and who listens to it now.

It is fed with every frame, so it keeps them as they are and redacts them only when somebody looks. Bounded in bytes; a
long frame loses its end. Nothing is written to flash for it. A listener has a bound of his own: what he does not take
in time is left out, and he is told how much; while nobody listens it costs nothing.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from agent.core.security import timestamp
from agent.core.types import Instant

BUDGET = 256 * 1024  # characters of all frames, with what keeping one costs
LONGEST = 4096  # characters of one
COST = 160
MAX_LISTENERS = 8
MAX_UNHEARD = 400

T = TypeVar("T")


class Listener(Generic[T]):
    """Takes what is told, for one who hears it by and by."""

    def __init__(self) -> None:
        self._unheard: deque[T] = deque(maxlen=MAX_UNHEARD)
        self._news = asyncio.Event()
        self.missed = 0

    def tell(self, item: T) -> None:
        self.missed += len(self._unheard) == MAX_UNHEARD
        self._unheard.append(item)
        self._news.set()

    async def heard(self) -> T:
        """The oldest that was not heard yet."""
        while not self._unheard:
            self._news.clear()
            await self._news.wait()
        return self._unheard.popleft()


class Trace:
    """`mono` is the clock of `Instant.mono`."""

    def __init__(self, mono: Callable[[], float]) -> None:
        self._mono = mono
        self._frames: deque[tuple[float, str, str]] = deque()
        self._size = 0
        self._listeners: list[Callable[[float, str, str], None]] = []

    def add(self, way: str, text: str) -> float:
        """`way`: "<" from the CSMS, ">" to it, "=" what became of the link. Gives the moment under which it is kept."""
        if len(text) > LONGEST:
            text = text[:LONGEST]
        mono = self._mono()
        self._frames.append((mono, way, text))
        self._size += len(text) + COST
        while self._size > BUDGET:
            self._size -= len(self._frames.popleft()[2]) + COST
        for tell in self._listeners:
            tell(mono, way, text)
        return mono

    def listen(self, tell: Callable[[float, str, str], None]) -> bool:
        """From now on `tell` hears every frame (mono, way, text); False when there are too many already."""
        if len(self._listeners) >= MAX_LISTENERS:
            return False
        self._listeners.append(tell)
        return True

    def leave(self, tell: Callable[[float, str, str], None]) -> None:
        self._listeners.remove(tell)

    def lines(self, now: Instant, oldest: float | None, latest: float | None) -> Iterator[tuple[str, str, str]]:
        """Time, way and frame of those between two moments (UTC epoch seconds), not redacted. A frame from before the
        clock was set gets its true time."""
        for mono, way, text in list(self._frames):
            utc = now.utc - (now.mono - mono)
            if (oldest is None or utc >= oldest) and (latest is None or utc <= latest):
                yield timestamp(utc), way, text
