"""The loop's one timer: whatever comes between its ringing and the step that it asks for, there is never a second."""

from __future__ import annotations

import asyncio

from drivers.api import Pilot
from tests.fuzz.rig import Rig, play


def armed(rig: Rig) -> int:
    loop = asyncio.get_running_loop()
    return sum(one._callback == rig._count and not one.cancelled() for one in loop._scheduled)  # type: ignore[attr-defined]


async def idle(rig: Rig) -> None:
    """The car leaves, and the heartbeat is the next that is due."""
    await rig.car(1, Pilot.A)
    await rig.settle()
    await asyncio.sleep(60)
    await rig.settle()


def test_a_step_between_the_timer_and_its_own_step_leaves_no_second_timer() -> None:
    """The step that waits already takes the deadline away for which the timer has come."""

    async def story(rig: Rig) -> None:
        await idle(rig)
        async with rig.runtime._lock:
            step = asyncio.ensure_future(rig.disconnect())
            turns = rig.turns
            await asyncio.sleep(400)
            assert rig.turns > turns  # the heartbeat was due; its step waits behind the other
        await step
        await asyncio.sleep(0.1)
        assert armed(rig) <= 1
        await rig.connect()
        await asyncio.sleep(400)
        assert armed(rig) <= 1

    play("1.6", story)


def test_the_timer_comes_again_after_such_a_step() -> None:
    async def story(rig: Rig) -> None:
        await idle(rig)
        async with rig.runtime._lock:
            step = asyncio.ensure_future(rig.disconnect())
            await asyncio.sleep(400)
        await step
        await rig.connect()
        turns = rig.turns
        await asyncio.sleep(400)
        assert rig.turns > turns

    play("1.6", story)
