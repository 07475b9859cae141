"""StrongLink SL025 and its kin on a UART: ISO 14443 A cards. The module's pins choose the baud rate, mostly 115200.

To the reader BA, LEN, command, data, check; from it BD, LEN, command, status, data, check. LEN counts what follows it,
and the check is the XOR of all before it. Asked to select a card it answers with the UID and one byte for the type.
"""

from __future__ import annotations

from functools import reduce
from operator import xor

from drivers.token.normalise import Spelling, uid_text
from drivers.token.polling import MAX_REST, PolledReader

TO_READER, FROM_READER = 0xBA, 0xBD
SELECT = 0x01
OK = 0x00
SHORTEST, LONGEST = 3, 32  # of LEN in an answer


class Sl025Dialogue:
    """Asks for the card in the field."""

    greeting: tuple[bytes, ...] = ()

    def __init__(self) -> None:
        self.answers = 0
        self._rest = b""

    def question(self) -> bytes:
        return frame_of(TO_READER, bytes((SELECT,)))

    def feed(self, data: bytes) -> list[str]:
        found: list[str] = []
        stream = (self._rest + data)[-MAX_REST:]
        while (at := stream.find(FROM_READER)) >= 0:
            stream = stream[at:]
            if len(stream) < 2 or len(stream) < 2 + stream[1] <= 2 + LONGEST:
                break
            frame, is_right = stream[: 2 + stream[1]], SHORTEST <= stream[1] <= LONGEST
            if not is_right or reduce(xor, frame):
                stream = stream[1:]
                continue
            stream = stream[len(frame) :]
            self.answers += 1
            if frame[2:4] == bytes((SELECT, OK)) and (text := uid_text(frame[4:-2])):
                found.append(text)
        self._rest = stream if at >= 0 else b""
        return found


class Sl025(PolledReader):
    """The reader."""

    def __init__(
        self,
        port: str,
        baud: int = 115200,
        kind: str = "ISO14443",
        spelling: Spelling | None = None,
        again_after_s: float = 1.0,
    ) -> None:
        super().__init__(port, Sl025Dialogue, baud, kind, spelling, again_after_s)


def frame_of(direction: int, data: bytes) -> bytes:
    """A frame with its length and check."""
    frame = bytes((direction, len(data) + 1)) + data
    return frame + bytes((reduce(xor, frame),))
