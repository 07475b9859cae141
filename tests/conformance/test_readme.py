"""The table of the specification names tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]


def test_every_test_of_the_table_exists() -> None:
    table = (TESTS / "conformance" / "README.md").read_text()
    defined = {
        name
        for file in TESTS.rglob("test_*.py")
        for name in re.findall(r"^(?:async )?def (test_\w+)", file.read_text(), re.MULTILINE)
    }
    assert sorted(set(re.findall(r"`(test_\w+)`", table)) - defined) == []


def test_every_lesson_has_a_row_or_is_named_as_out_of_reach() -> None:
    table = (TESTS / "conformance" / "README.md").read_text().partition("## Lessons")[2]
    rows = {int(number) for number in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)}
    rest = {int(number) for number in re.findall(r"\d+", table.rpartition("\n\n")[2])}
    assert rows | rest == set(range(1, 34))
    assert not rows & rest


def test_every_lesson_has_a_test_named_after_it() -> None:
    table = (TESTS / "conformance" / "README.md").read_text().partition("## Lessons")[2]
    rows = re.findall(r"^\| (\d+) \|(.*)", table, re.MULTILINE)
    assert [number for number, row in rows if f"`test_lesson_{number}_" not in row] == []
