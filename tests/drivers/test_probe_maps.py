"""Every mistake of a map is named with its line; values that cannot be are told from those that can."""

from __future__ import annotations

from pathlib import Path

import pytest

from drivers.api import Measurand as M
from drivers.api import Phase
from drivers.probe import judge
from drivers.probe.mapcheck import check
from drivers.probe.shelf import entries
from drivers.probe.table import Samples
from drivers.registers import Row

METER = """\
vendor = "V"
model = "M"
source = "S"

[registers]
"Voltage@L1-N" = { at = 0, scale = 0.1 }
"Energy.Active.Import.Register" = { at = 10, type = "uint32" }
"""
EVSE = """\
vendor = "V"
model = "M"
source = "S"
[pilot]
at = 1
values = { 1 = "A", 2 = "B" }
[offer]
at = 2
max = 32
[faults]
ground = { at = 3, bit = 0 }
"""


def told(text: str, file: str = "x.toml") -> list[tuple[int, str]]:
    return [(mistake.line, f"{mistake.where}: {mistake.why}") for mistake in check(file, text).mistakes]


def test_the_change_that_mends_most_is_tried_first() -> None:
    keys = [f"Voltage@L{n}-N" for n in (1, 2, 3)]
    bad = [judge.Finding("range", key, "is too much") for key in keys]
    turned = [judge.Finding("order", key, "would be 230 V", 'order = "big"') for key in keys[:2]]
    lower = [judge.Finding("shift", key, "would be 230 V", judge.LOWER) for key in keys]
    assert judge.one_mistake([*bad, *turned, *lower]).startswith(
        "try first: each address one lower, which makes sense of 3"
    )
    assert judge.one_mistake([*bad, *turned]) == ""


@pytest.mark.parametrize(
    ("table", "at", "address"),
    [
        ("input", 30001, "0"),
        ("input", 30013, "12"),
        ("holding", 40001, "0"),
        ("input", 30000, ""),
        ("holding", 64514, ""),
    ],
)
def test_a_number_of_a_manual_is_known_where_there_is_no_such_register(table: str, at: int, address: str) -> None:
    said = judge.of_a_manual(Row("x", table, at, "uint16", 1))
    assert said.rpartition(" ")[2] == address


@pytest.mark.parametrize("text", [METER, EVSE])
def test_a_right_map_has_no_mistake(text: str) -> None:
    assert told(text) == []


@pytest.mark.parametrize("entry", entries(), ids=lambda entry: entry.name)
def test_no_map_of_the_shelf_has_a_mistake(entry: object) -> None:
    file = getattr(entry, "file", "")
    assert told(Path(file).read_text("utf-8"), file) == []


@pytest.mark.parametrize(
    ("text", "line", "word"),
    [
        (METER.replace('model = "M"\n', ""), 1, "model: missing"),
        (METER.replace('model = "M"\n', 'model = " "\n'), 2, "model: is empty"),
        (METER.replace("scale = 0.1", "scale = 0"), 6, "scale: is 0"),
        (METER.replace("at = 0,", "at = 70000,"), 6, "at: is 70000"),
        (METER.replace("L1-N", "L7"), 6, "is not a phase"),
        (METER.replace("Voltage", "Volts"), 6, "is not a measurand"),
        (METER.replace("Voltage", "Voltages"), 6, "did you mean Voltage?"),
        (METER.replace('"V"', "V"), 1, "a text stands in quotes"),
        (METER.replace("Energy.Active.Import.Register", "Energy.Active.Export.Register"), 5, "missing or slow"),
        (METER.replace("at = 10", "att = 10"), 7, "at: missing"),
        (METER + "pause_ms = 1\n", 8, "is not a measurand"),
        (EVSE.replace('"B"', '"G"'), 6, "use one of A, B"),
        (EVSE.replace("max = 32", "max = 3"), 9, "expected 6 <= min <= max <= 80"),
        (EVSE.replace("ground", "gruond"), 11, "is not a fault"),
        (EVSE.replace("[offer]\nat = 2\nmax = 32\n", ""), 1, "[offer]: missing"),
        (METER.replace("= { at = 0", "= at = 0"), 6, "is no TOML"),
    ],
)
def test_a_mistake_is_told_once_and_with_its_line(text: str, line: int, word: str) -> None:
    hits = [(where, what) for where, what in told(text) if word in what]
    assert [where for where, _ in hits] == [line], told(text)


@pytest.mark.parametrize(
    ("text", "words"), [(METER, "identify serial tcp absent"), (EVSE, "cable feed lock unlock wake")]
)
def test_what_may_stand_there_is_named_whether_the_map_has_it_or_not(text: str, words: str) -> None:
    [(_, said)] = told(f"{text}\n[nonsense]\nat = 1\n")
    assert {*words.split()} <= {*said.rpartition("known are ")[2].split(", ")}


def test_all_mistakes_are_told_and_not_only_the_first() -> None:
    text = METER.replace('vendor = "V"', "vendor = 7").replace("scale = 0.1", 'scale = "x", unit = "A"')
    text = text.replace("uint32", "uint31") + "[extra]\na = 1\n"
    assert [line for line, _ in told(text)] == [1, 6, 6, 7, 8]


def test_what_follows_from_a_line_that_cannot_be_read_is_not_told_too() -> None:
    assert [line for line, _ in told(METER.replace('"V"', "V"))] == [1]


def test_two_values_in_one_register_are_remarked() -> None:
    text = METER + '"Frequency" = { at = 11, scale = 0.01 }\n'
    remarks = [remark for remark in check("x.toml", text).remarks if "shares register 11" in remark.why]
    assert [remark.line for remark in remarks] == [8]


@pytest.mark.parametrize("cut", range(0, len(EVSE), 7))
def test_a_map_that_ends_anywhere_harms_nobody(cut: int) -> None:
    assert all(line >= 1 for line, _ in told(EVSE[:cut]))


# --- physics -------------------------------------------------------------------------------------------------

ENERGY = (M.ENERGY_ACTIVE_IMPORT_REGISTER, None)
LOADED: Samples = {
    (M.VOLTAGE, Phase.L1_N): 230.0,
    (M.VOLTAGE, Phase.L2_N): 231.0,
    (M.VOLTAGE, Phase.L3_N): 229.0,
    (M.CURRENT_IMPORT, Phase.L1): 16.0,
    (M.CURRENT_IMPORT, Phase.L2): 16.0,
    (M.CURRENT_IMPORT, Phase.L3): 16.0,
    (M.POWER_ACTIVE_IMPORT, None): 11000.0,
    (M.FREQUENCY, None): 50.0,
    ENERGY: 5000.0,
}


def kinds(now: Samples, before: Samples | None = None, span_s: float = 0.0) -> list[str]:
    return [finding.kind for finding in judge.judge(now, before, span_s)]


def test_a_load_that_makes_sense_is_not_blamed() -> None:
    assert kinds(LOADED | {ENERGY: 5031.0}, LOADED, 10.0) == []


def test_a_meter_without_load_is_not_blamed() -> None:
    idle = {meaning: 0.0 if meaning[0] in (M.CURRENT_IMPORT, M.POWER_ACTIVE_IMPORT) else value
            for meaning, value in LOADED.items()}  # fmt: skip
    assert kinds(idle, idle, 60.0) == []


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({(M.VOLTAGE, Phase.L1_N): 2300.0}, "range"),
        ({(M.VOLTAGE, Phase.L1_N): 1e-30}, "range"),
        ({(M.FREQUENCY, None): 500.0}, "range"),
        ({(M.POWER_ACTIVE_IMPORT, None): 110_000.0}, "power"),
        ({(M.POWER_ACTIVE_IMPORT, None): 11.0}, "power"),
        ({(M.POWER_ACTIVE_IMPORT, None): -11_000.0}, "sign"),
        ({(M.POWER_ACTIVE_IMPORT, Phase.L2): -3_600.0}, "sign"),
        ({ENERGY: 4000.0}, "energy"),
        ({ENERGY: 5000.0}, "energy"),
        ({ENERGY: 50_000.0}, "energy"),
    ],
)
def test_what_cannot_be_is_told(change: Samples, kind: str) -> None:
    assert kinds(LOADED | {ENERGY: 5031.0} | change, LOADED, 10.0) == [kind]


def test_energy_that_counts_in_other_units_is_told() -> None:
    [finding] = judge.judge(LOADED | {ENERGY: 5000.031}, LOADED, 10.0, step_wh=0.01)  # kilowatt-hours, read as Wh
    assert (finding.kind, "wrong unit" in finding.text) == ("energy", True)


@pytest.mark.parametrize("late_s", [0.0, 3.0, 6.0])
def test_energy_that_is_told_late_by_some_seconds_is_not_blamed(late_s: float) -> None:
    assert kinds(LOADED | {ENERGY: 5000.0 + 11_000 / 3600 * (10.0 - late_s)}, LOADED, 10.0) == []


def test_how_long_a_test_must_be_is_known_from_load_and_resolution() -> None:
    assert judge.shows_in_s(LOADED, 10.0) == pytest.approx(9.8, abs=0.1)
    assert judge.shows_in_s(LOADED | {(M.POWER_ACTIVE_IMPORT, None): 0.0}, 10.0) is None


def test_energy_may_stand_still_for_less_than_its_resolution() -> None:
    assert judge.judge(LOADED, LOADED, 10.0, step_wh=100.0) == []


def test_no_voltage_on_any_phase_is_told() -> None:
    dead = {meaning: 0.0 if meaning[0] is M.VOLTAGE else value for meaning, value in LOADED.items()}
    assert kinds(dead) == ["range"]
