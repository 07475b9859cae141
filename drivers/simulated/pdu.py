"""Modbus from the server's side: request PDU in, answer PDU out, and the framings (RTU with CRC, ASCII, TCP with MBAP).

Written from the Modbus application protocol, apart from the client library that the drivers use, so that a mistake in
the one cannot hide in the other; every byte and every fault is in our hands. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence

from drivers.simulated.evse_registers import ILLEGAL_VALUE
from drivers.simulated.registers import ILLEGAL_FUNCTION, SimDevice

READS = {1: "coil", 2: "discrete", 3: "holding", 4: "input"}
WRITES_ONE = {5: "coil", 6: "holding"}
WRITES_MANY = {15: "coil", 16: "holding"}
MBAP_BYTES = 7


def answer(device: SimDevice, pdu: bytes) -> bytes | None:
    """The answer to one request, an exception answer, or None when the device stays silent."""
    function = pdu[0]
    code: int | bytes | None = ILLEGAL_FUNCTION
    if function in READS and len(pdu) == 5:
        code = _read(device, function, pdu)
    elif function in WRITES_ONE and len(pdu) == 5:
        code = _write_one(device, function, pdu)
    elif function in WRITES_MANY and len(pdu) >= 6:
        code = _write_many(device, function, pdu)
    if isinstance(code, int):
        return bytes((function | 0x80, code))
    return code


def _read(device: SimDevice, function: int, pdu: bytes) -> int | bytes | None:
    table = READS[function]
    words = device.read(table, int.from_bytes(pdu[1:3], "big"), int.from_bytes(pdu[3:5], "big"))
    if words is None or isinstance(words, int):
        return words
    data = _pack_bits(words) if function <= 2 else b"".join(word.to_bytes(2, "big") for word in words)
    return bytes((function, len(data))) + data


def _write_one(device: SimDevice, function: int, pdu: bytes) -> int | bytes | None:
    word = int.from_bytes(pdu[3:5], "big")
    if function == 5:
        if word not in (0x0000, 0xFF00):
            return ILLEGAL_VALUE
        word = int(word == 0xFF00)
    code = device.write(WRITES_ONE[function], int.from_bytes(pdu[1:3], "big"), [word])
    return pdu if code == 0 else code


def _write_many(device: SimDevice, function: int, pdu: bytes) -> int | bytes | None:
    address, count = int.from_bytes(pdu[1:3], "big"), int.from_bytes(pdu[3:5], "big")
    data = pdu[6:]
    if len(data) != pdu[5] or not 1 <= count <= 123 or len(data) != (-(-count // 8) if function == 15 else 2 * count):
        return ILLEGAL_VALUE
    if function == 15:
        words = [data[k // 8] >> k % 8 & 1 for k in range(count)]
    else:
        words = [int.from_bytes(data[k : k + 2], "big") for k in range(0, len(data), 2)]
    code = device.write(WRITES_MANY[function], address, words)
    return pdu[:5] if code == 0 else code


def _pack_bits(bits: Sequence[int]) -> bytes:
    packed = bytearray(-(-len(bits) // 8))
    for k, bit in enumerate(bits):
        packed[k // 8] |= (bit & 1) << k % 8
    return bytes(packed)


def crc(data: bytes) -> bytes:
    """The RTU frame's check, low byte first."""
    value = 0xFFFF
    for byte in data:
        value = value >> 8 ^ _CRC[(value ^ byte) & 0xFF]
    return value.to_bytes(2, "little")


def _crc_row(index: int) -> int:
    for _ in range(8):
        index = index >> 1 ^ (0xA001 if index & 1 else 0)
    return index


_CRC = tuple(_crc_row(index) for index in range(256))


def rtu_length(buffer: bytes) -> int:
    """How long the request at the head of `buffer` is, 0 while that cannot be known."""
    if len(buffer) < 2:
        return 0
    if buffer[1] in WRITES_MANY:
        return 9 + buffer[6] if len(buffer) > 6 else 0
    return 8


def rtu_frame(unit: int, pdu: bytes) -> bytes:
    body = bytes((unit,)) + pdu
    return body + crc(body)


def ascii_frame(mark: bytes, unit: int, pdu: bytes) -> bytes:
    body = bytes((unit,)) + pdu
    return mark + b"".join(b"%02X" % byte for byte in (*body, (256 - sum(body) % 256) % 256)) + b"\r\n"


def ascii_parts(line: bytes) -> tuple[int, bytes] | None:
    """Unit and PDU of a request without its CR LF; None when it is broken."""
    digits = line[line.rfind(b":") + 1 :]
    if b":" not in line or len(digits) % 2 or len(digits) < 8 or any(d not in b"0123456789ABCDEF" for d in digits):
        return None
    body = bytes(int(digits[k : k + 2], 16) for k in range(0, len(digits), 2))
    return (body[0], body[1:-1]) if sum(body) % 256 == 0 else None


def tcp_frame(transaction: bytes, unit: int, pdu: bytes) -> bytes:
    return transaction + b"\0\0" + (len(pdu) + 1).to_bytes(2, "big") + bytes((unit,)) + pdu
