"""A line that fails at any request of a signed session: it is an error or the whole truth, and asking again mends it.

On a virtual clock, with the simulated meter's own signature verified each time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import count
from typing import Any

import pytest

from drivers.api import DriverError, SignedData
from drivers.bus import Bus, Policy, TcpSettings, WireError
from drivers.registry import find
from drivers.simulated.devices import build_devices
from drivers.simulated.plan import SimBus, SimEvse, SimStation, SimUnit
from drivers.simulated.server import Thinking
from drivers.simulated.wire import SimWire
from drivers.simulated.world import World
from tests.drivers.test_signed import CARD, METERS, MINE, payload
from tests.drivers.virtual_time import run

KINDS = {"answer lost": 1, "request lost": 3, "checksum wrong": 3, "refused": 3}  # each at every such request
PLACE = SimBus("lan", tcp_port=502)


class Struck(SimWire):
    """Request number `at` goes wrong in one of the ways."""

    at, kind = -1, ""
    asked = 0

    async def transact(
        self, unit: int, function: int, address: int, payload: int | Sequence[int], timeout_s: float
    ) -> list[int]:
        self.asked += 1
        struck = self.asked - 1 == self.at
        if not struck or self.kind in ("answer lost", "checksum wrong"):
            words = await super().transact(unit, function, address, payload, timeout_s)
            if not struck:
                return words
        await asyncio.sleep(timeout_s)
        kinds = {"checksum wrong": WireError("garbage", "checksum wrong"), "refused": WireError("exception", code=4)}
        raise kinds.get(self.kind, WireError("timeout"))


class Rig:
    """A meter that counts 1000 Wh in a session."""

    def __init__(self, name: str) -> None:
        self.world = World(SimStation((PLACE,), (SimEvse(1, None, SimUnit(name, "lan", 33)),)))
        units = {unit: device for (_, unit), device in build_devices(self.world).items()}
        self.wire = Struck(PLACE, units, Thinking((0.001, 0.002), 0.65, 1), self.now)
        policy = Policy(retries=0, quarantine_s=0.0)
        self.meter: Any = find(name)(bus=Bus(self.wire, TcpSettings("127.0.0.1"), policy), unit=33)

    def now(self) -> None:
        self.world.advance(asyncio.get_running_loop().time())

    async def insisted(self, verb: str) -> SignedData | None:
        """As the agent does: again after an error, but not for ever."""
        for left in (2, 1, 0):
            try:
                found: SignedData | None = await getattr(self.meter, verb)(MINE)
            except DriverError:
                if not left:
                    raise
                await asyncio.sleep(1.0)
            else:
                return found
        raise AssertionError("unreachable")

    async def session(self) -> dict[str, Any]:
        meter = self.world.points[1].meter
        meter.set_wh(5000.0)
        await self.insisted("begin")
        meter.set_wh(6000.0)
        return payload(await self.insisted("end"), await self.meter.public_key())


def requests_of(name: str) -> int:
    async def main() -> int:
        rig = Rig(name)
        await rig.session()
        return rig.wire.asked

    return run(main())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", METERS)
def test_whatever_request_of_a_session_fails_what_is_signed_is_the_whole_session(name: str, kind: str) -> None:
    async def main(at: int) -> bool:
        rig = Rig(name)
        rig.wire.at, rig.wire.kind = at, kind
        told = await rig.session()
        assert [(r["TX"], r["RV"]) for r in told["RD"]] == [("B", 5.0), ("E", 6.0)], f"request {at}"
        assert told["ID"] == CARD.value
        return rig.wire.asked > at

    struck = next(at for at in count(0, KINDS[kind]) if not run(main(at)))
    assert struck >= requests_of(name) - 2, "to the end of the session"
