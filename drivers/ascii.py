"""Modbus ASCII, a `Framing` for lines of text: start mark, unit and PDU and their check as hexadecimal letters, CR LF.

Serves what the standard describes, and devices that begin their answers with ">" (ABL's EVCC2 and EVCC3). Pure.

Rules kept: a frame is ours only when its mark, letters, check, length and unit are right; frames of others and noise
are passed over; a line that hears itself gives an echo, which is no answer. Only ":" can be an echo.
"""

from __future__ import annotations

from drivers.framing import COPIED, Found, Heard, length

ANSWERS = b":>"
END = b"\r\n"
CHECK_BYTES = 1
SHORTEST_BYTES = 4  # unit, function, one byte, check


class Ascii:
    """Two letters a byte, and a check that is the two's complement of their sum."""

    def wrap(self, unit: int, pdu: bytes) -> bytes:
        body = bytes((unit,)) + pdu
        return b":" + (body + bytes((check(body),))).hex().upper().encode() + END

    def find(self, sent: bytes, heard: Heard, echoes: bool) -> Found:
        asked = bytes.fromhex(sent[1:5].decode())
        may_echo = echoes or asked[1] not in COPIED
        echoed, at = False, 0
        while (end := heard.find(END, at)) >= 0:
            start = max(heard.rfind(mark, at, end) for mark in (b":", b">"))
            at = end + len(END)
            if may_echo and not echoed and start >= 0 and heard[start:at] == sent:
                echoed = True
                continue
            pdu = _pdu(heard[start:end], asked[0])
            if pdu is not None:
                return Found(pdu, echoed)
        return Found(None, echoed, _missing(heard, at))


def check(body: bytes | bytearray) -> int:
    """The check of unit and PDU: with it all bytes sum up to 0."""
    return -sum(body) & 0xFF


def body_of(line: Heard) -> bytes | None:
    """Unit and PDU of one line without its end; None when it is no frame."""
    if not line or line[0] not in ANSWERS or len(line) % 2 == 0:
        return None
    try:
        data = bytes.fromhex(line[1:].decode("ascii"))
    except ValueError:
        return None
    spaced = 2 * len(data) != len(line) - 1  # `fromhex` takes blanks, a frame has none
    return None if spaced or len(data) < SHORTEST_BYTES or sum(data) & 0xFF else data[:-CHECK_BYTES]


def _pdu(line: Heard, unit: int) -> bytes | None:
    body = body_of(line)
    if body is None or body[0] != unit:
        return None
    whole = length(body)
    return body[1:] if whole == len(body) else None


def _missing(heard: Heard, at: int) -> int:
    """How many letters the frame that has begun still lacks; 0 when that cannot be known."""
    start = max(heard.rfind(mark, at) for mark in (b":", b">"))
    if start < 0 or len(heard) - start < 7:
        return 0
    try:
        head = bytes.fromhex(heard[start + 1 : start + 7].decode("ascii"))
    except ValueError:
        return 0
    whole = length(head) if len(head) == 3 else 0
    return max(0, start + 1 + 2 * (whole + CHECK_BYTES) + len(END) - len(heard)) if whole else 0


ASCII = Ascii()
