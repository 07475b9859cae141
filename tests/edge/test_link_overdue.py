"""One timer for many short waits."""

from __future__ import annotations

import asyncio

import pytest

from agent.edge.overdue import Overdue


class Wait:
    def __init__(self, limit_s: float) -> None:
        self.expired = asyncio.Event()
        self.overdue = Overdue(limit_s, self.expired.set)

    async def expires(self, within_s: float) -> bool:
        try:
            async with asyncio.timeout(within_s):
                await self.expired.wait()
        except TimeoutError:
            return False
        return True


async def test_a_wait_that_never_ends_is_overdue() -> None:
    wait = Wait(0.01)
    wait.overdue.begin()
    assert await wait.expires(5.0)


async def test_a_wait_that_ended_is_not() -> None:
    wait = Wait(0.01)
    wait.overdue.end(wait.overdue.begin())
    assert not await wait.expires(0.05)


async def test_a_later_wait_is_given_its_own_time() -> None:
    loop = asyncio.get_running_loop()
    wait = Wait(0.05)
    first = wait.overdue.begin()
    loop.call_later(0.03, wait.overdue.begin)
    loop.call_later(0.03, wait.overdue.end, first)
    began = loop.time()
    assert await wait.expires(5.0)
    assert loop.time() - began >= 0.079


async def test_an_old_wait_is_overdue_although_others_come_and_go() -> None:
    wait = Wait(0.02)
    wait.overdue.begin()
    for _ in range(3):
        wait.overdue.end(wait.overdue.begin())
    assert await wait.expires(5.0)


async def test_after_stop_nothing_is_overdue() -> None:
    wait = Wait(0.01)
    wait.overdue.begin()
    wait.overdue.stop()
    assert not await wait.expires(0.05)


async def test_waits_share_one_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    loop, made = asyncio.get_running_loop(), 0
    call_at = loop.call_at

    def counting(*args: object, **kwargs: object) -> asyncio.TimerHandle:
        nonlocal made
        made += 1
        return call_at(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(loop, "call_at", counting)
    wait = Wait(5.0)
    for _ in range(100):
        wait.overdue.end(wait.overdue.begin())
    wait.overdue.stop()
    assert made == 1
