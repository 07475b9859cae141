"""ReserveNow and CancelReservation: every answer, who may use what is reserved, and when it ends."""

from __future__ import annotations

import pytest

from tests.conformance.csms import Csms
from tests.conformance.ledger import availability, begun, read, remote_start, status, statuses
from tests.conformance.lists import cancel, reserve
from tests.end_to_end.agent_helpers import CARD, OTHER_CARD, Charger, charger, until

pytestmark = pytest.mark.asyncio(loop_scope="module")
BOTH = pytest.mark.parametrize("version", ["1.6", "2.0.1"])


def occupied(csms: Csms) -> str:
    return "Preparing" if csms.version == "1.6" else "Occupied"


async def test_a_connector_is_reserved_and_the_reservation_cancelled(both: Charger) -> None:
    mark = both.csms.mark()
    assert await reserve(both.csms) == "Accepted"
    await status(both.csms, "Reserved", 1, mark)
    assert await reserve(both.csms, number=8) == "Occupied"
    assert await cancel(both.csms, 8) == "Rejected"
    assert await cancel(both.csms) == "Accepted"
    await status(both.csms, "Available", 1, mark)
    assert statuses(both.csms, 1, mark) == ["Reserved", "Available"]
    assert both.csms.calls("ReservationStatusUpdate", mark) == []


async def test_a_connector_that_is_not_there_cannot_be_reserved(both: Charger) -> None:
    assert await reserve(both.csms, 9) == "Rejected"


async def test_a_connector_with_a_car_is_occupied(both: Charger) -> None:
    await both.do("plug-in")
    await status(both.csms, occupied(both.csms))
    assert await reserve(both.csms) == "Occupied"
    await both.do("unplug")
    await status(both.csms, "Available")


async def test_a_connector_out_of_service_is_unavailable(both: Charger) -> None:
    assert await availability(both.csms, False, 1) == "Accepted"
    await status(both.csms, "Unavailable")
    assert await reserve(both.csms) == "Unavailable"
    assert await availability(both.csms, True, 1) == "Accepted"
    await status(both.csms, "Available")


async def test_a_connector_with_a_fault_is_faulted_and_what_is_reserved_falls(both: Charger) -> None:
    mark = both.csms.mark()
    assert await reserve(both.csms) == "Accepted"
    await both.do("fault", name="ground")
    await status(both.csms, "Faulted")
    assert await reserve(both.csms) == "Faulted"
    await both.do("fault-clear", name="ground")
    await status(both.csms, "Available")
    assert await cancel(both.csms) == "Rejected"
    if both.csms.version == "2.0.1":
        update = await both.csms.hear("ReservationStatusUpdate", mark)
        assert update == {"reservationId": 7, "reservationUpdateStatus": "Removed"}


async def test_a_reservation_expires(both: Charger) -> None:
    mark = both.csms.mark()
    assert await reserve(both.csms, seconds=2) == "Accepted"
    await status(both.csms, "Reserved", 1, mark)
    await status(both.csms, "Available", 1, mark)
    assert await cancel(both.csms) == "Rejected"
    if both.csms.version == "2.0.1":
        update = await both.csms.hear("ReservationStatusUpdate", mark)
        assert update == {"reservationId": 7, "reservationUpdateStatus": "Expired"}


async def test_of_any_connector_as_many_are_reserved_as_there_are(both: Charger) -> None:
    mark = both.csms.mark()
    assert await reserve(both.csms, 0, number=1) == "Accepted"
    assert await reserve(both.csms, 0, OTHER_CARD, number=2) == "Accepted"
    for evse in (1, 2):
        await status(both.csms, "Reserved", evse, mark)
    assert await reserve(both.csms, 0, number=3) == "Occupied"
    assert await reserve(both.csms, 2, number=3) == "Occupied"
    for number in (1, 2):
        assert await cancel(both.csms, number) == "Accepted"
    for evse in (1, 2):
        await status(both.csms, "Available", evse, mark)


async def test_a_remote_start_of_somebody_else_is_rejected(both: Charger) -> None:
    assert await reserve(both.csms) == "Accepted"
    assert await remote_start(both.csms, OTHER_CARD) == "Rejected"
    assert await cancel(both.csms) == "Accepted"


async def test_the_keys_of_reservation(v16: Charger) -> None:
    assert await read(v16.csms, "ReserveConnectorZeroSupported") == "true"
    assert "Reservation" in (await read(v16.csms, "SupportedFeatureProfiles") or "").split(",")


@BOTH
async def test_nothing_is_reserved_where_the_configuration_says_so(version: str) -> None:
    async with charger(version, variables={"ReservationCtrlr.Enabled": False}) as c:
        await c.ready()
        assert await reserve(c.csms) == "Rejected"


def reservation_of(csms: Csms) -> list[int]:
    name = "StartTransaction" if csms.version == "1.6" else "TransactionEvent"
    return [p["reservationId"] for p in csms.calls(name) if "reservationId" in p]


@BOTH
async def test_a_stranger_is_refused_and_the_bearer_charges_after_a_restart_too(version: str) -> None:
    async with charger(version) as c:
        await c.ready()
        assert await reserve(c.csms) == "Accepted"
        await status(c.csms, "Reserved")
        (kept,) = (await c.status())["reservations"]
        assert (kept["id"], kept["evse"]) == (7, 1)
        assert CARD not in str(kept)
        assert await c.end() == 0
        mark = c.csms.mark()
        await c.start()
        await status(c.csms, "Reserved", 1, mark)
        await c.tap(OTHER_CARD)
        await until(lambda: "refused: it is reserved for others" in c.log, "the stranger is refused")
        assert await remote_start(c.csms, CARD) == "Accepted"
        await status(c.csms, occupied(c.csms) if version == "1.6" else "Available", 1, mark)
        await c.do("plug-in")
        assert (await begun(c.csms)).tag == CARD
        assert statuses(c.csms, 1, mark)[0] == "Reserved"  # never Available in between
        assert reservation_of(c.csms) == [7]
        assert await cancel(c.csms) == "Rejected"  # it is used up


@BOTH
async def test_a_card_of_the_same_group_uses_it(version: str) -> None:
    async with charger(version) as c:
        c.csms.cards[OTHER_CARD] = ("Accepted", "FLEET")
        await c.ready()
        assert await reserve(c.csms, 0, group="FLEET") == "Accepted"
        await status(c.csms, "Reserved")
        await c.tap(OTHER_CARD)
        await c.csms.hear("Authorize")
        await c.do("plug-in")
        assert (await begun(c.csms)).tag == OTHER_CARD
        assert reservation_of(c.csms) == [7]


async def test_with_a_start_at_the_plug_the_authorization_names_the_reservation_on_the_wire() -> None:
    async with charger("2.0.1", variables={"TxCtrlr.TxStartPoint": "EVConnected"}) as c:
        await c.ready()
        assert await reserve(c.csms) == "Accepted"
        await c.do("plug-in")
        await begun(c.csms)
        await c.tap()
        named = await c.csms.hear("TransactionEvent", reservationId=7)
        assert (named["eventType"], named["triggerReason"]) == ("Updated", "Authorized")
