"""Whatever stands in a configuration file, loading it gives a Config or a ConfigError of one line, and nothing else."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tomli
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.config import load
from agent.config_variables import resolve
from agent.errors import ConfigError
from tests.core.test_config import BASE

KEYS = ("unit", "id", "name", "port", "evse", "csms", "meter", "password", "", "x", "ü", "versions", "options", "A.B")
HUGE = [0, -1, 2**63, -(2**63), 10**4000]
LEAVES = st.one_of(
    st.booleans(), st.integers(), st.sampled_from(HUGE), st.floats(), st.text(max_size=8), st.sampled_from(KEYS)
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=3),
    max_leaves=6,
)


@pytest.fixture(scope="module")
def file() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder) / "agent.toml"


def attempt(file: Path) -> None:
    """Load, and see that a mistake is one line."""
    try:
        repr(resolve(load(file)))
    except ConfigError as error:
        text = str(error)
        assert text.startswith(str(file)), text
        assert "\n" not in text
        assert len(text) < 1500, text


def written(value: Any) -> str:
    """TOML of a value (inline tables, so that every place takes it)."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {written(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(written(item) for item in value) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return hex(value) if value > 0 else str(value)
    return json.dumps(value) if isinstance(value, str) else repr(value)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(inner, (*path, key))


PLACES = list(places(tomli.loads(BASE)))[1:]


@given(place=st.sampled_from(PLACES), value=VALUES)
@settings(deadline=None, max_examples=400)
def test_any_value_in_any_place_is_taken_or_told_in_one_line(file: Path, place: tuple[Any, ...], value: Any) -> None:
    data = tomli.loads(BASE)
    inner: Any = data
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    file.write_text("\n".join(f"{key} = {written(item)}" for key, item in data.items()), "utf-8", "surrogatepass")
    attempt(file)


@given(table=st.sampled_from([place for place in PLACES if len(place) < 4]), key=st.text(max_size=8), value=VALUES)
@settings(deadline=None, max_examples=200)
def test_any_key_in_any_table_is_taken_or_told_in_one_line(
    file: Path, table: tuple[Any, ...], key: str, value: Any
) -> None:
    data = tomli.loads(BASE)
    inner: Any = data
    for step in table:
        inner = inner[step]
    if isinstance(inner, dict):
        inner[key] = value
    file.write_text("\n".join(f"{name} = {written(item)}" for name, item in data.items()), "utf-8", "surrogatepass")
    attempt(file)


@given(at=st.integers(0, len(BASE)), length=st.integers(0, 12), text=st.text(max_size=6))
@settings(deadline=None, max_examples=400)
def test_any_damage_to_the_text_is_survived(file: Path, at: int, length: int, text: str) -> None:
    file.write_text(BASE[:at] + text + BASE[at + length :], "utf-8", "surrogatepass")
    attempt(file)


@given(data=st.binary(max_size=200))
@settings(deadline=None, max_examples=100)
def test_any_bytes_are_survived(file: Path, data: bytes) -> None:
    file.write_bytes(data)
    attempt(file)


@pytest.mark.parametrize("text", ["a = " + "[" * 50_000, "a = " + "{a=" * 50_000, "a." * 50_000 + "b = 1"])
def test_nesting_without_end_is_told_in_one_line(file: Path, text: str) -> None:
    file.write_text(text)
    with pytest.raises(ConfigError):
        load(file)


def test_what_these_tests_write_loads_when_nothing_is_changed(file: Path) -> None:
    file.write_text("\n".join(f"{name} = {written(item)}" for name, item in tomli.loads(BASE).items()))
    assert load(file).evses[0].meter.unit == 2
