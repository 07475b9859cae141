"""Answers to calls of ours that are wrong in every way, come in any order, late, twice, or to nothing asked."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from agent.core.events import TokenPresented
from drivers.api import IdToken, Pilot
from tests.fuzz.rig import Rig, play
from tests.fuzz.shapes import right, schema, variations

CALLS = {
    "1.6": ("BootNotification", "Authorize", "StartTransaction", "StatusNotification", "MeterValues", "Heartbeat"),
    "2.0.1": ("BootNotification", "Authorize", "TransactionEvent", "StatusNotification", "Heartbeat"),
}
CASES = [(version, action) for version, actions in CALLS.items() for action in actions]


async def a_charge(rig: Rig) -> None:
    """Another card, another charge, on the other EVSE; nobody says that it comes about."""
    await rig.car(2, Pilot.B)
    await rig.runtime.feed(TokenPresented((2,), IdToken("OTHER")))
    await rig.settle()
    await rig.car(2, Pilot.C)
    await rig.settle()
    rig.check()
    await rig.car(2, Pilot.A)
    await rig.settle()
    rig.check()


@pytest.mark.parametrize(("version", "action"), CASES)
def test_no_answer_to_a_call_breaks_anything(version: str, action: str) -> None:
    """Each variation once; whether a charge follows is the answer's to say, that none comes for nothing is ours."""

    async def story(rig: Rig) -> None:
        for what, answer in variations(schema(version, action, answer=True)):

            def answers(asked: str, payload: dict[str, Any], answer: Any = answer) -> Any:
                return answer if asked == action else rig.accept(asked, payload)

            rig.answer = answers
            try:
                await a_charge(rig)
            except BaseException as error:
                error.add_note(f"the answer to {action}: {what}")
                raise

    rig = play(version, story)
    assert rig.charging or action == "StartTransaction" or action == "TransactionEvent", "the first charge has ended"


@pytest.mark.parametrize("version", ["1.6", "2.0.1"])
def test_answers_in_any_order_late_double_and_foreign_are_survived(version: str) -> None:
    dice = random.Random(version)
    asked: list[str] = []

    async def story(rig: Rig) -> None:
        def silence(action: str, _payload: dict[str, Any]) -> None:
            asked.append(action)

        rig.answer = silence
        for turn in range(120):
            await rig.runtime.feed(TokenPresented((2,), IdToken(f"CARD{turn}")))
            await rig.settle()
            known = [line.split('"')[1] for line in rig.log.lines if line.startswith("FrameOut: [2,")]
            message_id = dice.choice([*known[-5:], "never", "", "x" * 300])
            action = dice.choice(CALLS[version])
            answer = dice.choice([right(schema(version, action, answer=True)), {}, [], None, "x", {"status": "?"}])
            frame = dice.choice(
                [[3, message_id, answer], [4, message_id, "GenericError", "", {}], [3, message_id], [4]]
            )
            for _ in range(dice.choice([1, 2])):
                await rig.take(json.dumps(frame))

    rig = play(version, story)
    assert rig.charging
    assert "Authorize" in asked
