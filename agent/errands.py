"""Errands: work that takes time and is done beside the loop, one bounded task each; what came of it is fed as an event.

A handler takes the errand and gives the event that answers it, or None. It turns every operating fault into such an
event; whatever else it raises is a bug and ends the process. An errand under way ends with the process: the block that
ordered it remembers what is unfinished and orders it anew after the restart.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from agent.core.effects import Errand
from agent.core.events import Event

MAX_ERRANDS = 16  # blocks have at most one of a kind under way
Handler = Callable[[Any], Awaitable[Event | None]]


class Errands:
    """`feed` takes an event to the runtime; `failed` is told of a bug."""

    def __init__(self, feed: Callable[[Event], Awaitable[None]], failed: Callable[[BaseException], None]) -> None:
        self._feed, self._failed = feed, failed
        self._handlers: dict[type[Errand], Handler] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def serve(self, kind: type[Errand], handler: Handler) -> None:
        """From now on errands of this type are done by `handler`."""
        self._handlers[kind] = handler

    def begin(self, errand: Errand) -> None:
        """Never waits."""
        assert len(self._tasks) < MAX_ERRANDS, f"too many errands under way for {errand!r}"
        task = asyncio.ensure_future(self._do(errand))
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    async def _do(self, errand: Errand) -> None:
        event = await self._handlers[type(errand)](errand)
        if event is not None:
            await self._feed(event)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failed(error)

    async def close(self) -> None:
        """Give up what is under way."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=1.0)
