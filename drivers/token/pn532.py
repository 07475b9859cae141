"""NXP PN532 on its high speed UART (HSU), 115200 8N1: ISO 14443 A cards.

A frame is 00 00 FF, LEN and its two's complement, D4 (to the reader) or D5 (from it), command and data, DCS so that all
from D4 on sums to 0, 00. The reader acknowledges each command (00 00 FF 00 FF 00) before it answers. It sleeps until it
is woken by 55 55 and zeros; asked for a card it would wait for ever unless RFConfiguration says one try.
"""

from __future__ import annotations

from drivers.token.normalise import Spelling, uid_text
from drivers.token.polling import MAX_REST, PolledReader

HEAD = b"\x00\x00\xff"
TO_READER, FROM_READER = 0xD4, 0xD5
WAKE_UP = b"\x55\x55" + bytes(14)
SAM, RF, LIST = 0x14, 0x32, 0x4A
NORMAL_MODE = bytes((SAM, 0x01, 0x00, 0x01))
ONE_TRY = bytes((RF, 0x05, 0xFF, 0x01, 0x00))
ONE_CARD_106_A = bytes((LIST, 0x01, 0x00))


class Pn532Dialogue:
    """Wakes the reader, sets it up, and asks for one card at a time."""

    def __init__(self) -> None:
        self.answers = 0
        self.greeting = (WAKE_UP + frame_of(TO_READER, NORMAL_MODE), frame_of(TO_READER, ONE_TRY))
        self._rest = b""

    def question(self) -> bytes:
        return frame_of(TO_READER, ONE_CARD_106_A)

    def feed(self, data: bytes) -> list[str]:
        found: list[str] = []
        self._rest = (self._rest + data)[-MAX_REST:]
        while (at := self._rest.find(HEAD)) >= 0:
            end = _end(self._rest, at)
            if end is None:
                self._rest = self._rest[at:]
                return found
            body = _body(self._rest[at:end])
            self._rest = self._rest[end if body is not None else at + 1 :]
            if body is not None and body[:1] == bytes((FROM_READER,)):
                self.answers += 1
                found += [text for uid in _uids(body[1:]) if (text := uid_text(uid))]
        self._rest = self._rest[-2:]  # the head may have begun
        return found


class Pn532(PolledReader):
    """The reader."""

    def __init__(
        self,
        port: str,
        baud: int = 115200,
        kind: str = "ISO14443",
        spelling: Spelling | None = None,
        again_after_s: float = 1.0,
    ) -> None:
        super().__init__(port, Pn532Dialogue, baud, kind, spelling, again_after_s)


def frame_of(direction: int, data: bytes) -> bytes:
    """A normal information frame."""
    body = bytes((direction,)) + data
    return HEAD + bytes((len(body), -len(body) & 0xFF)) + body + bytes((-sum(body) & 0xFF, 0))


def _end(stream: bytes, at: int) -> int | None:
    """Where the frame that begins at `at` ends; None while too little of it is here."""
    if len(stream) < at + 6:
        return None
    length = stream[at + 3]
    is_frame = (length + stream[at + 4]) & 0xFF == 0 and length
    end = at + 7 + length if is_frame else at + 6
    return end if len(stream) >= end else None


def _body(frame: bytes) -> bytes | None:
    """The body of a right frame, empty for an acknowledgement; None for anything else."""
    length = frame[3]
    if (length, frame[4]) in ((0x00, 0xFF), (0xFF, 0x00)):
        return b""
    if (length + frame[4]) & 0xFF or sum(frame[5 : 6 + length]) & 0xFF:
        return None
    return frame[5 : 5 + length]


def _uids(answer: bytes) -> list[bytes]:
    """The UIDs in an answer to InListPassiveTarget: count, then number, SENS_RES (2), SEL_RES, length, UID."""
    if len(answer) < 7 or answer[0] != LIST + 1 or answer[1] != 1:
        return []
    uid = answer[7 : 7 + answer[6]]
    return [uid] if len(uid) == answer[6] else []
