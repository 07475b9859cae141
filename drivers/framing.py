"""Modbus as bytes on a serial line: build a request, find our answer in what was heard. Pure; `rtu.py` moves the bytes.

Two halves. The PDU (function and data) is the same in every framing: `request_pdu` and `values_of`. A `Framing` wraps
it, and finds it again; RTU is the one here (unit, PDU, CRC-16), `ascii.py` has the other.

Rules kept: only a frame whose check and length are right is an answer. Whole frames of other units are passed over,
noise before and behind ours does no harm. Many two-wire adapters hear what they send: that echo is no answer. The
confirmation of functions 5 and 6 is a copy of the request, so there only who knows that the line echoes (from a read
before) can tell them apart, and says so with `echoes`.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from drivers.bus import WireError

COPIED = (5, 6)  # confirmed by a copy of the request
CONFIRMS = (5, 6, 15, 16)
BITS = (1, 2)
EXCEPTION = 0x80
SHORTEST_BYTES = 5
CONFIRMATION_BYTES = 8
CRC_BYTES = 2
Heard = bytes | bytearray


class Found(NamedTuple):
    """`pdu` None: no answer yet, `missing` (0: unknown) more bytes would complete the one that has begun."""

    pdu: bytes | None
    echoed: bool = False
    missing: int = 0


class Framing(Protocol):
    """How a PDU lies in the bytes of a line."""

    def wrap(self, unit: int, pdu: bytes) -> bytes: ...

    def find(self, sent: bytes, heard: Heard, echoes: bool) -> Found:
        """The answer to the wrapped request `sent` in all that was heard since."""
        ...


class Rtu:
    """Unit, PDU, CRC-16 with its low byte first; no mark shows where a frame begins."""

    def wrap(self, unit: int, pdu: bytes) -> bytes:
        body = bytes((unit,)) + pdu
        return body + crc16(body).to_bytes(2, "little")

    def find(self, sent: bytes, heard: Heard, echoes: bool) -> Found:
        unit, end = sent[0], len(heard)
        at, missing = 0, 0
        echoed = False
        may_echo = echoes or sent[1] not in COPIED
        in_step = True  # all before `at` were whole frames
        while end - at >= SHORTEST_BYTES:
            if may_echo and not echoed and heard.startswith(sent, at):
                echoed = True
                at += len(sent)
                continue
            ours = heard[at] == unit
            if ours or in_step:
                size = _size(heard, at)
                if size and at + size <= end and crc16(heard[at : at + size]) == 0:
                    if ours:
                        return Found(bytes(heard[at + 1 : at + size - 2]), echoed)
                    at += size
                    continue
                if ours and in_step and heard[at + 1] == sent[1]:
                    missing = max(0, at + size - end)
                in_step = False
            at += 1
        return Found(None, echoed, missing)


def _size(heard: Heard, at: int) -> int:
    """How long the answer that begins at `at` is by its own words; 0: none begins here."""
    function = heard[at + 1]
    if 1 <= function <= 4:
        return SHORTEST_BYTES + heard[at + 2]
    if function in CONFIRMS:
        return CONFIRMATION_BYTES
    return SHORTEST_BYTES if function & EXCEPTION else 0


def length(body: Heard) -> int:
    """How many bytes unit and PDU of the answer have that begins with these three; 0: none begins so."""
    size = _size(body, 0)
    return size - CRC_BYTES if size else 0


def _crc_row(index: int) -> int:
    for _ in range(8):
        index = index >> 1 ^ (0xA001 if index & 1 else 0)
    return index


_CRC = tuple(_crc_row(index) for index in range(256))


def crc16(data: Heard) -> int:
    """Modbus's CRC; 0 for a frame with its right check behind it."""
    crc, table = 0xFFFF, _CRC
    for byte in data:
        crc = crc >> 8 ^ table[(crc ^ byte) & 0xFF]
    return crc


def request_pdu(function: int, address: int, payload: int | Sequence[int]) -> bytes:
    """A read of `payload` values, or a write of these."""
    if isinstance(payload, int):
        return struct.pack(">BHH", function, address, payload)
    if function in COPIED:
        word = payload[0] if function == 6 else 0xFF00 if payload[0] else 0
        return struct.pack(">BHH", function, address, word)
    count = len(payload)
    data = _packed(payload) if function == 15 else struct.pack(f">{count}H", *payload)
    return struct.pack(">BHHB", function, address, count, len(data)) + data


def values_of(pdu: bytes, function: int, address: int, payload: int | Sequence[int]) -> list[int]:
    """What an answer to just this request says; WireError "exception" or "garbage"."""
    if pdu[0] != function:
        if pdu[0] == function | EXCEPTION:
            raise WireError("exception", code=pdu[1])
        raise WireError("garbage", f"answer to function {pdu[0]} where {function} was asked")
    if not isinstance(payload, int):
        confirmed = int.from_bytes(pdu[1:3], "big")
        if confirmed != address:
            raise WireError("garbage", f"confirms register {confirmed} where {address} was written")
        return []
    data = pdu[2:]
    if len(data) != pdu[1] or (len(data) % 2 and function not in BITS):
        raise WireError("garbage", "checksum or length wrong")
    if function in BITS:
        return [byte >> k & 1 for byte in data for k in range(8)][:payload]
    return list(struct.unpack(f">{len(data) // 2}H", data))


def _packed(bits: Sequence[int]) -> bytes:
    packed = bytearray(-(-len(bits) // 8))
    for k, bit in enumerate(bits):
        packed[k // 8] |= (bit & 1) << k % 8
    return bytes(packed)


RTU = Rtu()
