"""Tables, times and durations as people read them."""

from __future__ import annotations

import os
import pty
import sys
import termios

import pytest

from agent.cli.tables import day_time, hanging, labelled, moment, size, span, stamp, table


def test_numbers_stand_to_the_right_and_words_to_the_left() -> None:
    assert table(("name", ">n"), [("a", "1"), ("bcdef", "100")]) == ["name     n", "a        1", "bcdef  100"]


def test_the_last_column_is_wrapped_within_80_columns() -> None:
    lines = table((">n", "what"), [("1", "word " * 40)])
    assert max(map(len, lines)) <= 80
    assert all(line.startswith("   word") for line in lines[2:])


def test_a_long_text_stays_beside_its_label() -> None:
    first, second = labelled("CSMS", "word " * 18, 80)
    assert (first[:15], second[:15]) == ("CSMS      word ", "          word ")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(None, "?"), (-3, "0 s"), (59.9, "59 s"), (61, "1 min 1 s"), (3600, "1 h"), (90_061, "1 d 1 h")],
)
def test_a_duration_has_its_two_largest_units(seconds: float | None, words: str) -> None:
    assert span(seconds) == words


def test_times_are_in_utc_and_a_missing_one_is_a_dash() -> None:
    utc = 1_800_000_000.0
    assert (day_time(utc), moment(utc), stamp(utc)) == ("01-15 08:00", "2027-01-15 08:00", "2027-01-15T08:00:00Z")
    assert (day_time(None), stamp(None)) == ("-", "")


def test_a_size_has_the_unit_that_suits_it() -> None:
    assert (size(None), size(2048), size(3 << 20)) == ("? kB", "2.0 KiB", "3.0 MiB")


def test_a_long_line_goes_on_under_its_text_on_a_terminal_and_is_whole_in_a_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    line = "when  what " + "word " * 20 + "end"
    assert hanging(line, 6) == line
    inner, outer = pty.openpty()
    termios.tcsetwinsize(outer, (24, 60))
    with os.fdopen(outer, "w") as terminal, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", terminal)
        first, *more = hanging(line, 6).split("\n")
    os.close(inner)
    assert max(map(len, (first, *more))) <= 60
    assert all(each.startswith("      word") for each in more)
