"""The loop's one timer: whatever comes between its ringing and the step that it asks for, there is never a second."""

from __future__ import annotations

import asyncio
import json

from agent.core.events import TokenPresented
from drivers.api import IdToken
from tests.fuzz.rig import Rig, play


def armed(rig: Rig) -> int:
    loop = asyncio.get_running_loop()
    return sum(one._callback == rig._count and not one.cancelled() for one in loop._scheduled)  # type: ignore[attr-defined]


async def overtaken(rig: Rig) -> None:
    """The timer rings for an answer that is late; before its step comes the answer itself, which waited already."""
    await rig.runtime.feed(TokenPresented((2,), IdToken("OTHER")))
    message_id, action, _payload = rig._calls.pop()
    assert action == "Authorize"
    async with rig.runtime._lock:
        step = asyncio.ensure_future(rig.runtime.received(json.dumps([3, message_id, {}])))
        turns = rig.turns
        await asyncio.sleep(40)
        assert rig.turns > turns
    await step
    await rig.settle()


def test_a_step_between_the_timer_and_its_own_step_leaves_no_second_timer() -> None:
    async def story(rig: Rig) -> None:
        await overtaken(rig)
        assert armed(rig) == 1

    play("1.6", story)


def test_the_timer_comes_again_after_such_a_step() -> None:
    async def story(rig: Rig) -> None:
        await overtaken(rig)
        turns = rig.turns
        await asyncio.sleep(400)
        assert rig.turns > turns

    play("1.6", story)
