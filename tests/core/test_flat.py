"""Values as JSON types and back, and nothing secret or foreign on the way."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agent.cli.replay_run import Player
from agent.core.certificates import Holdings
from agent.core.effects import Ask, Authorize, Remember
from agent.core.events import EvseRead, Tick, TokenPresented
from agent.core.flat import Mask, Unfit, Unreadable, flat, masked, unflat
from agent.core.network import Profile, Secret
from agent.core.requests import Ref, VariablesSetRequested, VariableWrite
from agent.core.types import VariableId
from drivers.api import EvseReading, Fault, IdToken, Pilot

PASSWORD = "correct-horse-battery"
find = Player()._find


def through_json(value: Any) -> Any:
    return json.loads(json.dumps(value))


@pytest.mark.parametrize(
    "value",
    [
        Tick(),
        TokenPresented((1, 2), IdToken("04A1B2C3")),
        EvseRead(1, EvseReading(Pilot.C, True, 16.0, faults=(Fault.GROUND,))),
        Ask(Authorize(IdToken("04A1B2C3"), (1,))),
        Remember("t", "k", {"a": [1, 2.5, None, True], "b": {"c": "d"}}),
        Holdings(),
        (frozenset({1, 2}), {3, 4}, b"\x00\xff", [], {}),
        float("inf"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_value_comes_back_as_it_was(value: Any) -> None:
    assert unflat(through_json(flat(value)), find) == value


SECRETS: dict[str, Any] = {
    "a secret by its class": Profile("ws://x", "CP", 1, Secret(PASSWORD)),
    "a password that the CSMS writes": VariablesSetRequested(
        Ref("r", "SetVariables"), (VariableWrite(VariableId("SecurityCtrlr", "BasicAuthPassword"), PASSWORD),)
    ),
    "a password in what is remembered": Remember("network", "plan", {"slots": {"1": {"password": PASSWORD}}}),
    "a text that is known": Remember("x", "y", [f"Basic {PASSWORD}"]),
}


@pytest.mark.parametrize("what", SECRETS)
def test_no_secret_comes_out_and_the_same_one_has_the_same_mask(what: str) -> None:
    known = (PASSWORD,) if what == "a text that is known" else ()
    text = json.dumps(flat(SECRETS[what], Mask(known)))
    assert PASSWORD not in text
    assert masked(PASSWORD) in text
    assert len(masked(PASSWORD)) == len(PASSWORD)


class Stranger:
    pass


def test_a_value_without_a_flat_form_is_said_to_have_none() -> None:
    with pytest.raises(Unfit, match="Stranger"):
        flat((1, Stranger()))


@pytest.mark.parametrize(
    "told",
    [
        [],
        [1],
        {},
        ["core.events.Nothing"],
        ["core.events.Tick", 1],
        ["os.system", "true"],
        ["blocks.firmware.Firmware", 1, 2],
        ["core.events.__builtins__"],
        ["api.Pilot", "Z"],
        ["b", "not hex"],
        ["d", "odd"],
        ["s", ["l"]],
    ],
    ids=repr,
)
def test_what_is_no_flat_value_is_refused(told: Any) -> None:
    with pytest.raises(Unreadable):
        unflat(told, find)


def test_a_list_of_endless_depth_is_refused() -> None:
    told: list[Any] = ["l"]
    for _ in range(200):
        told = ["l", told]
    with pytest.raises(Unreadable):
        unflat(told, find)
