"""Readers that send one line of text for each card, ended by CR, LF or both (most USB and Wiegand converters).

An optional regular expression picks the card out of the line: its first group, or the whole match; a line that does not
match is not a card. A line that is too long or not printable ASCII is garbage, dropped up to its end.
"""

from __future__ import annotations

import re

from drivers.api import DriverError
from drivers.token.normalise import Spelling
from drivers.token.reader import SerialTokenReader

MAX_LINE_BYTES = 128
_ENDS = re.compile(rb"[\r\n]+")


class LineFramer:
    """Whole lines, as the pattern says."""

    def __init__(self, pattern: str = "") -> None:
        try:
            self._pattern = re.compile(pattern or ".+")
        except re.error as error:
            raise DriverError(f"card reader: pattern {pattern!r} is no regular expression: {error}") from None
        self._rest = b""
        self._skipping = False  # until the end of a line that was too long

    def feed(self, data: bytes) -> list[str]:
        *lines, rest = _ENDS.split(self._rest + data)
        if self._skipping and lines:
            lines = lines[1:]
            self._skipping = False
        self._rest = b"" if self._skipping else rest
        if len(self._rest) > MAX_LINE_BYTES:
            self._rest, self._skipping = b"", True
        return [card for line in lines if (card := self._card(line))]

    def _card(self, line: bytes) -> str:
        text = line.decode("latin-1").strip()
        if len(line) > MAX_LINE_BYTES or not (text.isascii() and text.isprintable()):
            return ""
        match = self._pattern.search(text)
        if match is None:
            return ""
        return (match[1] if match.re.groups else match[0]) or ""


class AsciiLine(SerialTokenReader):
    """The reader."""

    def __init__(
        self,
        port: str,
        pattern: str = "",
        baud: int = 9600,
        kind: str = "ISO14443",
        spelling: Spelling | None = None,
        again_after_s: float = 1.0,
    ) -> None:
        super().__init__(port, lambda: LineFramer(pattern), baud, kind, spelling, again_after_s)
