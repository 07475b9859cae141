"""All values of a read at once are those that each row gives alone."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.registers import CODES, TYPES, Decoder, Read, Row, decode, plan
from drivers.regmap import load_meter, map_names

SPAN = 40


@st.composite
def reads(draw: st.DrawFn) -> Read:
    """Rows of all kinds anywhere, side by side, apart or one over the other."""
    rows = []
    for n in range(draw(st.integers(1, 8))):
        kind = draw(st.sampled_from(sorted(CODES)))
        words = TYPES[kind][0]
        bit = draw(st.sampled_from([None, None, 3])) if kind == "uint16" else None
        absent = draw(st.sampled_from([(), (), (0,), ((1 << 16 * words) - 1,)]))
        scale = draw(st.sampled_from([(1.0, 1.0), (1000.0, 1.0), (1.0, 10.0)]))
        at = draw(st.integers(0, SPAN))
        rows.append(Row(f"row {n}", "input", at, kind, words, draw(st.booleans()), *scale, absent, bit))
    return plan(rows, 125, 125)[0]


@given(reads(), st.data())
def test_a_whole_read_gives_what_its_rows_give_alone(read: Read, data: st.DataObject) -> None:
    word = st.sampled_from([0, 0, 1, 0x7FC0, 0x7F80, 0xFF80, 0xFFFF, 0x8000]) | st.integers(0, 0xFFFF)
    words = data.draw(st.lists(word, min_size=read.count, max_size=read.count))
    alone = [decode(row, read.words_of(row, words)) for row in read.rows]
    assert Decoder(read).values(words) == alone


@pytest.mark.parametrize("name", map_names("meter"))
def test_every_shipped_meter_is_read_alike_both_ways(name: str) -> None:
    for read in load_meter(name).fast:
        words = struct.unpack(f">{read.count}H", bytes(range(1, 2 * read.count + 1)))
        alone = [decode(row, read.words_of(row, words)) for row in read.rows]
        assert Decoder(read).values(words) == alone
