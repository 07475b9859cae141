"""Statuses that must reach the CSMS: in order, each once, also over a restart. Not a block; one that tells owns it.

One at a time is on its way, so a lost connection cannot swap two. A status that is refused or never answered is tried
again a few times and then given up: the next one says more.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

from agent.blocks.kept import Kept, flag, maybe, text, whole
from agent.core.deadlines import Deadlines
from agent.core.effects import Ask, Call, Effect, FirmwareStatus, Forget, Remember
from agent.core.types import Instant

MAX_WAITING = 24  # two updates tell fewer
MAX_TRIES = 4
AGAIN_S = 30.0


class Telling:
    """`table` and `key`: where the untold ones are remembered."""

    def __init__(self, table: str, key: str = "untold") -> None:
        self._table, self._key = table, key
        self._waiting: deque[FirmwareStatus] = deque()
        self._open: FirmwareStatus | None = None
        self._tries = 0
        self.deadlines = Deadlines()

    def __bool__(self) -> bool:
        """Something is not told yet."""
        return bool(self._waiting)

    def restore(self, kept: Kept) -> Iterator[Effect]:
        self._waiting.extend(kept.row(self._key, _decode) or ())
        yield from self._next()

    def tell(self, status: FirmwareStatus) -> Iterator[Effect]:
        self._waiting.append(status)
        if len(self._waiting) > MAX_WAITING:
            del self._waiting[1]  # the first one is on its way
        yield self._remember()
        yield from self._next()

    def done(self, call: Call) -> Iterator[Effect]:
        """A call was answered; ours or not."""
        if call is self._open:
            yield from self._past()

    def failed(self, call: Call, why: str, now: Instant) -> Iterator[Effect]:
        if call is not self._open:
            return
        if why == "offline":
            yield Ask(call)  # it waits there until the link stands again
            return
        self._tries += 1
        if self._tries >= MAX_TRIES:
            yield from self._past()
        else:
            self.deadlines.set("again", now.mono + AGAIN_S)

    def on_tick(self, now: Instant) -> Iterator[Effect]:
        if self.deadlines.due(now.mono) and self._open is not None:
            yield Ask(self._open)

    def _past(self) -> Iterator[Effect]:
        self._open, self._tries = None, 0
        self.deadlines.clear("again")
        self._waiting.popleft()
        yield self._remember() if self._waiting else Forget(self._table, self._key)
        yield from self._next()

    def _next(self) -> Iterator[Effect]:
        if self._open is None and self._waiting:
            self._open = self._waiting[0]
            yield Ask(self._open)

    def _remember(self) -> Remember:
        return Remember(self._table, self._key, [[s.status, s.request_id, s.signed] for s in self._waiting])


def _decode(_key: str, value: list[Any]) -> list[FirmwareStatus]:
    rows = value[-MAX_WAITING:]
    return [FirmwareStatus(text(status), maybe(whole, request_id), flag(signed)) for status, request_id, signed in rows]
