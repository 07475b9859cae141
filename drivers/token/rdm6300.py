"""RDM6300 and its kin: 125 kHz cards (EM4100) over a one-way serial line, 9600 8N1.

A frame is 02, ten hexadecimal digits (version byte and four data bytes), two digits of checksum (XOR of the five
bytes), 03. It repeats every 50 ms while the card is there, and nothing says that the card has left.
"""

from __future__ import annotations

from collections.abc import Callable

from drivers.api import DriverError
from drivers.token.normalise import Spelling
from drivers.token.reader import SerialTokenReader

START, END = 0x02, 0x03
FRAME_BYTES = 14
_HEX = frozenset(b"0123456789ABCDEFabcdef")
FORMS: dict[str, Callable[[bytes], str]] = {
    "hex10": lambda uid: uid.hex(),
    "hex8": lambda uid: uid[1:].hex(),
    "decimal10": lambda uid: f"{int.from_bytes(uid[1:], 'big'):010d}",
}


class Rdm6300Framer:
    """Frames with a right checksum, as text in one of `FORMS`."""

    def __init__(self, form: str = "hex10") -> None:
        if form not in FORMS:
            raise DriverError(f"card reader: form is {form!r}; use one of {', '.join(FORMS)}")
        self._form = FORMS[form]
        self._rest = b""

    def feed(self, data: bytes) -> list[str]:
        found: list[str] = []
        stream = self._rest + data
        at = stream.find(START)
        while at >= 0 and len(stream) - at >= FRAME_BYTES:
            frame = stream[at : at + FRAME_BYTES]
            uid = _uid(frame)
            if uid is not None:
                found.append(self._form(uid))
            at = stream.find(START, at + (FRAME_BYTES if uid is not None else 1))
        self._rest = stream[at:] if at >= 0 else b""
        return found


class Rdm6300(SerialTokenReader):
    """The reader. `form`: "hex10" all five bytes, "hex8" the last four, "decimal10" the number printed on the card."""

    def __init__(
        self,
        port: str,
        form: str = "hex10",
        baud: int = 9600,
        kind: str = "ISO14443",
        spelling: Spelling | None = None,
        again_after_s: float = 1.0,
    ) -> None:
        super().__init__(port, lambda: Rdm6300Framer(form), baud, kind, spelling, again_after_s)


def frame_of(uid: bytes) -> bytes:
    """The frame that the reader sends for a card's five bytes."""
    check = 0
    for byte in uid:
        check ^= byte
    return bytes([START]) + (uid + bytes([check])).hex().upper().encode() + bytes([END])


def _uid(frame: bytes) -> bytes | None:
    if frame[-1] != END or not _HEX.issuperset(frame[1:-1]):
        return None
    uid = bytes.fromhex(frame[1:11].decode())
    return uid if frame_of(uid) == bytes([START]) + frame[1:-1].upper() + bytes([END]) else None
