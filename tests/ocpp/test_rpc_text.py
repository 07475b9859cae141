"""The text of a frame: as it leaves, and what may stand around it as it comes."""

from __future__ import annotations

import json
from collections.abc import Callable
from enum import StrEnum
from typing import Any

import pytest

from agent.ocpp import rpc
from agent.ocpp.codes import V16
from agent.ocpp.rpc import CallIn, Discarded, Endpoint


class Word(StrEnum):
    RESET = "Reset"


@pytest.fixture(params=[True, False], ids=["with json's C part", "without"])
def write(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], str]:
    if not request.param:
        monkeypatch.setattr(json.encoder, "c_make_encoder", None)
    return rpc._encode()


def test_a_frame_is_written_as_the_json_library_writes_it(write: Callable[[Any], str]) -> None:
    frame = [2, 'ä\u2028😀"\\\n', Word.RESET, {"a": [1, -2.5, 1e300, True, None, {}], "b": {"c": []}}]
    assert write(frame) == json.dumps(frame, ensure_ascii=False, separators=(",", ":"))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_number_that_json_does_not_know_is_a_bug(write: Callable[[Any], str], value: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write([3, "7", {"value": value}])


def test_a_value_that_json_does_not_know_is_a_bug(write: Callable[[Any], str]) -> None:
    with pytest.raises(TypeError, match="not JSON serializable"):
        write([3, "7", {"value": object()}])


@pytest.mark.parametrize("behind", ["x", ",", "[]", "\x00", "\u00a0"])
def test_what_is_more_than_one_value_is_no_frame(behind: str) -> None:
    assert isinstance(Endpoint(V16).receive('[2,"7","Reset",{"type":"Soft"}]' + behind, 0.0), Discarded)


@pytest.mark.parametrize("text", ["", " ", "\ufeff[]"])
def test_what_is_no_value_is_no_frame(text: str) -> None:
    assert isinstance(Endpoint(V16).receive(text, 0.0), Discarded)


def test_a_frame_may_stand_between_white_space() -> None:
    assert isinstance(Endpoint(V16).receive(' \r\n\t[2,"7","Reset",{"type":"Soft"}]\n ', 0.0), CallIn)
