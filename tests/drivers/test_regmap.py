"""Register maps: what a file says becomes rows; what it says wrongly becomes one line that helps."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path

import pytest
import tomli
from hypothesis import given
from hypothesis import strategies as st

from drivers.api import Fault, Measurand, Phase
from drivers.mapfile import MapError
from drivers.mapwords import EvseMap, MeterMap, Serial, Tcp
from drivers.registers import (
    TYPES,
    Row,
    bits,
    decode,
    decode_text,
    encode,
    encode_down,
    encode_text,
    plan,
    put,
    raw,
    words_from_bits,
)
from drivers.regmap import ENERGY, load_evse, load_meter, map_names, parse_evse, parse_meter

METER = """
vendor = "V"
model = "M"
source = "S"
[registers]
"Energy.Active.Import.Register" = { at = 0x10, type = "uint32" }
"""
EVSE = """
vendor = "V"
model = "M"
source = "S"
[pilot]
at = 1
values = { 1 = "A", 2 = "B" }
[offer]
at = 2
max = 16
"""


def meter(text: str) -> MeterMap:
    return parse_meter("meter/x.toml", tomli.loads(text))


def evse(text: str) -> EvseMap:
    return parse_evse("evse/x.toml", tomli.loads(text))


@cache
def all_rows() -> list[Row]:
    rows: list[Row] = []
    for name in map_names("meter"):
        rows += [r.row for r in load_meter(name).registers]
    for name in map_names("evse"):
        m = load_evse(name)
        rows += [row for read in m.reads for row in read.rows]
        rows += [setting.row for setting in (m.watchdog, m.failsafe) if setting and setting.row]
    return [row for row in rows if row.type != "string"]


# ---- the shipped maps


@pytest.mark.parametrize("name", map_names("meter"))
def test_a_shipped_meter_map_reads_its_energy_in_each_poll(name: str) -> None:
    assert any(row.key == ENERGY for read in load_meter(name).fast for row in read.rows)


@pytest.mark.parametrize("name", ["evse_wb", "heidelberg_ec", "reference"])
def test_a_shipped_evse_map_loads(name: str) -> None:
    assert load_evse(name).device.name == name


def test_each_fault_can_be_told_by_the_reference_layout() -> None:
    assert {fault for fault, _ in load_evse("reference").faults} == set(Fault)


def test_the_reference_layout_is_polled_with_one_request() -> None:
    assert [(read.at, read.count) for read in load_evse("reference").reads] == [(16, 13)]


def test_no_read_is_longer_than_the_device_allows() -> None:
    for name in map_names("meter"):
        m = load_meter(name)
        assert all(read.count <= m.device.max_words for read in (*m.fast, *m.slow))


def test_a_known_frame_of_the_sdm630_decodes_to_its_energy() -> None:
    row = next(r.row for r in load_meter("eastron_sdm630").registers if r.row.key == ENERGY)
    assert decode(row, [0x449A, 0x5225]) == pytest.approx(1234567, abs=0.1)  # 1234.567 kWh


def test_low_word_first_is_read_so() -> None:
    row = next(r.row for r in load_meter("carlo_gavazzi_em340").registers if r.row.key == ENERGY)
    assert decode(row, [12345, 0]) == 1234500.0  # 1234.5 kWh


def test_the_overflow_sign_of_the_em340_is_no_value() -> None:
    row = next(r.row for r in load_meter("carlo_gavazzi_em340").registers if r.row.key == "Voltage@L1-N")
    assert decode(row, [0xFFFF, 0x7FFF]) is None


# ---- values and words


@given(st.data())
def test_each_row_of_each_map_comes_back_as_it_was_written(data: st.DataObject) -> None:
    row = data.draw(st.sampled_from(all_rows()))
    width = 1 if row.bit is not None or row.type == "bit" else 16 * row.words
    pattern = data.draw(st.integers(0, (1 << width) - 1))
    if row.type in ("int64", "uint64"):
        pattern >>= 2  # next to its largest a float says more than it can hold
    words = words_from_bits(row, pattern)
    value = decode(row, words)
    if value is not None:
        assert decode(row, encode(row, value)) == value


@given(st.data())
def test_words_keep_each_bit(data: st.DataObject) -> None:
    row = data.draw(st.sampled_from([row for row in all_rows() if row.bit is None]))
    pattern = data.draw(st.integers(0, (1 << 16 * row.words) - 1))
    assert bits(row, words_from_bits(row, pattern)) == pattern


@given(st.sampled_from(sorted(set(TYPES) - {"string", "bit"})), st.booleans(), st.integers(-(2**63), 2**64 - 1))
def test_a_number_that_fits_is_kept_and_another_is_refused(kind: str, little: bool, number: int) -> None:
    row = Row("x", "input", 0, kind, TYPES[kind][0], little)
    try:
        words = encode(row, number)
    except ValueError:
        assert "int" in kind
        return
    assert decode(row, words) == pytest.approx(number, rel=1e-6)


@cache
def offer_rows() -> list[tuple[Row, float]]:
    return [(offer.row, offer.max_a) for offer in (load_evse(name).offer for name in map_names("evse"))]


@given(st.floats(6, 80))
def test_a_current_is_never_rounded_up(wanted_a: float) -> None:
    for row, max_a in offer_rows():
        current_a = min(wanted_a, max_a)
        held = decode(row, encode_down(row, current_a))
        assert held is not None
        assert held <= current_a + 1e-6 < held + row.multiply / row.divide + 2e-6


def test_a_float_is_never_rounded_up_either() -> None:
    row = Row("offer", "holding", 0, "float32", 2)
    held = decode(row, encode_down(row, 32.04844169793887))
    assert held is not None
    assert held <= 32.04844169793887 < held + 1e-5


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_float_that_is_no_number_is_no_value(number: float) -> None:
    row = Row("x", "input", 0, "float32", 2)
    assert decode(row, encode(row, number)) is None


def test_no_value_is_written_as_the_sentinel() -> None:
    row = Row("x", "input", 0, "uint16", 1, absent=(0xFFFF,))
    assert encode(row, None) == [0xFFFF]


def test_a_negative_number_keeps_its_sign() -> None:
    row = Row("x", "input", 0, "int16", 1)
    assert raw(row, encode(row, -5)) == -5


def test_a_scaled_value_is_exact() -> None:
    row = load_meter("carlo_gavazzi_em340").registers[0].row
    assert decode(row, [2305, 0]) == 230.5


def test_a_bit_is_put_beside_its_neighbours() -> None:
    image = {7: 0b1000}
    row = Row("x", "input", 7, "uint16", 1, bit=1)
    put(image, row, encode(row, 1))
    assert image == {7: 0b1010}


def test_a_long_value_is_put_over_its_words() -> None:
    image: dict[int, int] = {}
    row = Row("x", "input", 7, "uint32", 2)
    put(image, row, encode(row, 0x12345678))
    assert image == {7: 0x1234, 8: 0x5678}


def test_text_comes_back_without_its_padding() -> None:
    row = Row("x", "input", 0, "string", 4)
    assert decode_text(row, encode_text(row, "AB12")) == "AB12"


def test_text_that_is_too_long_is_refused() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        encode_text(Row("x", "input", 0, "string", 1), "ABC")


# ---- the plan


def row_at(at: int, table: str = "input") -> Row:
    return Row(f"{at}", table, at, "uint16", 1)


def test_neighbours_are_fetched_in_one_read() -> None:
    assert [(r.at, r.count) for r in plan([row_at(2), row_at(0), row_at(1)], 10, 0)] == [(0, 3)]


def test_a_hole_is_bridged_up_to_the_limit() -> None:
    reads = plan([row_at(0), row_at(3), row_at(7)], 10, 2)
    assert [(r.at, r.count) for r in reads] == [(0, 4), (7, 1)]


def test_a_read_is_no_longer_than_allowed() -> None:
    assert [(r.at, r.count) for r in plan([row_at(a) for a in range(5)], 2, 0)] == [(0, 2), (2, 2), (4, 1)]


def test_tables_are_not_mixed() -> None:
    assert len(plan([row_at(0), row_at(1, "holding")], 10, 9)) == 2


@given(st.lists(st.integers(0, 300), min_size=1, max_size=40), st.integers(1, 60), st.integers(0, 30))
def test_a_plan_holds_each_row_once_and_where_it_lies(addresses: list[int], max_words: int, max_gap: int) -> None:
    rows = [row_at(a) for a in addresses]
    reads = plan(rows, max_words, max_gap)
    assert sorted(int(row.key) for read in reads for row in read.rows) == sorted(addresses)
    for read in reads:
        answer = list(range(read.at, read.at + read.count))
        assert all(list(read.words_of(row, answer)) == [row.at] for row in read.rows)


# ---- finding files


def test_a_map_of_the_manufacturer_wins_over_the_shipped_one(tmp_path: Path) -> None:
    (tmp_path / "meter").mkdir()
    (tmp_path / "meter" / "eastron_sdm630.toml").write_text(METER)
    assert load_meter("eastron_sdm630", [tmp_path]).device.vendor == "V"


@pytest.mark.parametrize(
    ("name", "hint"), [("sdm63", "near it are eastron_sdm630"), ("eastron_sdm_630", "near it are eastron_sdm630")]
)
def test_an_unknown_name_gets_the_names_that_may_be_meant(name: str, hint: str) -> None:
    with pytest.raises(MapError, match=f"no meter map '{name}'; {hint}"):
        load_meter(name)


def test_a_name_that_is_like_none_gets_all_of_them() -> None:
    with pytest.raises(MapError, match=r"no evse map 'zzz'; known are .*, reference"):
        load_evse("zzz")


def test_a_name_is_no_path() -> None:
    with pytest.raises(MapError, match="letters, digits"):
        load_meter("../../etc/passwd")


def test_a_file_that_is_no_toml_is_named(tmp_path: Path) -> None:
    (tmp_path / "evse").mkdir()
    (tmp_path / "evse" / "mine.toml").write_text("vendor =")
    with pytest.raises(MapError, match=r"evse/mine.toml: cannot be read: Invalid value"):
        load_evse("mine", [tmp_path])


# ---- meanings


def test_a_unit_is_turned_into_the_si_unit() -> None:
    row = meter(METER.replace('"uint32"', '"uint32", unit = "kWh", scale = 0.1')).registers[0].row
    assert decode(row, [0, 15]) == 1500.0


def test_a_key_is_a_measurand_and_a_phase() -> None:
    row = meter(METER + '"Voltage@L1-N" = { at = 0 }').registers[1]
    assert (row.measurand, row.phase) == (Measurand.VOLTAGE, Phase.L1_N)


def test_defaults_of_the_file_hold_for_all_rows() -> None:
    m = meter('table = "input"\ntype = "int64"\norder = "little"\n' + METER.replace(', type = "uint32"', ""))
    row = m.registers[0].row
    assert (row.table, row.type, row.little) == ("input", "int64", True)


def test_slow_rows_are_read_apart() -> None:
    m = meter(METER + '"Frequency" = { at = 0x12, slow = true }')
    assert ([len(r.rows) for r in m.fast], [len(r.rows) for r in m.slow]) == ([1], [1])


def test_a_map_is_verified_unless_it_says_otherwise() -> None:
    assert not meter('confidence = "unverified"\n' + METER).device.verified


def test_what_one_row_says_of_its_confidence_holds_for_that_row_alone() -> None:
    m = meter(METER + '"Frequency" = { at = 0, confidence = "unverified" }')
    assert (m.device.verified, [r.row.verified for r in m.registers]) == (True, [True, False])


def test_no_row_of_an_unverified_file_is_verified() -> None:
    m = meter('confidence = "unverified"\n' + METER + '"Frequency" = { at = 0, confidence = "verified" }')
    assert not any(r.row.verified for r in m.registers)


def test_a_sentinel_of_a_type_holds_for_all_rows_of_that_type() -> None:
    rows = meter("absent = { uint32 = [-1], int16 = [0x7FFF] }\n" + METER + '"Frequency" = { at = 0, type = "int16" }')
    assert [r.row.absent for r in rows.registers] == [(0xFFFFFFFF,), (0x7FFF,)]


def test_a_row_may_have_no_sentinel_where_its_type_has_one() -> None:
    m = meter("absent = { uint32 = [-1] }\n" + METER.replace('"uint32"', '"uint32", absent = []'))
    assert m.registers[0].row.absent == ()


def test_the_settings_of_the_factory_are_told() -> None:
    m = meter(
        'serial = { baud = 2400, parity = "E", unit = 33, confidence = "unverified" }\ntcp = { unit = 255 }\n' + METER
    )
    assert (m.device.serial, m.device.tcp) == (Serial(2400, "E", 1, 33, False), Tcp(502, 255, True))


@pytest.mark.parametrize(("text", "fits"), [("iEM3255", True), ("PM3255", False)])
def test_a_text_that_identifies_is_known_by_its_beginning(text: str, fits: bool) -> None:
    expected = meter(
        METER + '[identify]\nmodel = { at = 0, type = "string", words = 4, expect = ["iEM3"] }'
    ).device.identify[0]
    assert expected.fits(encode_text(expected.row, text)) is fits


# ---- one line for each mistake


METER_MISTAKES = {
    "vendor = 1\n": "vendor: is 1; expected a text",
    'tabel = "input"\n': "tabel: is not a word of the map format here; known are",
    'table = "inputs"\n': "table: is 'inputs'; use one of input, holding",
    "max_words = 200\n": "max_words: is 200; expected 1..125",
    "pause_ms = 1.5\n": "pause_ms: is 1.5; expected an integer",
    "absent = { long = [1] }\n": "[absent] long: is not a type that has sentinels",
    'serial = { baud = "fast" }\n': "[serial] baud: is 'fast'; expected an integer",
    "serial = { baud = 9600, unit = 248 }\n": "[serial] unit: is 248; expected 1..247",
    "tcp = { host = 1 }\n": "[tcp] host: is not a word of the map format here; known are confidence, port, unit",
}
ROW_MISTAKES = {
    '"Volts" = { at = 0 }': "'Volts' is not a measurand",
    '"Voltage@L4" = { at = 0 }': "'L4' is not a phase; use one of L1, L2",
    '"Voltage" = { }': "[registers] Voltage at: missing; add at = 0x0000",
    '"Voltage" = 5': "is 5; expected a table",
    '"Voltage" = { at = 70000 }': "at: is 70000; expected 0..65535",
    '"Voltage" = { at = 0, unit = "kWh" }': "unit: is 'kWh'; use one of V, mV, kV",
    '"Voltage" = { at = 0, type = "float16" }': "type: is 'float16'; use one of",
    '"Voltage" = { at = 0, scale = 0 }': "scale: is 0; expected what one step",
    '"Voltage" = { at = 0, scale = nan }': "scale: is nan; expected what one step",
    '"Voltage" = { at = 0, type = "string", words = 2 }': "type: is 'string'; a measured value is a number",
    '"Voltage" = { at = 0, skale = 1 }': "skale: is not a word",
    '"Voltage" = { at = 0, absent = [1.5] }': "absent: holds 1.5; expected a list of integers",
    '"Voltage" = { at = 0, confidence = "seen" }': "confidence: is 'seen'; use one of verified, unverified",
    '"Voltage" = { at = 0, plus = [0] }': "plus: holds 0; expected addresses of other registers",
    '[identify]\nmodel = { at = 0, type = "string", words = 2, expect = [1] }': "expected a list of texts",
    '"Voltage" = { at = 0, type = "uint32", bit = 1 }': "bit: needs a register of one word",
    '"Voltage" = { at = 0, table = "coil", type = "uint16" }': "cannot be read from table 'coil'",
}


def check(error: MapError, file: str, expected: str) -> None:
    text = str(error)
    assert text.startswith(file + ": ")
    assert "\n" not in text
    assert all(part in text for part in expected.split("|"))


@pytest.mark.parametrize("line", METER_MISTAKES)
def test_a_mistake_at_the_top_of_a_map_is_one_line(line: str) -> None:
    text = METER.replace('vendor = "V"\n', "") if line.startswith("vendor") else METER
    with pytest.raises(MapError) as error:
        meter(line + text)
    check(error.value, "meter/x.toml", METER_MISTAKES[line])


@pytest.mark.parametrize("line", ROW_MISTAKES)
def test_a_mistake_in_a_row_is_one_line(line: str) -> None:
    with pytest.raises(MapError) as error:
        meter(METER + line)
    check(error.value, "meter/x.toml", ROW_MISTAKES[line])


def test_a_map_without_a_source_is_refused() -> None:
    with pytest.raises(MapError, match="source: missing"):
        meter(METER.replace('source = "S"', ""))


def test_a_meter_without_its_energy_is_refused() -> None:
    with pytest.raises(MapError, match="a charging session is billed by it"):
        meter(METER.replace(ENERGY, "Frequency"))


def test_a_meter_with_slow_energy_is_refused() -> None:
    with pytest.raises(MapError, match="missing or slow"):
        meter(METER.replace('"uint32"', '"uint32", slow = true'))


EVSE_MISTAKES = {
    "[lock]\nat = 3": "[lock] values: missing; add bit = N, or values",
    "[unlock]\nat = 3\nvalue = 1": "[unlock]: needs [lock] too",
    "[faults]\nsmoke = { at = 1, bit = 1 }": "[faults] smoke: is not a fault; use one of other, diode",
    "[faults]\nground = [1]": "ground: holds 1; expected tables",
    '[stop_button]\nat = 1\nvalues = { 1 = "panic" }': "1: is 'panic'; use one of local, emergency, other",
    '[stop_button]\nat = 1\nvalues = { 1 = "local" }\ncount = { at = 3 }': "seen: and count come together",
    '[watchdog]\nat = 3\ntable = "input"\ntimeout_s = 3': "table: cannot be written",
    "[watchdog]\nat = 3\nunit = 'ms'\ntimeout_s = 90": "timeout_s: is 90, too much for a register of type uint16",
    "[watchdog]\nat = 3": "timeout_s: missing; add timeout_s = 1.0",
    '[led]\nat = 1\nvalues = { red = "faulted" }': "red: is not a register value",
    '[phases]\nat = 3\nvalues = { 1 = "1" }': '[phases] values: expected one register value for "1" and one for',
    '[phases]\nat = 3\nvalues = { 1 = "1", 2 = "2" }': "[phases] values 2: is '2'; use one of 1, 3",
    '[phases_told]\nat = 3\nvalues = { 1 = "1" }': "[phases_told]: needs [phases]",
    "[wake]\nat = 3\nvalue = 1": "[wake] pulse_s: missing",
    "[wake]\nat = 3\nvalue = 1\npulse_s = 600": "[wake] pulse_s: is 600",
}


@pytest.mark.parametrize("table", EVSE_MISTAKES)
def test_a_mistake_in_an_evse_map_is_one_line(table: str) -> None:
    with pytest.raises(MapError) as error:
        evse(EVSE + table)
    check(error.value, "evse/x.toml", EVSE_MISTAKES[table])


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('2 = "B"', '2 = "G"', "[pilot] values 2: is 'G'; use one of A, B, C, D, E, F"),
        ("[pilot]", "[pilots]", "[pilot]: missing; add the register"),
        ("max = 16", "max = 200", "max: is 200 with min 6; expected 6 <= min <= max <= 80"),
        ("max = 16", "max = 16\nmin = 5", "expected 6 <= min"),
        ("[offer]\nat = 2\nmax = 16", "", "[offer]|missing"),
    ],
)
def test_a_map_without_a_sound_pilot_and_offer_is_refused(old: str, new: str, expected: str) -> None:
    with pytest.raises(MapError) as error:
        evse(EVSE.replace(old, new))
    check(error.value, "evse/x.toml", expected)
