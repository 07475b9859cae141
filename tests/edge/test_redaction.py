"""Nothing secret leaves in a bundle: secrets of every kind are planted, and looked for in what comes out."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.edge.redaction import LONGEST_LINE, Redactor

SECRET = "pLanted-s3cret"
CARD = "04A1B2C3D4E5F6"
PEM = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIPlantedKeyMaterial\nabcd\n-----END EC PRIVATE KEY-----"


def frame(payload: Any, action: str = "X") -> str:
    return json.dumps([2, "id-1", action, payload])


FRAMES = {
    "a key of the older version": frame({"key": "AuthorizationKey", "value": SECRET}, "ChangeConfiguration"),
    "its answer": json.dumps([3, "1", {"configurationKey": [{"key": "authorizationkey", "value": SECRET}]}]),
    "a variable": frame(
        {
            "setVariableData": [
                {"attributeValue": SECRET, "component": {"name": "S"}, "variable": {"name": "BasicAuthPassword"}}
            ]
        }
    ),
    "a report": frame(
        {"reportData": [{"variable": {"name": "BasicAuthPassword"}, "variableAttribute": [{"value": SECRET}]}]}
    ),
    "a network profile": frame({"connectionData": {"basicAuthPassword": SECRET, "apn": {"apnPassword": SECRET}}}),
    "the address of a file": frame({"location": f"ftp://user:{SECRET}@files.example/x"}),
    "a signed address": frame({"location": f"https://files.example/x?X-Signature={SECRET}&a=1"}),
    "vendors' data": frame({"vendorId": "v", "data": json.dumps({"apiKey": SECRET})}, "DataTransfer"),
    "vendors' data in vendors' data": frame({"data": json.dumps({"x": json.dumps({"password": SECRET})})}),
    "vendors' own words": frame({"data": f"mode=1;password={SECRET};x=2"}),
    "a header": frame({"data": f"Authorization: Basic {SECRET}"}),
    "a private key": frame({"data": PEM.replace("Planted", SECRET)}),
    "a cut private key": frame({"data": PEM.replace("Planted", SECRET)})[:-35],
}
CARDS = {
    "a card of the older version": frame({"idTag": CARD}, "Authorize"),
    "its group": json.dumps([3, "1", {"idTagInfo": {"status": "Accepted", "parentIdTag": CARD}}]),
    "a card": frame({"idToken": {"idToken": CARD, "type": "ISO14443"}}),
    "a group": frame({"groupIdToken": {"idToken": CARD, "type": "Central"}}),
    "a list": frame({"localAuthorizationList": [{"idTag": CARD}, {"idTag": CARD}]}),
    "a card in vendors' data": frame({"data": json.dumps({"idTag": CARD})}),
    "the group that may always stop": json.dumps([3, "1", {"key": "MasterPassGroupId", "value": CARD}]),
}


@pytest.mark.parametrize("name", FRAMES)
@pytest.mark.parametrize("cut", [0, 1, 2, 5, 20])
def test_no_frame_shows_a_secret_also_when_it_is_cut(name: str, cut: int) -> None:
    assert SECRET in FRAMES[name]
    assert SECRET[:8] not in Redactor().frame(FRAMES[name][: len(FRAMES[name]) - cut])


@pytest.mark.parametrize("name", FRAMES)
def test_no_line_of_a_log_shows_a_secret_of_a_frame(name: str) -> None:
    redactor = Redactor()
    redactor.frame(FRAMES[name])  # both are in the same bundle
    shown = redactor.finish(redactor.text(f"FrameIn: {FRAMES[name]}"))
    assert SECRET not in shown


@pytest.mark.parametrize("name", CARDS)
def test_a_card_shows_four_characters(name: str) -> None:
    shown = Redactor().frame(CARDS[name])
    assert CARD not in shown
    assert "E5F6" in shown


def test_a_card_that_was_met_is_shown_nowhere_else() -> None:
    redactor = Redactor()
    redactor.frame(CARDS["a card"])
    assert redactor.finish(f"reader: card {CARD.lower()} twice, tag={CARD}.") == "reader: card *e5f6 twice, tag=*E5F6."


def test_a_secret_that_was_met_is_shown_nowhere_else() -> None:
    redactor = Redactor(["kn0wn-before"])
    redactor.value({"password": SECRET})
    assert redactor.finish(f"a {SECRET} b kn0wn-before") == "a *** b ***"


def test_what_is_harmless_stays_readable() -> None:
    payload = {
        "connectorId": 1,
        "status": "Charging",
        "key": "HeartbeatInterval",
        "value": "300",
        "big": 1.5,
        "n": None,
    }
    assert json.loads(Redactor().frame(frame(payload)))[3] == payload


def test_where_a_secret_stands_is_shown_and_the_secret_is_not() -> None:
    shown = Redactor().value({"csms": {"password_file": "/run/secret.txt", "password": SECRET, "pin": 1234}})
    assert shown == {"csms": {"password_file": "/run/secret.txt", "password": "***", "pin": "***"}}


def test_a_private_key_in_many_lines_is_left_out() -> None:
    assert Redactor().text(f"before\n{PEM}\nafter") == "before\n*** private key ***\nafter"


names = st.text(max_size=8) | st.sampled_from(["data", "value", "key", "variable", "name", "idToken", "customData"])
values = st.recursive(
    st.none() | st.integers() | st.text(max_size=20) | st.just(SECRET) | st.just("BasicAuthPassword"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3) | inner.map(json.dumps),
    max_leaves=8,
)


@settings(deadline=None, max_examples=300)
@given(around=st.lists(values, max_size=3), name=st.sampled_from(["Password", "basicAuthPassword", "apn_password"]))
def test_a_secret_of_that_name_is_never_shown_whatever_stands_around_it(around: list[Any], name: str) -> None:
    redactor = Redactor()
    assert SECRET not in redactor.finish(redactor.frame(frame([*around, {name: SECRET}])))


@settings(deadline=None, max_examples=300)
@given(text=st.text(max_size=300) | st.text('"{}[]:\\,-/=@? abpasworditg', max_size=300))
def test_any_text_can_be_looked_at(text: str) -> None:
    redactor = Redactor(["kn0wn-before"])
    assert "kn0wn-before" not in redactor.finish(redactor.frame(text + "kn0wn-before") + redactor.text(text))


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 50_000, "[2,", "", "\x00", '"', "\\" * 5000])
def test_anything_can_be_looked_at(text: str) -> None:
    assert isinstance(Redactor().frame(text), str)


@pytest.mark.parametrize(
    "line", ["password" * 2000, "a." * 8000, "://" * 5000, '"value":"' * 2000, "-----BEGIN " * 1500, "idTag" * 4000]
)
def test_no_line_holds_the_interpreter(line: str) -> None:
    redactor = Redactor()
    began = time.process_time()
    redactor.finish(redactor.text(line[: 4 * LONGEST_LINE]))
    assert time.process_time() - began < 0.5
