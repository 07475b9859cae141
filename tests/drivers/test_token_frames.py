"""Cards in a stream of bytes: found whole, garbage passed over, memory bounded; one spelling for a card."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.api import DriverError
from drivers.token.ascii_line import MAX_LINE_BYTES, LineFramer
from drivers.token.normalise import MAX_TOKEN_LENGTH, Spelling, normalise
from drivers.token.rdm6300 import Rdm6300Framer, frame_of

# From the reader's documentation: card 0006547886, version byte 01, checksum 25.
DOCUMENTED = bytes.fromhex("02 30 31 30 30 36 33 45 39 41 45 32 35 03")
UID = bytes.fromhex("010063E9AE")


@pytest.mark.parametrize(("form", "text"), [("hex10", "010063e9ae"), ("hex8", "0063e9ae"), ("decimal10", "0006547886")])
def test_the_documented_frame_is_read_in_each_form(form: str, text: str) -> None:
    assert Rdm6300Framer(form).feed(DOCUMENTED) == [text]


def test_the_documented_frame_is_built() -> None:
    assert frame_of(UID) == DOCUMENTED


def test_a_wrong_checksum_is_no_card() -> None:
    assert Rdm6300Framer().feed(DOCUMENTED.replace(b"25\x03", b"26\x03")) == []


def test_an_unknown_form_is_refused_with_the_known_ones() -> None:
    with pytest.raises(DriverError, match="form is 'hex'; use one of hex10, hex8, decimal10"):
        Rdm6300Framer("hex")


@given(st.lists(st.integers(1, 13), max_size=8))
def test_a_frame_is_found_in_any_pieces(cuts: list[int]) -> None:
    framer, found, at = Rdm6300Framer(), [], 0
    for cut in [*cuts, 99]:
        found += framer.feed(DOCUMENTED[at : at + cut])
        at += cut
    assert found == ["010063e9ae"]


@given(st.binary(max_size=60))
def test_a_frame_after_garbage_is_found_by_its_second_copy(garbage: bytes) -> None:
    framer = Rdm6300Framer()
    framer.feed(garbage)
    assert "010063e9ae" in framer.feed(DOCUMENTED) + framer.feed(DOCUMENTED)


@given(st.lists(st.binary(max_size=200), max_size=30))
def test_an_rdm6300_keeps_less_than_a_frame(chunks: list[bytes]) -> None:
    framer = Rdm6300Framer()
    for chunk in chunks:
        framer.feed(chunk)
    assert len(framer._rest) < 14


@pytest.mark.parametrize("end", [b"\r", b"\n", b"\r\n"])
def test_a_line_is_a_card_whatever_ends_it(end: bytes) -> None:
    assert LineFramer().feed(b"04A1B2C3" + end + b"04D4" + end) == ["04A1B2C3", "04D4"]


def test_a_line_without_its_end_waits() -> None:
    framer = LineFramer()
    assert framer.feed(b"04A1") == []
    assert framer.feed(b"B2C3\r\n") == ["04A1B2C3"]


def test_a_pattern_picks_the_card_out_of_the_line() -> None:
    assert LineFramer(r"UID: ([0-9A-F]+)").feed(b"UID: 04A1 OK\nready\n") == ["04A1"]


def test_a_wrong_pattern_is_refused() -> None:
    with pytest.raises(DriverError, match="no regular expression"):
        LineFramer("(")


@pytest.mark.parametrize("line", [b"\x00\x01\x02", b"\xe9t\xe9", b"", b"   ", b"x" * (MAX_LINE_BYTES + 1)])
def test_a_line_that_is_no_text_is_no_card(line: bytes) -> None:
    assert LineFramer().feed(line + b"\n04A1\n") == ["04A1"]


def test_an_endless_line_is_dropped_up_to_its_end() -> None:
    framer = LineFramer()
    for _ in range(50):
        assert framer.feed(b"x" * 100) == []
    assert framer.feed(b"x\n04A1\n") == ["04A1"]


@given(st.lists(st.binary(max_size=300), max_size=30))
def test_a_line_reader_keeps_at_most_a_line(chunks: list[bytes]) -> None:
    framer = LineFramer()
    for chunk in chunks:
        framer.feed(chunk)
    assert len(framer._rest) <= MAX_LINE_BYTES


@pytest.mark.parametrize(
    ("text", "spelling", "token"),
    [
        ("04:a1:b2:c3", Spelling(), "04A1B2C3"),
        ("04-A1 B2.C3", Spelling(case="lower"), "04a1b2c3"),
        ("04A1B2C3", Spelling(order="reversed"), "C3B2A104"),
        ("123,45678", Spelling(strip_separators=False), "123,45678"),
        ("hello", Spelling(order="reversed"), "HELLO"),
        ("x" * (MAX_TOKEN_LENGTH + 1), Spelling(), ""),
        ("\x07", Spelling(), ""),
        ("", Spelling(), ""),
    ],
)
def test_lesson_32_a_card_has_one_spelling(text: str, spelling: Spelling, token: str) -> None:
    assert normalise(text, spelling) == token


@given(st.binary(min_size=1, max_size=10))
def test_turning_a_uid_round_twice_gives_it_back(uid: bytes) -> None:
    turned = normalise(uid.hex(), Spelling(order="reversed"))
    assert normalise(turned, Spelling(order="reversed", case="lower")) == uid.hex()


@pytest.mark.parametrize("wrong", [{"order": "random"}, {"case": "title"}])
def test_an_unknown_spelling_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(DriverError, match="use one of"):
        Spelling(**wrong)  # type: ignore[arg-type]
