"""A stop button behind registers: which presses are new. See `[stop_button]` in README.md.

Rule kept: a press is told once, also when a poll is repeated or its answer lost.
"""

from __future__ import annotations

from drivers.api import StopButton
from drivers.mapwords import StopRegisters
from drivers.registers import Image, Row, raw, words_from_bits, words_in


class StopPresses:
    """Tells each press once.

    With `count` and `seen` registers: the device counts presses, the agent writes into `seen` the count that it has
    taken. A press is new when the count differs from `seen` and from what was told before. Reading changes nothing, so
    a repeated or lost answer does no harm; `seen` is written a poll after the press was told, so that a press is never
    confirmed and then lost with a cancelled poll; and one made while the agent was down is found at its start.
    Without these registers a press is the change from "none" to a word.
    """

    def __init__(self, registers: StopRegisters) -> None:
        self._registers = registers
        self._told: int | None = None
        self._was: str | None = None

    def to_confirm(self, image: Image) -> tuple[Row, list[int]] | None:
        """What to write into `seen`, when the device does not know it yet."""
        count, seen = self._registers.count, self._registers.seen
        if count is None or seen is None or self._told is None:
            return None
        if words_in(count, image) == words_in(seen, image):
            self._told = None  # confirmed, or the device has restarted
            return None
        return (seen, words_from_bits(seen, self._told)) if raw(seen, words_in(seen, image)) != self._told else None

    def pressed(self, image: Image) -> StopButton | None:
        kind = self._registers.kind
        word = kind.word(words_in(kind.row, image))
        if self._registers.count is None or self._registers.seen is None:
            was, self._was = self._was, word
            return StopButton(word) if word is not None and word != was else None
        count, seen = (raw(row, words_in(row, image)) for row in (self._registers.count, self._registers.seen))
        if count in (seen, self._told):
            return None
        self._told = count
        return StopButton(word) if word is not None else StopButton.OTHER
