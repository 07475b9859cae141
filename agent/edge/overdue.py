"""A limit for waits that are many and nearly always short: one timer serves them all.

`asyncio.timeout` makes and cancels a timer for each wait, which costs more than sending a frame does. Here the timer is
set at the first wait and looks, when it fires, at the oldest one that has not ended; with none left it stays off.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Overdue:
    """`expired` is called in the loop when a wait that has begun has not ended within `limit_s`."""

    def __init__(self, limit_s: float, expired: Callable[[], None]) -> None:
        self._limit_s = limit_s
        self._expired = expired
        self._loop = asyncio.get_running_loop()
        self._began: dict[object, float] = {}  # the oldest first
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> object:
        ticket, now = object(), self._loop.time()
        self._began[ticket] = now
        if self._timer is None:
            self._timer = self._loop.call_at(now + self._limit_s, self._look)
        return ticket

    def end(self, ticket: object) -> None:
        self._began.pop(ticket, None)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None

    def _look(self) -> None:
        """Only the oldest wait matters: it is the first to be overdue."""
        oldest = next(iter(self._began.values()), None)
        self._timer = None
        if oldest is None:
            return
        due = oldest + self._limit_s
        if due <= self._loop.time():
            self._expired()
        else:
            self._timer = self._loop.call_at(due, self._look)
