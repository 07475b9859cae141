"""Whole sessions as a test house reads them: every frame of one connector, in its order and with its members.

Four drivers at four connectors play at once. The times between frames are theirs; what is told, what is not, and in
which order is the specification's (1.6, sections 4.1, 4.8 to 4.10).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from tests.conformance.csms import Csms, Payload
from tests.conformance.ledger import begun, charges, over, remote_start, remote_stop, status
from tests.end_to_end.agent_helpers import Charger, charger

CARDS = {1: "01000000A1", 2: "01000000B2", 4: "01000000D4"}
START = {"connectorId", "idTag", "meterStart", "timestamp"}
STOP = {"transactionId", "meterStop", "timestamp", "reason"}  # nothing is to be kept, so there is no transactionData


async def plug_then_card(c: Charger) -> None:
    await c.do("plug-in", evse=1)
    await status(c.csms, "Preparing", 1)
    await c.tap(CARDS[1], 1)
    await status(c.csms, "Charging", 1)
    await c.tap(CARDS[1], 1)
    await over(c.csms, evse=1)
    await status(c.csms, "Finishing", 1)
    await c.do("unplug", evse=1)
    await status(c.csms, "Available", 1)


async def card_then_plug_and_the_car_leaves_its_cable(c: Charger) -> None:
    await c.tap(CARDS[2], 2)
    await status(c.csms, "Preparing", 2)
    await c.do("plug-in", evse=2)
    await status(c.csms, "Charging", 2)
    await c.do("ev-unplug", evse=2)
    await over(c.csms, evse=2)
    await status(c.csms, "Finishing", 2)
    await c.do("unplug", evse=2)
    await status(c.csms, "Available", 2)


async def from_afar(c: Charger) -> None:
    assert await remote_start(c.csms, "REMOTE", 3) == "Accepted"
    await status(c.csms, "Preparing", 3)
    await c.do("plug-in", evse=3)
    await status(c.csms, "Charging", 3)
    assert await remote_stop(c.csms, (await begun(c.csms, evse=3)).id) == "Accepted"
    await over(c.csms, evse=3)
    await status(c.csms, "Finishing", 3)
    await c.do("unplug", evse=3)
    await status(c.csms, "Available", 3)


async def card_and_nobody_plugs_in(c: Charger) -> None:
    await c.tap(CARDS[4], 4)
    await status(c.csms, "Preparing", 4)
    await status(c.csms, "Available", 4)


# A short SuspendedEV before Charging may be told or not (section 4.9), so it is left out.
STORIES: dict[Callable[[Charger], Awaitable[None]], tuple[str, ...]] = {
    plug_then_card: (
        *("Available", "Preparing", "Authorize", "StartTransaction", "Charging"),
        *("Finishing", "StopTransaction Local", "Available"),
    ),
    card_then_plug_and_the_car_leaves_its_cable: (
        *("Available", "Authorize", "Preparing", "StartTransaction", "Charging"),
        *("Finishing: EV side disconnected", "StopTransaction EVDisconnected", "Available"),
    ),
    from_afar: (
        *("Available", "Preparing", "StartTransaction", "Charging"),
        *("Finishing", "StopTransaction Remote", "Available"),
    ),
    card_and_nobody_plugs_in: ("Available", "Authorize", "Preparing", "Available"),
}


def told(csms: Csms, evse: int) -> list[str]:
    """All but meter values that was told of this connector."""
    mine = {int(charge.id) for charge in charges(csms) if charge.evse == evse}
    found = []
    for frame in csms.frames:
        if frame.ours or frame.message[0] != 2:
            continue
        action, p = frame.message[2], frame.message[3]
        about = p.get("connectorId") == evse or p.get("transactionId") in mine
        if about or (action == "Authorize" and p["idTag"] == CARDS.get(evse)):
            found.append(_shown(action, p))
    return [line for line in found if line not in ("MeterValues", "SuspendedEV")]


def _shown(action: str, p: Payload) -> str:
    if action == "StopTransaction":
        return f"{action} {p['reason']}"
    if action != "StatusNotification":
        return action
    assert p["errorCode"] == "NoError"
    return f"{p['status']}: {p['info']}" if "info" in p else str(p["status"])


async def test_each_session_is_told_frame_by_frame_as_a_test_house_reads_it() -> None:
    async with charger("1.6", evses=4, variables={"ConnectionTimeOut": 8}) as c:
        await c.ready()
        async with asyncio.TaskGroup() as group:
            for story in STORIES:
                group.create_task(story(c))  # type: ignore[arg-type]
        await c.delivered()
        for evse, expected in enumerate(STORIES.values(), 1):
            assert told(c.csms, evse) == list(expected)
        assert [set(p) for p in c.csms.calls("StartTransaction")] == [START] * 3
        stops = {charge.evse: charge.ended for charge in charges(c.csms)}
        assert {evse: set(p or ()) - STOP for evse, p in stops.items()} == {1: {"idTag"}, 2: set(), 3: set()}
        assert all("transactionId" in p for p in c.csms.calls("MeterValues"))
        contexts = [
            s["context"] for p in c.csms.calls("MeterValues") for v in p["meterValue"] for s in v["sampledValue"]
        ]
        assert set(contexts) == {"Sample.Periodic"}
