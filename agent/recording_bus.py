"""Which exchanges with the devices are kept in the flight recording: all that went wrong, what is written, what has
changed; not what a meter says ten times a second.

What the values mean is in the recording already, in the steps that heard them; this shows what really crossed the line.
So for each request (device, function, address) an exchange is told when

* its outcome is another than before: an error, another error, an answer again; of one that flutters, each `CALM_S`;
* other values are written;
* other values were read, at most once in as many seconds as they are registers;

with how many there were since the last one told, and how many of these failed. An exchange from which nothing follows,
which is nearly all of them, costs the loop a look into a table. Registers that no map names and that hold a text (what
a meter is to sign has the driver's card in it) are told without it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from drivers.busstats import Exchange

CALM_S = 5.0
MAX_KNOWN = 200  # requests of which the last is known
WRITES = frozenset((5, 6, 15, 16))


class _Known:
    __slots__ = ("calm_until", "count", "due", "error", "failed", "words")

    def __init__(self) -> None:
        self.error, self.due, self.calm_until = "", 0.0, 0.0
        self.words: tuple[int, ...] | None = None
        self.count = self.failed = 0


class BusFrames:
    """`record(mono, line)` takes what is to be kept; `mono` is the clock of `Instant.mono`."""

    def __init__(self, record: Callable[[float, tuple[Any, ...]], None], mono: Callable[[], float]) -> None:
        self._record, self._mono = record, mono
        self._known: dict[tuple[str, int, int, int], _Known] = {}

    def forget(self) -> None:
        """A segment begins, which is to be understood without the others."""
        self._known.clear()

    def hear(self, told: Exchange) -> None:
        """To be called with each exchange of each bus."""
        key = (told.bus, told.device.unit, told.function, told.address)
        known = self._known.get(key)
        if known is None:
            if len(self._known) >= MAX_KNOWN:
                self._known.clear()
            known = self._known[key] = _Known()
        known.count += 1
        error = told.error
        if error:
            known.failed += 1
            if error == known.error:
                return
        elif error == known.error and told.function not in WRITES and self._mono() < known.due:
            return
        self._tell(known, told)

    def _tell(self, known: _Known, told: Exchange) -> None:
        asked = told.payload if isinstance(told.payload, int) else len(told.payload)
        words = tuple(told.answer if isinstance(told.payload, int) else told.payload)
        if told.error != known.error:
            if self._mono() < known.calm_until:
                return
            known.calm_until = self._mono() + CALM_S
        elif words == known.words:
            return
        from drivers.overheard import is_text

        mono = self._mono()
        shown = None if is_text(told) else "".join(f"{word:04X}" for word in words)
        self._record(
            mono,
            (
                *(told.bus, told.device.unit, str(told.device.label), told.function, told.address, asked),
                *(shown, told.error, known.count, known.failed),
            ),
        )
        known.error, known.words, known.due = told.error, words, mono + max(1, asked)
        known.count = known.failed = 0
