"""One running charger for each protocol version, shared by tests that ask it something and change nothing for good."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.end_to_end.agent_helpers import Charger, charger, eventually


async def _run(version: str) -> AsyncIterator[Charger]:
    async with charger(version, evses=2) as c:
        await c.ready()

        async def metered() -> bool:
            return all(evse["energy_wh"] for evse in (await c.status())["evses"])

        await eventually(metered, "both meters are read")
        yield c


@pytest_asyncio.fixture(loop_scope="module", scope="module", params=["1.6", "2.0.1"])
async def both(request: pytest.FixtureRequest) -> AsyncIterator[Charger]:
    """The same test in both versions."""
    async for c in _run(request.param):
        yield c


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def v16() -> AsyncIterator[Charger]:
    async for c in _run("1.6"):
        yield c


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def v201() -> AsyncIterator[Charger]:
    async for c in _run("2.0.1"):
        yield c
