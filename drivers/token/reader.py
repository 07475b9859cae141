"""What all serial card readers share: the port, and telling each card once.

A reader's own part is a `Framer`, which turns bytes into card texts. Bytes are taken when they come, also while nobody
waits, so that a card held to the reader is told once, until it was away for `again_after_s`.

Rules kept: at most `MAX_KEPT` cards wait to be fetched, and none longer than `MAX_AGE_S` (a card of minutes ago must
not start a session); an unplugged reader is a DriverError, and the next call opens the port anew; a thread is used for
opening only, which may block.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from drivers.api import DriverError, IdToken
from drivers.reason import reason
from drivers.token.normalise import Spelling, normalise

if TYPE_CHECKING:
    from serial import Serial

MAX_KEPT = 4
MAX_AGE_S = 5.0
MAX_REMEMBERED = 16
MAX_PAUSE_S = 0.5  # inside one card's bytes
CHUNK_BYTES = 256


class Framer(Protocol):
    """Finds cards in a stream of bytes; keeps a bounded rest, and finds its way again after garbage."""

    def feed(self, data: bytes) -> list[str]: ...


class SerialTokenReader:
    """A `TokenReader` on a serial port."""

    def __init__(
        self,
        port: str,
        make_framer: Callable[[], Framer],
        baud: int = 9600,
        kind: str = "ISO14443",
        spelling: Spelling | None = None,
        again_after_s: float = 1.0,
    ) -> None:
        self._name = port
        self._baud = baud
        self._kind = kind
        self._make_framer = make_framer
        self._framer = make_framer()
        self._heard_at = 0.0
        self._spelling = spelling or Spelling()
        self._again_after_s = again_after_s
        self._port: Serial | None = None
        self._why = ""
        self._cards: deque[tuple[float, str]] = deque(maxlen=MAX_KEPT)
        self._seen_at: dict[str, float] = {}
        self._news = asyncio.Event()

    async def token(self) -> IdToken:
        """Wait for a card; DriverError when the reader is gone (the next call tries to open it again)."""
        if self._port is None:
            await self._open()
        while True:
            if (value := self._fetch()) is not None:
                return IdToken(value, self._kind)
            if self._port is None:
                raise DriverError(f"card reader on {self._name}: {self._why}")
            self._news.clear()
            await self._news.wait()

    async def close(self) -> None:
        self._drop("closed")

    async def _open(self) -> None:
        loop = asyncio.get_running_loop()
        opening = loop.run_in_executor(None, _open_port, self._name, self._baud)
        try:
            port = await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(_close_late)
            raise
        except (OSError, ValueError) as error:
            raise DriverError(f"card reader on {self._name}: cannot be opened: {reason(error)}") from None
        self._port = port
        loop.add_reader(port.fileno(), self._on_readable)
        self._opened()

    def _opened(self) -> None:
        """For readers that must be asked."""

    def _on_readable(self) -> None:
        from serial import SerialException

        assert self._port is not None
        try:
            data = self._port.read(CHUNK_BYTES)
        except (SerialException, OSError) as error:
            self._drop("went away" if error.errno is None else f"went away: {reason(error)}")  # else pyserial guesses
            return
        self._heard(data, asyncio.get_running_loop().time())

    def _heard(self, data: bytes, now: float) -> None:
        if now - self._heard_at > MAX_PAUSE_S:  # half a card of long ago is no part of this one
            self._framer = self._make_framer()
        self._heard_at = now
        for text in self._framer.feed(data):
            self._on_card(self._spell(text), now)

    def _spell(self, text: str) -> str:
        return normalise(text, self._spelling)

    def _on_card(self, value: str, now: float) -> None:
        if not value:
            return
        last = self._seen_at.pop(value, None)
        while len(self._seen_at) >= MAX_REMEMBERED:
            del self._seen_at[next(iter(self._seen_at))]
        self._seen_at[value] = now
        if last is None or now - last >= self._again_after_s:
            self._cards.append((now, value))
            self._news.set()

    def _fetch(self) -> str | None:
        now = asyncio.get_running_loop().time()
        while self._cards:
            at, value = self._cards.popleft()
            if now - at <= MAX_AGE_S:
                return value
        return None

    def _drop(self, why: str) -> None:
        port, self._port, self._why = self._port, None, why
        self._closed()
        if port is not None:
            asyncio.get_running_loop().remove_reader(port.fileno())
            port.close()
        self._news.set()

    def _closed(self) -> None:
        """For readers that are asked: no more questions."""


def _open_port(name: str, baud: int) -> Serial:
    import termios

    from serial import Serial

    try:
        return Serial(name, baud, timeout=0, write_timeout=0, exclusive=True)
    except termios.error as error:  # no OSError, and not documented by pyserial
        raise OSError(str(error)) from None


def _close_late(opening: asyncio.Future[Serial]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()
