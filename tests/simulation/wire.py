"""The simulated line, with an eye on RTU's trap: no answer may ever be taken for the answer to another question.

A repeat of the same question may be answered by the answer to its first asking: the value was true a moment ago.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from drivers.simulated.plan import SimBus
from drivers.simulated.registers import SimDevice
from drivers.simulated.server import Thinking, Units
from drivers.simulated.wire import SimWire

Question = tuple[int, int, int, int]  # unit, function, address, words
KEPT = 200


class WatchedWire(SimWire):
    """`complain` is told each answer that was taken for another's."""

    def __init__(
        self, bus: SimBus, units: Units, thinking: Thinking, now: Callable[[], None], complain: Callable[[str], None]
    ) -> None:
        super().__init__(bus, units, thinking, now)
        self._complain = complain
        self._origin: dict[int, tuple[Any, Question, float]] = {}  # by the frame's id; the frame is kept with it

    def _answer(
        self, device: SimDevice, unit: int, function: int, address: int, payload: int | Sequence[int], start_s: float
    ) -> None:
        before = len(self._frames)
        super()._answer(device, unit, function, address, payload, start_s)
        question = (unit, function, address, payload if isinstance(payload, int) else len(payload))
        for frame in self._frames[before:]:
            self._origin[id(frame)] = (frame, question, start_s)
        if len(self._origin) > KEPT:
            self._origin = {key: row for key, row in self._origin.items() if row[2] > start_s - 60.0}

    async def transact(
        self, unit: int, function: int, address: int, payload: int | Sequence[int], timeout_s: float
    ) -> list[int]:
        question = (unit, function, address, payload if isinstance(payload, int) else len(payload))
        taken = self._taken

        def watched(frame: Any) -> list[int]:
            words = taken(frame)
            _, asked, _ = self._origin.get(id(frame), (frame, question, 0.0))
            if asked != question and len(words) == (payload if isinstance(payload, int) else 0):
                self._complain(f"the bus took the answer to {asked} for that to {question}")
            return words

        self._taken = watched  # type: ignore[method-assign]
        try:
            return await super().transact(unit, function, address, payload, timeout_s)
        finally:
            self._taken = taken  # type: ignore[method-assign]
