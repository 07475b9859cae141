"""Simulated card readers that answer when they are asked: PN532, SL025, ACS.

Each is a function of what came and of the card in the field: it takes whole commands off the stream and gives the bytes
to send back. Written apart from the drivers, from the same manuals, so that a mistake in the one does not hide in the
other. Pure.
"""

from __future__ import annotations

from collections.abc import Callable

ACK = bytes.fromhex("0000FF00FF00")
PN532_HEAD = b"\x00\x00\xff"
COMMAND_MAX = 64
SENS_RES = {4: (0x00, 0x04), 7: (0x00, 0x44), 10: (0x00, 0x84)}
SL025_TYPE = {4: 0x01, 7: 0x03, 10: 0x0A}

Answer = Callable[[bytes, bytes], tuple[bytes, bytes]]  # what came, the card's UID -> what to send, what is left


def pn532(stream: bytes, uid: bytes) -> tuple[bytes, bytes]:
    """Acknowledges and answers one command; what it does not know has a syntax error frame."""
    at = stream.find(PN532_HEAD)
    if at < 0 or len(stream) < at + 5:
        return b"", stream[-COMMAND_MAX:]
    length = stream[at + 3]
    if not length or length + stream[at + 4] != 0x100:
        return b"", stream[at + 1 :]
    if len(stream) < at + length + 7:
        return b"", stream[at:]
    body, rest = stream[at + 5 : at + 5 + length], stream[at + 7 + length :]
    if sum(stream[at + 5 : at + 6 + length]) % 256:
        return b"", rest
    return ACK + _pn532_frame(b"\xd5" + _pn532_answer(body[1:], uid)), rest


def _pn532_answer(command: bytes, uid: bytes) -> bytes:
    code = command[:1]
    if code == b"\x4a":
        head = bytes((0x4B, 1, 1, *SENS_RES[len(uid)], 0x08, len(uid))) if uid else b"\x4b\x00"
        return head + uid
    return bytes((code[0] + 1,)) if code in (b"\x14", b"\x32") else b"\x7f"


def _pn532_frame(body: bytes) -> bytes:
    return PN532_HEAD + bytes((len(body), 256 - len(body))) + body + bytes((-sum(body) % 256, 0))


def sl025(stream: bytes, uid: bytes) -> tuple[bytes, bytes]:
    """Selects the card, or says that there is none."""
    at = stream.find(b"\xba")
    if at < 0:
        return b"", b""
    stream = stream[at:]
    if len(stream) < 2 or len(stream) < 2 + stream[1]:
        return b"", stream[:COMMAND_MAX]
    command, rest = stream[: 2 + stream[1]], stream[2 + stream[1] :]
    if _xor(command) or len(command) < 4 or command[2] != 0x01:
        return b"", rest
    data = b"\x01\x00" + uid + bytes((SL025_TYPE[len(uid)],)) if uid else b"\x01\x01"
    frame = b"\xbd" + bytes((len(data) + 1,)) + data
    return frame + bytes((_xor(frame),)), rest


def acs(stream: bytes, uid: bytes) -> tuple[bytes, bytes]:
    """Answers the pseudo-APDU for the UID."""
    at = stream.find(b"\x02")
    if at < 0:
        return b"", b""
    stream = stream[at:]
    length = stream[1] << 8 | stream[2] if len(stream) > 2 else COMMAND_MAX
    if length > COMMAND_MAX:
        return b"", stream[1:]
    if len(stream) < length + 5:
        return b"", stream
    command, rest = stream[: length + 5], stream[length + 5 :]
    if command[3:-2] != bytes.fromhex("FFCA000000") or _xor(command[1:-2]) != command[-1]:
        return b"", rest
    data = uid + b"\x90\x00" if uid else b"\x63\x00"
    body = bytes((0, len(data))) + data
    return b"\x02" + body + bytes((3, _xor(body))), rest


def _xor(data: bytes) -> int:
    check = 0
    for byte in data:
        check ^= byte
    return check


ASKED: dict[str, Answer] = {"pn532": pn532, "sl025": sl025, "acs": acs}
