"""ACS readers with a serial line (ACR1281S-C1, ACR518): the UID by the pseudo-APDU of PC/SC, FF CA 00 00 00.

A frame is 02, the length of the data in two bytes with the high one first, the data, 03, and the XOR of length and
data. The answer is the UID and 90 00, or 63 00 without a card. What the XOR covers is unverified: the sources that
were at hand do not say it, so a reader that stays silent may want another check byte.
"""

from __future__ import annotations

from functools import reduce
from operator import xor

from drivers.token.normalise import Spelling, uid_text
from drivers.token.polling import MAX_REST, PolledReader

START, END = 0x02, 0x03
GET_UID = bytes((0xFF, 0xCA, 0x00, 0x00, 0x00))
DONE = bytes((0x90, 0x00))
LONGEST = 64
AROUND = 5  # bytes of a frame beside its data


class AcsDialogue:
    """Asks for the UID of the card in the field."""

    greeting: tuple[bytes, ...] = ()

    def __init__(self) -> None:
        self.answers = 0
        self._rest = b""

    def question(self) -> bytes:
        return frame_of(GET_UID)

    def feed(self, data: bytes) -> list[str]:
        found: list[str] = []
        stream = (self._rest + data)[-MAX_REST:]
        while (at := stream.find(START)) >= 0:
            stream = stream[at:]
            length = int.from_bytes(stream[1:3], "big")
            if len(stream) < 3 or len(stream) < length + AROUND <= LONGEST + AROUND:
                break
            frame = stream[: length + AROUND]
            if length > LONGEST or frame != frame_of(frame[3:-2]):
                stream = stream[1:]
                continue
            stream = stream[len(frame) :]
            self.answers += 1
            answer = frame[3:-2]
            if answer[-2:] == DONE and (text := uid_text(answer[:-2])):
                found.append(text)
        self._rest = stream if at >= 0 else b""
        return found


class Acs(PolledReader):
    """The reader."""

    def __init__(
        self,
        port: str,
        baud: int = 9600,
        kind: str = "ISO14443",
        spelling: Spelling | None = None,
        again_after_s: float = 1.0,
    ) -> None:
        super().__init__(port, AcsDialogue, baud, kind, spelling, again_after_s)


def frame_of(data: bytes) -> bytes:
    """A frame with its length and check."""
    body = len(data).to_bytes(2, "big") + data
    return bytes((START,)) + body + bytes((END, reduce(xor, body)))
