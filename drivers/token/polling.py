"""Card readers that speak only when they are asked (`PolledReader`), by a `Dialogue` of each kind.

Rules kept: one question at a time, each with a bounded wait; a reader that does not answer is greeted anew (it may have
been without power) and after `MAX_SILENT` questions it is gone, which the next call of `token()` tries to mend; the
questions go on while nobody waits, as the bytes of other readers come. Nothing here blocks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from drivers.reason import reason
from drivers.token.normalise import Spelling
from drivers.token.reader import Framer, SerialTokenReader

ANSWER_S = 1.0
POLL_S = 0.25
MAX_SILENT = 3
MAX_REST = 512  # bytes of an answer that has not ended


class Dialogue(Framer, Protocol):
    """A `Framer` with questions. `answers` counts the valid answers so far, whatever they say."""

    answers: int

    @property
    def greeting(self) -> tuple[bytes, ...]:
        """Questions that come once, each after the answer to the one before."""
        ...

    def question(self) -> bytes:
        """Is there a card? It may depend on the answer before."""
        ...


class PolledReader(SerialTokenReader):
    """A `TokenReader` that asks every `POLL_S`."""

    def __init__(
        self,
        port: str,
        make_dialogue: Callable[[], Dialogue],
        baud: int,
        kind: str = "ISO14443",
        spelling: Spelling | None = None,
        again_after_s: float = 1.0,
    ) -> None:
        super().__init__(port, make_dialogue, baud, kind, spelling, again_after_s)
        self._make_dialogue = make_dialogue
        self._dialogue = make_dialogue()
        self._greeted = 0
        self._silent = 0
        self._answers = 0
        self._timer: asyncio.TimerHandle | None = None

    def _opened(self) -> None:
        self._silent = 0
        self._begin()

    def _closed(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _begin(self) -> None:
        self._dialogue = self._make_dialogue()
        self._greeted = self._answers = 0
        self._ask()

    def _ask(self) -> None:
        greeting = self._dialogue.greeting
        text = greeting[self._greeted] if self._greeted < len(greeting) else self._dialogue.question()
        assert self._port is not None
        try:
            self._port.write(text)
        except OSError as error:  # SerialException is one
            self._drop(f"went away: {reason(error)}")
            return
        self._after(ANSWER_S, self._unanswered)

    def _after(self, delay_s: float, then: Callable[[], None]) -> None:
        self._closed()
        self._timer = asyncio.get_running_loop().call_later(delay_s, then)

    def _unanswered(self) -> None:
        self._silent += 1
        if self._silent >= MAX_SILENT:
            self._drop("does not answer")
            return
        self._begin()

    def _heard(self, data: bytes, now: float) -> None:
        cards = self._dialogue.feed(data)
        if self._dialogue.answers != self._answers:
            self._answers, self._silent = self._dialogue.answers, 0
            waits = self._greeted >= len(self._dialogue.greeting)
            self._greeted += not waits
            self._after(POLL_S if waits else 0.0, self._ask)
        for text in cards:
            self._on_card(self._spell(text), now)
