"""`map check` on maps of each kind with one line spoilt at a time: that line is named, and no other gets the blame."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from drivers.probe.mapcheck import check
from drivers.regmap import SHIPPED

MAPS = (
    "evse/keba_p30",
    "evse/delta_ac_max",
    "evse/reference",
    "io/icpdas_tm",
    "io/wago_750_analog",
    "meter/siemens_pac2200",
)
LINE = re.compile(r'^(?P<key>"[^"]*"|[\w-]+)(?P<is> = )(?P<value>.*?)(?P<tail>\s*(?:#.*)?)$')
FREE = ("identify", "info", "init", "settings", "start")  # tables in which a key is a name that anybody may choose
SPOILT: dict[str, str] = {  # how, and what the line becomes
    "another type": '{key} = [["x"]]',
    "a letter too many": "{key}x = {value}",
    "no value": "{key} =",
}


def lines(name: str) -> list[str]:
    return (SHIPPED / f"{name}.toml").read_text("utf-8").splitlines()


def spoilt(name: str, how: str) -> Iterator[tuple[int, str]]:
    """Each line that can be spoilt so: its number, and the text with it."""
    text, table = lines(name), ""
    for place, line in enumerate(text):
        table = line.strip("[]# ").partition("]")[0] if line.startswith("[") else table
        found = LINE.match(line)
        if not found or (how == "a letter too many" and (table in FREE or found["key"].startswith('"'))):
            continue
        changed = SPOILT[how].format(key=found["key"], value=found["value"])
        yield place + 1, "\n".join([*text[:place], changed, *text[place + 1 :]])


@pytest.mark.parametrize("how", SPOILT)
@pytest.mark.parametrize("name", MAPS)
def test_a_spoilt_line_is_named(name: str, how: str) -> None:
    blamed = {n: [m.line for m in check(f"{name}.toml", text).mistakes] for n, text in spoilt(name, how)}
    assert len(blamed) > 5
    assert [n for n, told in blamed.items() if n not in told] == []


@pytest.mark.parametrize("name", MAPS)
def test_a_value_of_another_type_is_blamed_on_its_own_line_alone(name: str) -> None:
    blamed = {n: {m.line for m in check(f"{name}.toml", text).mistakes} for n, text in spoilt(name, "another type")}
    assert {n: told for n, told in blamed.items() if told != {n}} == {}


@pytest.mark.parametrize("becomes", ['table = "holdign"', 'tabel = "holding"'])
@pytest.mark.parametrize("name", ["io/r421a08", "evse/delta_ac_max", "evse/alfen_ng9xx"])
def test_a_misspelt_table_is_blamed_alone(name: str, becomes: str) -> None:
    text = lines(name)
    [place, *_] = [n for n, line in enumerate(text) if line.startswith('table = "holding"')]
    spoiled = "\n".join([*text[:place], becomes, *text[place + 1 :]])
    assert [mistake.line for mistake in check(f"{name}.toml", spoiled).mistakes] == [place + 1]
