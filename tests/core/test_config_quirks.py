"""Quirk files: which words there are, who wins, and the one line that each mistake gets."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from agent.cli import check
from agent.config import Config, load
from agent.config_quirks import SHIPPED, WORDS
from agent.config_variables import presets
from agent.errors import ConfigError
from agent.ocpp.quirks import LENGTHS, SHAPERS

ROOT = Path(__file__).parents[2]
EXAMPLE = (ROOT / "etc" / "agent.toml").read_text("utf-8")
MANUAL = (ROOT / "etc" / "README.md").read_text("utf-8")
NAMES = sorted(path.stem for path in SHIPPED.glob("*.toml"))
ABOUT = '[about]\nversion = 3\nwhat = "a test"\nsource = "this file"\n'
ELSEWHERE = {"longest_silence_s", "messages_per_s", "password_form"}  # words that do not change a message


def configured(folder: Path, names: str, csms: str = "", **files: str) -> Config:
    (folder / "quirks").mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / "quirks" / f"{name}.toml").write_text(ABOUT + text)
    text = EXAMPLE.replace("#quirks = []", f"quirks = {names}\n{csms}#")
    (folder / "agent.toml").write_text(text)
    return load(folder / "agent.toml")


def mistake(folder: Path, names: str, **files: str) -> str:
    with pytest.raises(ConfigError) as caught:
        presets(configured(folder, names, **files))
    return str(caught.value)


@pytest.mark.parametrize("name", NAMES)
def test_every_file_that_comes_with_us_can_be_used(name: str, tmp_path: Path) -> None:
    config = configured(tmp_path, f'["{name}"]')
    quirks = config.csms.quirks
    assert quirks is not None
    assert quirks.names == (f"{name} (version 1)",)
    assert quirks.words or quirks.lengths or quirks.variables or quirks.password_form
    assert set(presets(config)) or not quirks.variables


def test_the_manual_explains_every_word_and_every_file() -> None:
    section = MANUAL.split("## Quirks")[1].split("\n## ")[0]
    files, words = section.split("| in `[words]` | what |")
    assert set(re.findall(r"^\| `([a-z_0-9]+)` \|", words, flags=re.MULTILINE)) == set(WORDS)
    listed = re.findall(r"^\| (`[a-z-]+`(?: `[a-z-]+`)*) \|", files, flags=re.MULTILINE)
    assert sorted(" ".join(listed).replace("`", "").split()) == NAMES
    assert all(f"`{member}`" in section for member in LENGTHS)


def test_every_word_does_something() -> None:
    assert set(WORDS) | {"lengths"} == set(SHAPERS) | ELSEWHERE


def test_without_quirks_nothing_of_them_is_loaded(tmp_path: Path) -> None:
    assert load(ROOT / "etc" / "agent.toml").csms.quirks is None
    assert configured(tmp_path, "[]").csms.quirks is None


def test_later_files_win_word_by_word(tmp_path: Path) -> None:
    first = (
        '[words]\ntoken_case = "upper"\nno_format = true\n[lengths]\ninfo = 30\n[variables]\nHeartbeatInterval = 60\n'
    )
    second = (
        '[words]\ntoken_case = "lower"\nno_format = false\n[lengths]\nidTag = 30\n[variables]\nHeartbeatInterval = 70\n'
    )
    config = configured(tmp_path, '["first", "second"]', first=first, second=second)
    quirks = config.csms.quirks
    assert quirks is not None
    assert quirks.names == ("first (version 3)", "second (version 3)")
    assert quirks.words == (("token_case", "lower"),)
    assert dict(quirks.lengths) == {"info": 30, "idTag": 30}
    assert presets(config) == {"OCPPCommCtrlr.HeartbeatInterval": "70"}


def test_a_file_of_the_same_name_replaces_ours(tmp_path: Path) -> None:
    config = configured(tmp_path, '["rate-limited"]', **{"rate-limited": "[words]\nmessages_per_s = 9\n"})
    assert config.csms.quirks is not None
    assert config.csms.quirks.number("messages_per_s") == 9


def test_words_are_applied_in_one_order_wherever_they_stand(tmp_path: Path) -> None:
    text = '[words]\nwhole_values = true\nvalues_at_most = 2\nmeasurands = ["Voltage"]\n'
    quirks = configured(tmp_path, '["x"]', x=text).csms.quirks
    assert quirks is not None
    assert [word for word, _value in quirks.words] == ["measurands", "values_at_most", "whole_values"]


HEX = 'password = "00112233445566778899AABBCCDDEEFF"\n'


def test_the_form_of_the_password_is_preset_unless_the_file_says_it(tmp_path: Path) -> None:
    preset = configured(tmp_path, '["hex-password"]', HEX)
    said = configured(tmp_path, '["hex-password"]', HEX + 'password_form = "text"\n')
    assert preset.csms.password == bytes.fromhex("00112233445566778899AABBCCDDEEFF")
    assert said.csms.password == "00112233445566778899AABBCCDDEEFF"


MISTAKES = {
    "an unknown word": ("[words]\ntoken_cas = 1", "[words] token_cas: unknown key; did you mean token_case?"),
    "a wrong value": ('[words]\ntoken_case = "x"', '[words] token_case: expected one of upper, lower, not "x"'),
    "an unknown measurand": ('[words]\nmeasurands = ["Heat"]', "[words] measurands: expected a list of measurands"),
    "a message that is billed": (
        '[words]\nnot_sent = ["StopTransaction"]',
        "[words] not_sent: expected a list",
    ),
    "a length of nothing": ("[lengths]\ninfo = 0", "[lengths] info: expected a whole number from 1 to 255, not 0"),
    "an unknown table": ("[word]\n", "[word]: unknown table; did you mean words?"),
    "an unknown variable": ("[variables]\nHeartbeatIntervall = 1", "[variables] HeartbeatIntervall: no such variable"),
    "a variable that does not fit": ('[variables]\nHeartbeatInterval = "x"', "[variables] HeartbeatInterval: expected"),
    "no TOML": ("[words", "is not TOML"),
}


@pytest.mark.parametrize("what", MISTAKES)
def test_a_mistake_is_one_line_that_names_file_table_and_key(what: str, tmp_path: Path) -> None:
    text, expected = MISTAKES[what]
    said = mistake(tmp_path, '["x"]', x=text)
    assert said.startswith((f"{tmp_path}/quirks/x.toml ", f"{tmp_path}/quirks/x.toml:"))
    assert expected in said
    assert "\n" not in said


def test_a_file_must_say_why_it_is_there(tmp_path: Path) -> None:
    (tmp_path / "quirks").mkdir()
    (tmp_path / "quirks" / "x.toml").write_text('[about]\nversion = 1\nwhat = "x"\n')
    assert "[about] source: missing" in mistake(tmp_path, '["x"]')


@pytest.mark.parametrize("name", ["rate-limitd", "../secret", "/etc/passwd", "a b"])
def test_a_name_that_is_no_file_is_refused(name: str, tmp_path: Path) -> None:
    assert f'[csms] quirks: no quirks "{name}" here or in {tmp_path}/quirks' in mistake(tmp_path, f'["{name}"]')


def test_check_config_checks_the_variables_of_quirks(tmp_path: Path) -> None:
    configured(tmp_path, '["x"]', x="[variables]\nNoSuchThing = 1\n")
    with pytest.raises(ConfigError, match=r"quirks/x.toml \[variables\] NoSuchThing: no such variable"):
        check.main([str(tmp_path / "agent.toml")])
