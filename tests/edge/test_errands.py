"""Errands: work beside the loop, answered by an event."""

from __future__ import annotations

import asyncio

import pytest

from agent.core.effects import Errand
from agent.core.events import Event
from agent.core.record import record
from agent.errands import MAX_ERRANDS, Errands


@record
class Fetch(Errand):
    name: str


@record
class Fetched(Event):
    name: str


class Desk:
    def __init__(self) -> None:
        self.heard: list[Event] = []
        self.bugs: list[BaseException] = []
        self.errands = Errands(self._feed, self.bugs.append)

    async def _feed(self, event: Event) -> None:
        self.heard.append(event)


async def turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_what_came_of_an_errand_is_told() -> None:
    desk = Desk()

    async def fetch(errand: Fetch) -> Event:
        return Fetched(errand.name)

    desk.errands.serve(Fetch, fetch)
    desk.errands.begin(Fetch("a"))
    await turns()
    assert desk.heard == [Fetched("a")]


async def test_an_errand_that_fails_for_a_reason_nobody_foresaw_is_a_bug() -> None:
    desk = Desk()

    async def fetch(_errand: Fetch) -> Event:
        raise ZeroDivisionError

    desk.errands.serve(Fetch, fetch)
    desk.errands.begin(Fetch("a"))
    await turns()
    assert [type(bug) for bug in desk.bugs] == [ZeroDivisionError]


async def test_closing_gives_up_what_is_under_way_and_tells_nothing() -> None:
    desk = Desk()
    desk.errands.serve(Fetch, lambda _errand: asyncio.get_running_loop().create_future())
    desk.errands.begin(Fetch("a"))
    await turns()
    await desk.errands.close()
    assert (desk.heard, desk.bugs) == ([], [])


async def test_more_errands_at_once_than_the_blocks_can_have_are_a_bug() -> None:
    desk = Desk()
    desk.errands.serve(Fetch, lambda _errand: asyncio.get_running_loop().create_future())
    for _ in range(MAX_ERRANDS):
        desk.errands.begin(Fetch("a"))
    with pytest.raises(AssertionError):
        desk.errands.begin(Fetch("one too many"))
    await desk.errands.close()
