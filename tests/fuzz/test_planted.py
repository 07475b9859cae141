"""The fuzz itself can see: each fault that is planted here is found."""

from __future__ import annotations

from typing import Any

import pytest

from agent.blocks.remote_control import RemoteControl
from agent.core.effects import Offer
from agent.ocpp.rpc import Endpoint
from agent.ocpp.v16.dialect import DIALECT
from tests.fuzz.rig import Rig, play


async def ask(rig: Rig) -> None:
    await rig.call("1", "UnlockConnector", {"connectorId": 2})


def test_a_handler_that_raises_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_ref: Any, asked: dict[str, Any]) -> Any:
        return asked["nothing"]

    monkeypatch.setitem(DIALECT.requests, "UnlockConnector", broken)
    with pytest.raises(KeyError):
        play("1.6", ask)


def test_an_answer_that_breaks_its_schema_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DIALECT.replies, "UnlockConnector", lambda *_: {"status": "Maybe"})
    with pytest.raises(AssertionError, match="breaks its schema"):
        play("1.6", ask)


def test_a_call_without_an_answer_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Endpoint, "result", lambda *_: None)
    with pytest.raises(AssertionError, match="0 answers to UnlockConnector"):
        play("1.6", ask)


def test_power_for_nobody_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def generous(_self: RemoteControl, _e: Any, _now: Any) -> Any:
        yield Offer(2, 16.0)

    monkeypatch.setattr(RemoteControl, RemoteControl.HEARS[_unlock_requested()], generous)
    with pytest.raises(AssertionError, match="on EVSE 2 for nobody"):
        play("1.6", ask)


def _unlock_requested() -> Any:
    return next(kind for kind in RemoteControl.HEARS if kind.__name__ == "UnlockRequested")
