"""Quirk files: named sets of words for a central system that wants something told otherwise, `[csms] quirks = [...]`.

A name is NAME.toml in `quirks_dir`, else one that comes with us (agent/ocpp/quirks/). A file has the tables [about]
(version, what, source: all required, for a deviation must be explained), [words] (`WORDS`), [lengths] and [variables].
Of several files the later ones win, word by word. Every mistake is a `ConfigError` that names file, table, key and
remedy. What the words do: `agent.ocpp.quirks`; what they mean for people: etc/README.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from agent.config_keys import CSMS, choice, flag, number, several, text, whole
from agent.config_toml import Key, Table, hint, plain_texts, read_one
from agent.ocpp import quirks as wire
from agent.ocpp.quirks import LENGTHS, SHAPERS, WITHHELD, Quirks
from drivers.api import Measurand

MAX_VARIABLES = 50
LONGEST_VALUE = 500
LONGEST_MEMBER = 255
SHIPPED = Path(wire.__file__).with_suffix("")
TABLES = ("about", "words", "lengths", "variables")
_MEASURANDS = tuple(measurand.value for measurand in Measurand)

ABOUT: Mapping[str, Key] = {
    "version": whole(1, 9999),
    "what": text(200, like='"tokens in capital letters only"'),
    "source": text(300, like='"seen on ... in 2026-11"'),
}
WORDS: Mapping[str, Key] = {
    "hex_tokens": flag(False),
    "longest_silence_s": number(1, 86400, "seconds"),
    "measurands": several('a list of measurands such as ["Voltage"]', lambda item: item in _MEASURANDS),
    "messages_per_s": number(0.1, 100, "messages in a second"),
    "no_connector_0": flag(False),
    "no_format": flag(False),
    "no_fractions": flag(False),
    "no_phases": flag(False),
    "not_sent": several(f"a list of {', '.join(WITHHELD)}", lambda item: item in WITHHELD),
    "password_form": Key(CSMS["password_form"].expected, CSMS["password_form"].convert),
    "stop_reason": choice(("always", "local-omitted")),
    "token_case": choice(("upper", "lower")),
    "values_at_most": whole(1, 100),
    "whole_values": flag(False),
}
_LENGTHS: Mapping[str, Key] = {member: whole(1, LONGEST_MEMBER) for member in LENGTHS}
_ORDER = (*SHAPERS, *(word for word in WORDS if word not in SHAPERS))


def take(csms: Table, values: dict[str, Any], where: Path) -> None:
    """Put what is in force in the place of the names, and the form of the password where the file leaves it open."""
    own = where / values["quirks_dir"]
    quirks = resolve(csms, values["quirks"], own)
    values |= {"quirks": quirks, "quirks_dir": str(own)}
    if quirks.password_form is not None and "password_form" not in csms.data:
        values["password_form"] = quirks.password_form


def resolve(csms: Table, names: Sequence[str], own: Path) -> Quirks:
    """The words of these files together."""
    words: dict[str, Any] = {}
    lengths: dict[str, int] = {}
    variables: dict[str, tuple[str, str, str]] = {}
    shown = []
    for name in names:
        file = read_one(_find(csms, name, own))
        file.only(TABLES)
        about = file.table("about").values(ABOUT)
        shown.append(f"{name} (version {about['version']})")
        words |= _given(file.table("words"), WORDS)
        lengths |= _given(file.table("lengths"), _LENGTHS)
        given = plain_texts(file.table("variables"), MAX_VARIABLES, LONGEST_VALUE)
        variables |= {variable: (file.file, variable, value) for variable, value in given.items()}
    form = words.pop("password_form", None)
    in_order = tuple((word, words[word]) for word in _ORDER if words.get(word))
    return Quirks(tuple(shown), in_order, tuple(lengths.items()), tuple(variables.values()), form)


def _given(table: Table, keys: Mapping[str, Key]) -> dict[str, Any]:
    """The checked values of the keys that are there; none has to be."""
    table.values({key: Key("", lambda value: value, None) for key in keys})  # complains about unknown keys
    return table.values({key: rule for key, rule in keys.items() if key in table.data})


def _find(csms: Table, name: str, own: Path) -> Path:
    for folder in (own, SHIPPED):
        path = folder / f"{name}.toml"
        if _is_plain(name) and path.is_file():
            return path
    known = tuple(sorted({path.stem for folder in (own, SHIPPED) for path in folder.glob("*.toml")}))
    raise csms.error("quirks", f'no quirks "{name}" here or in {own}; {hint(name, known)}')


def _is_plain(name: str) -> bool:
    return all(c.isalnum() or c in "_-" for c in name)
