"""Who has set a variable of the device model, and when: for each one the last who did. "" stands for the CSMS."""

from __future__ import annotations

from typing import Any, ClassVar

from agent.blocks.kept import Kept, instant, text
from agent.blocks.logbook import retimed
from agent.blocks.station import Block, Out
from agent.core.effects import Forget, Remember
from agent.core.events import Restored, VariableChanged
from agent.core.security import ClockSet
from agent.core.types import Instant

TABLE = "writers"


class Writers(Block):
    """Bounded by the number of variables."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[str, Instant]] = {}

    def last(self, name: str) -> tuple[str, Instant] | None:
        """By whom and when, if anybody has."""
        return self._last.get(name)

    def on_restored(self, e: Restored, _now: Instant) -> Out:
        kept = Kept(e, TABLE)
        self._last = kept.rows(_decode)
        return kept.forget()

    def on_changed(self, e: VariableChanged, now: Instant) -> Out:
        name = str(e.id)
        if e.by is None:
            self._last.pop(name, None)
            yield Forget(TABLE, name)
        else:
            self._last[name] = (e.by, now)
            yield Remember(TABLE, name, [e.by, [now.mono, now.utc, int(now.quality), now.boot]])

    def on_clock(self, _e: ClockSet, now: Instant) -> Out:
        self._last = {name: (by, retimed(at, now)) for name, (by, at) in self._last.items()}
        return iter(())

    HEARS: ClassVar = {Restored: "on_restored", VariableChanged: "on_changed", ClockSet: "on_clock"}


def _decode(_key: str, value: Any) -> tuple[str, Instant]:
    by, at = value
    return text(by), instant(at)
