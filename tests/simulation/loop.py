"""An asyncio loop on a virtual clock: it never sleeps, time jumps to the next timer when nothing is ready.

Every turn of the loop takes a microsecond, as on a real machine: a timer that is due in less than what a float can
still tell from now would otherwise come due for ever, at a time that stands still.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
TURN_S = 1e-6
LEAST_TURN_S = 1e-7


class _Selector(selectors.SelectSelector):
    now_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Nothing here has a file behind it: no system call, only time."""
        assert timeout is not None, "everybody waits and no timer will ever come"
        self.now_s += max(timeout + LEAST_TURN_S, TURN_S)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._clock = _Selector()
        super().__init__(self._clock)
        self._clock_resolution = LEAST_TURN_S

    def time(self) -> float:
        return self._clock.now_s


def run_virtually(main: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
