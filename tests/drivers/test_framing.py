"""Modbus RTU as bytes: requests as the standard writes them, and our answer among everything else on a line."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.bus import WireError
from drivers.framing import RTU, crc16, request_pdu, values_of
from tests.drivers.bus_helpers import with_crc

UNIT = 17
READ = with_crc(bytes([UNIT, 3, 0, 0x6B, 0, 3]))
ANSWER = with_crc(bytes([UNIT, 3, 6, 0x02, 0x2B, 0x00, 0x00, 0x00, 0x64]))
FOREIGN = with_crc(bytes([99, 4, 2, 0xAB, 0xCD]))
REFUSAL = with_crc(bytes([UNIT, 0x83, 2]))
WRITE = with_crc(bytes([UNIT, 6, 0, 1, 0, 3]))

# The examples of the Modbus application protocol.
REQUESTS: list[tuple[int, int, int | list[int], str]] = [
    (1, 0x13, 0x13, "01 0013 0013"),
    (2, 0xC4, 0x16, "02 00C4 0016"),
    (3, 0x6B, 3, "03 006B 0003"),
    (4, 8, 1, "04 0008 0001"),
    (5, 0xAC, [1], "05 00AC FF00"),
    (5, 0xAC, [0], "05 00AC 0000"),
    (6, 1, [3], "06 0001 0003"),
    (15, 0x13, [1, 0, 1, 1, 0, 0, 1, 1, 1, 0], "0F 0013 000A 02 CD01"),
    (16, 1, [0x000A, 0x0102], "10 0001 0002 04 000A 0102"),
]
ANSWERS: list[tuple[str, int, int, int | list[int], list[int]]] = [
    ("03 06 022B 0000 0064", 3, 0x6B, 3, [555, 0, 100]),
    ("04 02 000A", 4, 8, 1, [10]),
    ("01 02 CD01", 1, 0x13, 10, [1, 0, 1, 1, 0, 0, 1, 1, 1, 0]),
    ("02 01 05", 2, 0, 3, [1, 0, 1]),
    ("05 00AC FF00", 5, 0xAC, [1], []),
    ("06 0001 0003", 6, 1, [3], []),
    ("0F 0013 000A", 15, 0x13, [1] * 10, []),
    ("10 0001 0002", 16, 1, [10, 258], []),
]
WRONG: list[tuple[str, int, int, int | list[int], str]] = [
    ("04 02 000A", 3, 8, 1, "answer to function 4 where 3 was asked"),
    ("84 02", 3, 8, 1, "answer to function 132 where 3 was asked"),
    ("06 0002 0003", 6, 1, [3], "confirms register 2 where 1 was written"),
    ("03 03 00 0A 01", 3, 8, 1, "checksum or length wrong"),
    ("03 04 000A", 3, 8, 2, "checksum or length wrong"),
]


@pytest.mark.parametrize(("function", "address", "payload", "pdu"), REQUESTS)
def test_a_request_is_written_as_the_standard_shows_it(
    function: int, address: int, payload: int | Sequence[int], pdu: str
) -> None:
    assert request_pdu(function, address, payload) == bytes.fromhex(pdu)


def test_a_frame_is_unit_pdu_and_crc_with_its_low_byte_first() -> None:
    assert RTU.wrap(1, bytes.fromhex("04 0000 0002")) == bytes.fromhex("01 04 0000 0002 71CB")


@given(st.binary(min_size=1, max_size=256))
def test_the_crc_is_that_of_the_standard(data: bytes) -> None:
    assert data + crc16(data).to_bytes(2, "little") == with_crc(data)
    assert crc16(with_crc(data)) == 0


@pytest.mark.parametrize(("pdu", "function", "address", "payload", "values"), ANSWERS)
def test_an_answer_gives_its_values(
    pdu: str, function: int, address: int, payload: int | list[int], values: list[int]
) -> None:
    assert values_of(bytes.fromhex(pdu), function, address, payload) == values


@pytest.mark.parametrize(("pdu", "function", "address", "payload", "why"), WRONG)
def test_an_answer_to_something_else_is_garbage(
    pdu: str, function: int, address: int, payload: int | list[int], why: str
) -> None:
    with pytest.raises(WireError, match=why) as error:
        values_of(bytes.fromhex(pdu), function, address, payload)
    assert error.value.kind == "garbage"


def test_a_refusal_has_the_devices_code() -> None:
    with pytest.raises(WireError) as error:
        values_of(bytes([0x83, 2]), 3, 0, 1)
    assert (error.value.kind, error.value.code) == ("exception", 2)


@pytest.mark.parametrize(
    "heard",
    [
        ANSWER,
        ANSWER + b"\x00\xff",
        b"\x00\xff\x7e" + ANSWER,
        FOREIGN + ANSWER,
        FOREIGN + FOREIGN + b"\xff" + ANSWER + FOREIGN,
        READ + ANSWER,
        b"\xff" + READ + ANSWER,
        READ + FOREIGN + ANSWER,
        bytes([UNIT, 3, 200]) + ANSWER,  # noise that looks like the begin of a long answer
        bytes([UNIT]) + ANSWER,
    ],
)
def test_our_answer_is_found_among(heard: bytes) -> None:
    assert RTU.find(READ, heard, False).pdu == ANSWER[1:-2]


@pytest.mark.parametrize(
    "heard",
    [
        b"",
        bytes([UNIT]),
        ANSWER[:-1],
        ANSWER[:-1] + bytes([ANSWER[-1] ^ 1]),
        READ,
        READ + READ[:4],
        FOREIGN,
        with_crc(bytes([18]) + ANSWER[1:-2]),
        bytes([UNIT]) * 600,
    ],
)
def test_no_answer_is_made_of(heard: bytes) -> None:
    assert RTU.find(READ, heard, False).pdu is None


def test_a_refusal_is_found_by_its_own_length() -> None:
    assert RTU.find(READ, REFUSAL, False).pdu == REFUSAL[1:-2]


def test_a_confirmation_of_many_registers_is_found_behind_the_longer_echo() -> None:
    sent = RTU.wrap(UNIT, request_pdu(16, 1, [10, 258]))
    confirmation = with_crc(bytes([UNIT, 16, 0, 1, 0, 2]))
    found = RTU.find(sent, sent + confirmation, False)
    assert (found.pdu, found.echoed) == (confirmation[1:-2], True)


def test_a_copied_confirmation_is_an_answer_on_a_line_without_echo() -> None:
    assert RTU.find(WRITE, WRITE, echoes=False).pdu == WRITE[1:-2]


def test_a_copied_confirmation_must_come_twice_on_a_line_that_echoes() -> None:
    assert RTU.find(WRITE, WRITE, echoes=True).pdu is None
    assert RTU.find(WRITE, WRITE + WRITE, echoes=True).pdu == WRITE[1:-2]


@pytest.mark.parametrize("length", range(5, len(ANSWER)))
def test_an_answer_that_has_begun_tells_how_much_is_missing(length: int) -> None:
    assert RTU.find(READ, ANSWER[:length], False).missing == len(ANSWER) - length


def test_an_answer_behind_an_echo_tells_how_much_is_missing() -> None:
    assert RTU.find(READ, READ + ANSWER[:6], False).missing == len(ANSWER) - 6


@st.composite
def answers(draw: st.DrawFn) -> tuple[bytes, bytes, bytes]:
    """A request, the PDU that answers it, and that in its frame."""
    unit, count = draw(st.integers(1, 247)), draw(st.integers(1, 125))
    data = draw(st.binary(min_size=2 * count, max_size=2 * count))
    data = data.replace(bytes([unit]), b"\0")  # else an answer stands within it in one of 65536 cases
    pdu = bytes([3, 2 * count]) + data
    return RTU.wrap(unit, request_pdu(3, draw(st.integers(0, 0xFFFF)), count)), pdu, with_crc(bytes([unit]) + pdu)


@given(answers(), st.binary(max_size=40), st.binary(max_size=40))
def test_noise_around_an_answer_never_hides_it(asked: tuple[bytes, bytes, bytes], before: bytes, behind: bytes) -> None:
    sent, pdu, frame = asked
    before = bytes(byte for byte in before if byte != sent[0])  # else noise is an answer in one of 65536 cases
    assert RTU.find(sent, before + frame + behind, False).pdu == pdu


@given(answers(), st.booleans())
def test_an_answer_is_complete_with_its_last_byte_and_never_before(
    asked: tuple[bytes, bytes, bytes], echo: bool
) -> None:
    sent, pdu, frame = asked
    head = sent if echo else b""
    assert RTU.find(sent, head + frame[:-1], echo).pdu is None
    assert RTU.find(sent, head + frame, echo).pdu == pdu


@given(answers(), st.integers(0, 7), st.data())
def test_one_wrong_bit_is_no_answer(asked: tuple[bytes, bytes, bytes], bit: int, data: st.DataObject) -> None:
    sent, _, frame = asked
    at = data.draw(st.integers(0, len(frame) - 1))
    spoilt = frame[:at] + bytes([frame[at] ^ 1 << bit]) + frame[at + 1 :]
    assert RTU.find(sent, spoilt, False).pdu is None


@given(st.binary(min_size=8, max_size=8), st.binary(max_size=300), st.booleans())
def test_any_bytes_at_all_are_harmless(sent: bytes, heard: bytes, echoes: bool) -> None:
    found = RTU.find(sent, heard, echoes)
    assert found.pdu is None or found.pdu in heard
    assert 0 <= found.missing <= 260


@given(st.binary(min_size=2, max_size=253), st.sampled_from([1, 2, 3, 4, 5, 6, 15, 16]))
def test_any_pdu_gives_values_or_a_wire_error(pdu: bytes, function: int) -> None:
    payload: int | list[int] = 4 if function <= 4 else [1]
    found: list[int] | str
    try:
        found = values_of(pdu, function, 0, payload)
    except WireError as error:
        found = error.kind
    if isinstance(found, str):
        assert found in ("garbage", "exception")
    else:
        assert pdu[0] == function
        assert all(0 <= value <= 0xFFFF for value in found)
