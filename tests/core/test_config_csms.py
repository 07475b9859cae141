"""[csms] and its fallbacks: what follows from the keys together, and what is refused in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.config import Config, load
from agent.config_variables import resolve
from agent.errors import ConfigError
from agent.network import links

STATION = """
[station]
vendor = "Example"
model = "Wallbox 22"
[[bus]]
name = "line"
port = "/dev/ttyUSB0"
[[evse]]
id = 1
[evse.controller]
map = "evse_wb"
bus = "line"
unit = 1
[evse.meter]
map = "eastron_sdm630"
bus = "line"
unit = 2
"""
PLAIN = 'url = "ws://csms.example/ocpp"\nidentity = "CP1"\n'
SECURE = 'url = "wss://csms.example/ocpp"\nidentity = "CP1"\n'
WORD = 'password = "a password of mine"\n'


def read(folder: Path, csms: str, more: str = "") -> Config:
    file = folder / "agent.toml"
    file.write_text(f"[csms]\n{csms}\n{STATION}\n{more}")
    file.chmod(0o600)
    (folder / "file.pem").write_text("")
    return load(file)


def refusal(folder: Path, csms: str, more: str = "") -> str:
    with pytest.raises(ConfigError) as caught:
        resolve(read(folder, csms, more))
    return str(caught.value)


@pytest.mark.parametrize(
    ("csms", "profile"),
    [
        (PLAIN, 0),
        (PLAIN + WORD, 1),
        (SECURE, 0),
        (SECURE + WORD, 2),
        (SECURE + 'client_certificate_file = "file.pem"', 3),
        (SECURE + WORD + "security_profile = 1", 1),
    ],
)
def test_the_security_profile_follows_from_the_rest_or_is_named(tmp_path: Path, csms: str, profile: int) -> None:
    assert read(tmp_path, csms).csms.security == profile


@pytest.mark.parametrize(
    ("csms", "words"),
    [
        (PLAIN + WORD + "security_profile = 2", "is over TLS, but the url begins with ws://"),
        (PLAIN + "security_profile = 1", "is by password; add password"),
        (PLAIN + WORD + "security_profile = 0", "without a password"),
        (SECURE + "security_profile = 4", "a whole number from 0 to 3"),
        (SECURE + 'client_key_file = "file.pem"', "of no use alone"),
        (SECURE + 'client_certificate_file = "none.pem"', "no such file"),
        (PLAIN + WORD + 'password_form = "guess"', "one of text, hex, try"),
    ],
)
def test_what_contradicts_itself_is_refused(tmp_path: Path, csms: str, words: str) -> None:
    assert words in refusal(tmp_path, csms)


def test_one_file_may_hold_certificate_and_key(tmp_path: Path) -> None:
    csms = read(tmp_path, SECURE + 'client_certificate_file = "file.pem"').csms
    assert csms.client_key_file == csms.client_certificate_file == str(tmp_path / "file.pem")


def test_a_fallback_has_the_identity_and_versions_of_the_first_and_no_more(tmp_path: Path) -> None:
    more = 'versions = ["1.6"]\n[[csms.fallback]]\nurl = "ws://spare.example/ocpp"'
    spare = read(tmp_path, PLAIN + WORD + more).csms.fallback[0]
    assert (spare.identity, spare.versions, spare.password) == ("CP1", ("1.6",), None)


def test_a_fallback_that_lowers_the_security_profile_is_odd(tmp_path: Path) -> None:
    config = read(tmp_path, SECURE + WORD + '[[csms.fallback]]\nurl = "ws://spare.example/ocpp"')
    assert any("who cuts that off gains" in warning for warning in config.warnings)


def test_a_mistake_in_a_fallback_names_it(tmp_path: Path) -> None:
    assert "[csms.fallback #1] url" in refusal(tmp_path, PLAIN + '[[csms.fallback]]\nurl = "http://spare"')


def test_more_fallbacks_than_slots_are_refused(tmp_path: Path) -> None:
    four = '[[csms.fallback]]\nurl = "ws://spare.example/ocpp"\n' * 4
    assert "at most 3" in refusal(tmp_path, PLAIN + four)


@pytest.mark.parametrize(
    "line",
    [
        'AuthorizationKey = "0123456789abcdef"',
        '"NetworkConfiguration[1].OcppCsmsUrl" = "ws://other"',
        '"OCPPCommCtrlr.NetworkConfigurationPriority" = "2,1"',
        "SecurityProfile = 1",
    ],
)
def test_the_link_is_not_preset_as_a_variable(tmp_path: Path, line: str) -> None:
    assert "set it in [csms]" in refusal(tmp_path, PLAIN, f"[variables]\n{line}")


def test_the_form_of_later_keys_may_be_preset(tmp_path: Path) -> None:
    config = read(tmp_path, PLAIN, '[variables]\nAuthorizationKeyForm = "hex"')
    assert resolve(config) == {"SecurityCtrlr.BasicAuthPasswordForm": "hex"}


def test_whatever_changes_of_a_link_changes_its_mark(tmp_path: Path) -> None:
    marks = {
        links(read(tmp_path, csms)).mark(1)
        for csms in (PLAIN, PLAIN + WORD, PLAIN + WORD.replace("mine", "yours"), SECURE, PLAIN + 'versions = ["1.6"]')
    }
    assert len(marks) == 5


def test_a_password_does_not_show(tmp_path: Path) -> None:
    config = read(tmp_path, PLAIN + WORD)
    assert "password of mine" not in repr(config) + repr(links(config).files)
