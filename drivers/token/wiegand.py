"""Wiegand readers behind a converter to a serial line: one line for each card, in one of three forms.

`hex` the number as hexadecimal digits, `decimal` as a decimal number, `facility` as facility and card number with a
comma between. `bits` 26 or 34: these have a parity bit at each end. A converter that passes the raw bits on in the form
`hex` (7 or 9 digits) has both checked and taken off; all other forms come without them. The card is told as the three
or four bytes of its number in hexadecimal, so that all forms of one card are the same token.
"""

from __future__ import annotations

from collections.abc import Callable

from drivers.api import DriverError
from drivers.token.ascii_line import LineFramer
from drivers.token.normalise import SEPARATORS, Spelling
from drivers.token.reader import SerialTokenReader

BITS = (26, 34)


class WiegandFramer:
    """Lines, each as the bytes of a card's number."""

    def __init__(self, form: str = "hex", bits: int = 34) -> None:
        if form not in FORMS:
            raise DriverError(f"card reader: form is {form!r}; use one of {', '.join(FORMS)}")
        if bits not in BITS:
            raise DriverError(f"card reader: bits is {bits}; use 26 or 34")
        self._lines = LineFramer()
        self._read = FORMS[form]
        self._bits = bits

    def feed(self, data: bytes) -> list[str]:
        return [text for line in self._lines.feed(data) if (text := self._card(line))]

    def _card(self, line: str) -> str:
        try:
            number = self._read(line.strip(), self._bits)
        except ValueError:
            return ""
        digits = (self._bits - 2) // 4
        return "" if number is None or number >> 4 * digits or number < 0 else f"{number:0{digits}x}"


def _hex(line: str, bits: int) -> int | None:
    digits = "".join(c for c in line if c not in SEPARATORS)
    if not digits.isalnum():
        return None
    number = int(digits, 16)
    return _without_parity(number, bits) if len(digits) == -(-bits // 4) else number


def _without_parity(number: int, bits: int) -> int | None:
    """The first bit makes its half even, the last one makes its half odd; None when they do not."""
    half = bits // 2
    if number >> bits or (number >> half).bit_count() % 2 or not (number & (1 << half) - 1).bit_count() % 2:
        return None
    return number >> 1 & (1 << bits - 2) - 1


def _decimal(line: str, _bits: int) -> int | None:
    return int(line) if line.isdecimal() else None


def _facility(line: str, _bits: int) -> int | None:
    facility, comma, card = line.partition(",")
    if not comma or not facility.strip().isdecimal() or not card.strip().isdecimal() or int(card) >> 16:
        return None
    return int(facility) << 16 | int(card)


FORMS: dict[str, Callable[[str, int], int | None]] = {"hex": _hex, "decimal": _decimal, "facility": _facility}


class Wiegand(SerialTokenReader):
    """The reader."""

    def __init__(
        self,
        port: str,
        form: str = "hex",
        bits: int = 34,
        baud: int = 9600,
        kind: str = "ISO14443",
        spelling: Spelling | None = None,
        again_after_s: float = 1.0,
    ) -> None:
        super().__init__(port, lambda: WiegandFramer(form, bits), baud, kind, spelling, again_after_s)
