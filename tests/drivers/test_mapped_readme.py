"""The manual says what the maps and the code do."""

from __future__ import annotations

import re
from pathlib import Path

import tomli

from drivers.api import Fault
from drivers.registry import BUILT_IN
from drivers.regmap import load_evse, parse_meter

MANUAL = (Path(__file__).parents[2] / "drivers" / "README.md").read_text("utf-8")
LAYOUT = MANUAL[MANUAL.index("## The reference layout") : MANUAL.index("## The bus")]


def test_the_example_of_the_manual_is_a_map() -> None:
    example = re.search(r"```toml\n(vendor.*?)```", MANUAL, re.DOTALL)
    assert example is not None
    assert len(parse_meter("example.toml", tomli.loads(example[1])).registers) == 3


def test_each_driver_is_in_the_manual() -> None:
    assert all(f"`{name}`" in MANUAL for name in BUILT_IN)


def test_each_register_of_the_reference_map_is_in_the_manual() -> None:
    described: set[int] = set()
    for first, last in re.findall(r"^\| (\d+)(?:(?: to|,) (\d+))? \|", LAYOUT, re.MULTILINE):
        described.update(range(int(first), int(last or first) + 1))
    m = load_evse("reference")
    rows = [row for read in m.reads for row in read.rows] + [expected.row for expected in m.device.identify]
    rows += [part.row for part in (m.offer, m.watchdog, m.failsafe, m.led, m.unlock) if part and part.row]
    assert {row.at + i for row in rows for i in range(row.words)} <= described


def test_each_fault_bit_of_the_manual_is_a_bit_of_the_map() -> None:
    table = LAYOUT[LAYOUT.index("| Bit | Fault |") :]
    described = {int(bit): words for bit, words in re.findall(r"\| (\d+) \| ([^|]+?) (?=\|)", table)}
    described |= {16 + int(bit): words for bit, words in re.findall(r"bit (\d) (?:residual |the )([^,(.]+)", table)}
    faults = load_evse("reference").faults
    bits = {16 * (flag.row.at - 20) + (flag.row.bit or 0): fault for fault, flag in faults}
    assert described.keys() == bits.keys()
    first_words = {bit: fault.value.split("-")[0] for bit, fault in bits.items() if fault is not Fault.RFID_READER}
    renamed = {2: "residual", 11: "card", 16: "direct current"}
    assert all(described[b].startswith(renamed.get(b, w)) for b, w in first_words.items())
