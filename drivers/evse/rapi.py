"""RAPI, OpenEVSE's language on a serial line: commands and answers as lines of text with a check. Pure.

`$GS^30` asks, `$OK 01 0 01 0000^..` or `$NK^..` answers; CR ends a line. The check is the exclusive or of all before
the `^`, as two hexadecimal digits. Lines that nobody asked for may come in between: `$AT` (state), `$AB` (boot), `$AN`
(button).
"""

from __future__ import annotations

from functools import reduce

MAX_LINE_BYTES = 64
ANSWERS = ("$OK", "$NK")
BOOT = "$AB"


class Lines:
    """Puts lines together from pieces; what is no line with a right check is dropped and counted."""

    def __init__(self) -> None:
        self._rest = b""
        self.broken = 0

    def feed(self, data: bytes) -> list[list[str]]:
        """The whole lines in it, each as its words without the check."""
        *whole, rest = (self._rest + data).replace(b"\n", b"\r").split(b"\r")
        self._rest = rest[-MAX_LINE_BYTES:]
        return [words for line in whole if line and (words := self._words(line)) is not None]

    def clear(self) -> None:
        self._rest, self.broken = b"", 0

    def _words(self, line: bytes) -> list[str] | None:
        start = line.rfind(b"$")
        body, mark, sent = line[max(start, 0) :].partition(b"^")
        if start < 0 or not mark or sent.upper() != check(body) or not body.isascii():
            self.broken += 1
            return None
        return body.decode().split()


def check(body: bytes) -> bytes:
    return b"%02X" % reduce(lambda a, b: a ^ b, body, 0)


def line(text: str) -> bytes:
    """A command or an answer as it goes over the line."""
    body = f"${text}".encode()
    return body + b"^" + check(body) + b"\r"
