"""What the consumer of the link's frames does at once, and what goes on as a task."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from agent.edge.consumer import Consumer, begin
from agent.edge.overdue import Overdue


class Desk:
    """A consumer, and what became of its work."""

    def __init__(self, limit_s: float = 60.0) -> None:
        self.late = asyncio.Event()
        self.told: list[str] = []
        self.gate = asyncio.Event()
        self.consumer = Consumer(Overdue(limit_s, self.late.set), lambda: self.told.append("free"))

    def take(self, deal: Callable[[], Awaitable[None] | None]) -> None:
        self.consumer.take(lambda _frame: deal(), b"")

    async def work(self, *, waits: bool = False, bug: str = "") -> None:
        self.told.append("begins")
        if waits:
            await self.gate.wait()
            await asyncio.sleep(0)
        if bug:
            raise AssertionError(bug)
        self.told.append("ends")


async def test_work_that_waits_for_nothing_is_done_at_once() -> None:
    desk = Desk()
    desk.take(desk.work)
    assert (desk.told, desk.consumer.busy) == (["begins", "ends", "free"], False)


async def test_a_consumer_that_is_no_coroutine_is_done_at_once() -> None:
    desk = Desk()
    desk.take(lambda: desk.told.append("done"))
    assert desk.told == ["done", "free"]


async def test_work_that_waits_goes_on_by_itself() -> None:
    desk = Desk()
    desk.take(lambda: desk.work(waits=True))
    assert (desk.told, desk.consumer.busy) == (["begins"], True)
    desk.gate.set()
    await desk.consumer.done()
    assert (desk.told, desk.consumer.busy) == (["begins", "ends", "free"], False)


@pytest.mark.parametrize("waits", [False, True])
async def test_a_bug_of_the_consumer_is_raised_where_his_end_is_awaited(waits: bool) -> None:
    desk = Desk()
    desk.gate.set()
    desk.take(lambda: desk.work(waits=waits, bug="a bug"))
    with pytest.raises(AssertionError, match="a bug"):
        await desk.consumer.done()
    assert desk.told[-1] == "free"


async def test_a_cancellation_that_nobody_ordered_is_a_bug_as_well() -> None:
    desk = Desk()
    gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    gone.cancel()
    desk.take(lambda: gone)
    assert isinstance(desk.consumer.bug, asyncio.CancelledError)
    assert desk.told == ["free"]


async def test_work_that_is_stopped_is_cancelled_where_it_waits() -> None:
    desk = Desk()
    ended: list[str] = []

    async def hangs() -> None:
        try:
            await desk.gate.wait()
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    desk.take(hangs)
    await desk.consumer.stop()
    assert (ended, desk.consumer.busy) == (["cancelled"], False)


@pytest.mark.parametrize("turns", range(4))
async def test_whoever_is_cancelled_while_he_waits_for_the_work_cancels_it(turns: int) -> None:
    desk = Desk()
    ended: list[str] = []

    async def hangs() -> None:
        try:
            await desk.gate.wait()
        finally:
            ended.append("cancelled")

    async def reads() -> None:
        desk.take(hangs)
        await desk.consumer.done()

    reader = asyncio.create_task(reads())
    asyncio.get_running_loop().call_soon(reader.cancel)
    for _ in range(turns):
        await asyncio.sleep(0)
    reader.cancel()
    await asyncio.wait([reader])
    assert reader.cancelled()
    assert (ended, desk.consumer.busy) == (["cancelled"] if turns else [], False)


async def test_work_that_goes_on_too_long_is_told() -> None:
    desk = Desk(limit_s=0.01)
    desk.take(lambda: desk.work(waits=True))
    async with asyncio.timeout(10.0):
        await desk.late.wait()
    await desk.consumer.stop()


async def test_what_was_begun_may_wait_often_and_gives_way_each_time() -> None:
    turns: list[int] = []

    async def work() -> None:
        for number in range(3):
            turns.append(number)
            await asyncio.sleep(0)

    rest = begin(work())
    assert turns == [0]
    assert rest is not None
    await asyncio.ensure_future(rest)
    assert turns == [0, 1, 2]


async def test_what_was_begun_may_wait_for_what_others_wait_for_too() -> None:
    shared: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    told: list[str] = []

    async def work() -> None:
        told.append(await shared)

    waits = asyncio.create_task(work())
    rest = begin(work())
    await asyncio.sleep(0)  # the task has begun to wait, the rest has not
    assert rest is not None
    task = asyncio.ensure_future(rest)
    asyncio.get_running_loop().call_soon(shared.set_result, "done")
    await asyncio.gather(waits, task)
    assert told == ["done", "done"]
