"""A map full of nonsense is one line for its author, and never an error of ours."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.mapfile import MapError
from drivers.registers import Decoder
from drivers.regmap import ENERGY, parse_meter

WORDS = (
    *("at", "table", "type", "order", "words", "scale", "unit", "absent", "bit", "slow", "plus", "confidence"),
    *("expect", "serial", "tcp", "max_words", "max_gap", "pause_ms", "write", "slow_every", "baud", "parity", "port"),
)
LIKELY = ("input", "holding", "coil", "int32", "uint64", "float64", "string", "bit", "little", "kWh", "unverified", "N")
VALUES = st.one_of(
    st.sampled_from(LIKELY),
    st.integers(-2, 2) | st.integers(-(2**63), 2**64) | st.sampled_from([9600, 65535, 65536]),
    st.floats() | st.sampled_from([math.inf, math.nan, 5e-324, 1e308, 0.1]),
    st.booleans(),
    st.text(max_size=3),
    st.lists(st.integers(-2, 70000) | st.text(max_size=2), max_size=3),
)
TABLES = st.dictionaries(st.sampled_from(WORDS), VALUES, max_size=4)
ROWS = st.builds(lambda at, rest: {"at": at, **rest}, st.integers(0, 70000), TABLES)
KEYS = st.sampled_from([ENERGY, "Voltage@L1", "Frequency", "Voltage@L9", "Volts"])
MAPS = st.fixed_dictionaries(
    {"vendor": st.just("V"), "model": st.just("M"), "source": st.just("S"), "registers": st.dictionaries(KEYS, ROWS)},
    optional={
        **dict.fromkeys(WORDS, VALUES | TABLES),
        "identify": st.dictionaries(st.text("a\n\x00", max_size=3), ROWS, max_size=2) | VALUES,
    },
)


def mistake(data: dict[str, Any]) -> str | None:
    try:
        parse_meter("meter/x.toml", data)
    except MapError as error:
        return str(error)
    return None


@settings(max_examples=200, deadline=None)
@given(MAPS)
def test_nonsense_in_a_map_is_told_in_one_line(data: dict[str, Any]) -> None:
    told = mistake(data)
    assert told is None or (told.startswith("meter/x.toml: ") and "\n" not in told and len(told) < 600)


@settings(max_examples=200, deadline=None)
@given(ROWS, ROWS, st.data())
def test_what_a_loaded_map_reads_is_a_number_or_nothing(energy: Any, other: Any, data: st.DataObject) -> None:
    head = {"vendor": "V", "model": "M", "source": "S"}
    try:
        loaded = parse_meter("meter/x.toml", {**head, "registers": {ENERGY: energy, "Frequency": other}})
    except MapError:
        return
    for read in (*loaded.fast, *loaded.slow):
        words = data.draw(st.lists(st.integers(0, 0xFFFF), min_size=read.count, max_size=read.count))
        assert all(value is None or math.isfinite(value) for value in Decoder(read).values(words))
