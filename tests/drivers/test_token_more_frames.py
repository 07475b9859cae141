"""Readers that are asked, Wiegand converters, and the rest of the one spelling: the frames of their manuals."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.api import DriverError
from drivers.token.acs import AcsDialogue
from drivers.token.acs import frame_of as acs_frame
from drivers.token.normalise import Spelling, normalise
from drivers.token.pn532 import FROM_READER, Pn532Dialogue
from drivers.token.pn532 import frame_of as pn532_frame
from drivers.token.polling import MAX_REST, Dialogue
from drivers.token.sl025 import Sl025Dialogue
from drivers.token.wiegand import WiegandFramer

DIALOGUES = [Pn532Dialogue, Sl025Dialogue, AcsDialogue]
ACK = bytes.fromhex("0000FF00FF00")
PN532_ANSWERS = [
    ("00 00 FF 0C F4 D5 4B 01 01 00 04 08 04 DE AD BE EF 96 00", ["deadbeef"]),
    ("00 00 FF 0F F1 D5 4B 01 01 00 44 00 07 04 A1 B2 C3 D4 E5 80 40 00", ["04a1b2c3d4e580"]),
    ("00 00 FF 03 FD D5 4B 00 E0 00", []),
    ("00 00 FF 06 FA D5 03 32 01 06 07 E8 00", []),
    ("00 00 FF 02 FE D5 15 16 00", []),
]
SL025_ANSWERS = [
    ("BD 08 01 00 DE AD BE EF 01 97", ["deadbeef"]),
    ("BD 0B 01 00 04 A1 B2 C3 D4 E5 80 03 D1", ["04a1b2c3d4e580"]),
    ("BD 03 01 01 BE", []),
]


@pytest.mark.parametrize(("answer", "cards"), PN532_ANSWERS)
def test_a_pn532_answer_of_the_manual_is_read_after_its_acknowledgement(answer: str, cards: list[str]) -> None:
    dialogue = Pn532Dialogue()
    assert (dialogue.feed(ACK + bytes.fromhex(answer)), dialogue.answers) == (cards, 1)


def test_a_pn532_is_woken_set_up_and_asked_as_its_manual_says() -> None:
    dialogue = Pn532Dialogue()
    assert dialogue.greeting[0] == b"\x55\x55" + bytes(14) + bytes.fromhex("0000FF05FBD4140100011600")
    assert dialogue.greeting[1][5:-2] == bytes.fromhex("D43205FF0100")
    assert dialogue.question() == bytes.fromhex("0000FF04FCD44A0100E100")


def test_an_acknowledgement_alone_is_no_answer() -> None:
    dialogue = Pn532Dialogue()
    assert (dialogue.feed(ACK), dialogue.answers) == ([], 0)


@pytest.mark.parametrize(("answer", "cards"), SL025_ANSWERS)
def test_an_sl025_answer_of_the_manual_is_read(answer: str, cards: list[str]) -> None:
    dialogue = Sl025Dialogue()
    assert (dialogue.feed(bytes.fromhex(answer)), dialogue.answers) == (cards, 1)


def test_an_sl025_is_asked_as_its_manual_says() -> None:
    assert Sl025Dialogue().question() == bytes.fromhex("BA0201B9")


def test_an_acs_answer_is_a_card_without_its_status() -> None:
    assert AcsDialogue().feed(acs_frame(bytes.fromhex("04A1B2C3D4E5809000"))) == ["04a1b2c3d4e580"]


def test_an_acs_reader_without_a_card_answers_all_the_same() -> None:
    dialogue = AcsDialogue()
    assert (dialogue.feed(acs_frame(bytes.fromhex("6300"))), dialogue.answers) == ([], 1)


@pytest.mark.parametrize(
    ("dialogue", "frame"),
    [
        (Pn532Dialogue(), pn532_frame(FROM_READER, bytes.fromhex("4B010100040804081122FF"))),
        (Sl025Dialogue(), bytes.fromhex("BD080100081122FF0171")),
        (AcsDialogue(), acs_frame(bytes.fromhex("081122FF9000"))),
    ],
)
def test_a_uid_drawn_by_lot_is_nobodys(dialogue: Dialogue, frame: bytes) -> None:
    assert (dialogue.feed(frame), dialogue.answers) == ([], 1)


@pytest.mark.parametrize(
    ("make", "frame"),
    [
        (Pn532Dialogue, bytes.fromhex(PN532_ANSWERS[0][0])),
        (Sl025Dialogue, bytes.fromhex(SL025_ANSWERS[0][0])),
        (AcsDialogue, acs_frame(bytes.fromhex("DEADBEEF9000"))),
    ],
)
@given(cuts=st.lists(st.integers(1, 6), max_size=12))
def test_an_answer_is_found_in_any_pieces(make: type[Dialogue], frame: bytes, cuts: list[int]) -> None:
    dialogue, found, at = make(), [], 0
    for cut in [*cuts, 99]:
        found += dialogue.feed(frame[at : at + cut])
        at += cut
    assert found == ["deadbeef"]


@pytest.mark.parametrize(
    ("make", "frame"),
    [
        (Pn532Dialogue, bytes.fromhex(PN532_ANSWERS[0][0])),
        (Sl025Dialogue, bytes.fromhex(SL025_ANSWERS[0][0])),
        (AcsDialogue, acs_frame(bytes.fromhex("DEADBEEF9000"))),
    ],
)
def test_an_answer_with_a_wrong_bit_is_none(make: type[Dialogue], frame: bytes) -> None:
    for at in range(3, len(frame) - 1):
        dialogue = make()
        assert dialogue.feed(frame[:at] + bytes((frame[at] ^ 1,)) + frame[at + 1 :]) == []


@pytest.mark.parametrize("make", DIALOGUES)
@given(chunks=st.lists(st.binary(max_size=300), max_size=20))
def test_garbage_is_passed_over_in_bounded_memory(make: type[Dialogue], chunks: list[bytes]) -> None:
    dialogue = make()
    for chunk in chunks:
        dialogue.feed(chunk)
    assert len(dialogue._rest) <= MAX_REST  # type: ignore[attr-defined]


def raw_hex(number: int, bits: int) -> str:
    """What a converter that does not take the parity off sends."""
    half, inner = bits // 2, number << 1
    first = (number >> half - 1).bit_count() % 2
    last = 1 - (number & (1 << half - 1) - 1).bit_count() % 2
    return f"{first << bits - 1 | inner | last:0{-(-bits // 4)}X}"


@pytest.mark.parametrize(
    ("form", "bits", "line", "card"),
    [
        ("hex", 34, "04A1B2C3", "04a1b2c3"),
        ("hex", 34, "04:A1:B2:C3", "04a1b2c3"),
        ("hex", 26, "7BB26E", "7bb26e"),
        ("decimal", 34, "77705923", "04a1b2c3"),
        ("decimal", 26, "0008106606", "7bb26e"),
        ("facility", 26, "123,45678", "7bb26e"),
        ("facility", 34, "123,45678", "007bb26e"),
        ("hex", 26, raw_hex(0x7BB26E, 26), "7bb26e"),
        ("hex", 34, raw_hex(0x04A1B2C3, 34), "04a1b2c3"),
    ],
)
def test_all_forms_of_a_wiegand_card_are_the_bytes_of_its_number(form: str, bits: int, line: str, card: str) -> None:
    assert WiegandFramer(form, bits).feed(line.encode() + b"\r\n") == [card]


@pytest.mark.parametrize("number", [0, 1, 0x7BB26E, 0xFFFFFF])
def test_a_raw_number_with_a_wrong_bit_is_no_card(number: int) -> None:
    for bit in range(26):
        wrong = f"{int(raw_hex(number, 26), 16) ^ 1 << bit:07X}"
        assert WiegandFramer("hex", 26).feed(wrong.encode() + b"\n") == []


@pytest.mark.parametrize(
    ("form", "line"),
    [("decimal", "12a"), ("decimal", "-5"), ("facility", "12"), ("facility", "1,70000"), ("facility", "1,2,3"),
     ("hex", "zz"), ("hex", "112233445566"), ("decimal", "99999999999")],
)  # fmt: skip
def test_a_line_of_another_form_is_no_card(form: str, line: str) -> None:
    assert WiegandFramer(form).feed(line.encode() + b"\n") == []


def test_an_unknown_wiegand_form_is_refused_with_the_known_ones() -> None:
    with pytest.raises(DriverError, match="form is 'hex10'; use one of hex, decimal, facility"):
        WiegandFramer("hex10")


@pytest.mark.parametrize(
    ("spelling", "text", "token"),
    [
        (Spelling(strip_zeros=True), "007bb26e", "7BB26E"),
        (Spelling(strip_zeros=True), "0000", "0"),
        (Spelling(length=8), "7bb26e", "007BB26E"),
        (Spelling(length=8), "04a1b2c3d4e580", ""),
        (Spelling(order="reversed", strip_zeros=True), "6eb27b00", "7BB26E"),
        (Spelling(order="reversed", length=8), "6eb27b", "007BB26E"),
        (Spelling(length=8), "", ""),
    ],
)
def test_zeros_and_length_come_after_the_order_of_bytes(spelling: Spelling, text: str, token: str) -> None:
    assert normalise(text, spelling) == token


def test_a_length_that_no_token_has_is_refused() -> None:
    with pytest.raises(DriverError, match="length is 37; use 1 to 36, or 0 for any"):
        Spelling(length=37)
