"""SendLocalList and GetLocalListVersion: every answer, whom the list lets charge, and that it is kept."""

from __future__ import annotations

import pytest

from tests.conformance.ledger import begun, change, charges, over, read, status
from tests.conformance.lists import accepted, list_version, many, send_list
from tests.end_to_end.agent_helpers import CARD, OTHER_CARD, STRANGER, Charger, charger, until

pytestmark = pytest.mark.asyncio(loop_scope="module")
BOTH = pytest.mark.parametrize("version", ["1.6", "2.0.1"])


async def test_a_list_is_taken_changed_and_cleared(both: Charger) -> None:
    assert await list_version(both.csms) == 0
    assert await send_list(both.csms, 3, accepted("A", "B")) == "Accepted"
    assert await list_version(both.csms) == 3
    assert await send_list(both.csms, 4, [("A", "", ""), ("C", "Blocked", "G")], "Differential") == "Accepted"
    assert await list_version(both.csms) == 4
    assert await send_list(both.csms, 5, []) == "Accepted"
    assert await list_version(both.csms) == 0


async def test_an_update_to_a_version_that_is_not_newer_is_a_mismatch(both: Charger) -> None:
    assert await send_list(both.csms, 7, accepted("A")) == "Accepted"
    assert await send_list(both.csms, 7, accepted("B"), "Differential") == "VersionMismatch"
    assert await list_version(both.csms) == 7
    assert await send_list(both.csms, 0, []) == "Accepted"


async def test_a_token_twice_in_one_message_fails(both: Charger) -> None:
    assert await send_list(both.csms, 8, accepted("a", "A")) == "Failed"
    assert await list_version(both.csms) == 0


async def test_the_longest_message_is_taken_and_a_longer_one_fails(both: Charger) -> None:
    assert await send_list(both.csms, 9, many(250)) == "Accepted"
    assert await send_list(both.csms, 10, many(251)) == "Failed"
    assert await list_version(both.csms) == 9
    assert await send_list(both.csms, 10, []) == "Accepted"


async def test_the_keys_of_the_list_tell_its_limits(v16: Charger) -> None:
    names = ("LocalAuthListEnabled", "LocalAuthListMaxLength", "SendLocalListMaxLength")
    assert [await read(v16.csms, name) for name in names] == ["true", "10000", "250"]
    assert "LocalAuthListManagement" in (await read(v16.csms, "SupportedFeatureProfiles") or "")


async def test_a_list_that_is_switched_off_is_version_minus_1_and_not_supported(v16: Charger) -> None:
    assert await change(v16.csms, "LocalAuthListEnabled", "false") == "Accepted"
    assert await list_version(v16.csms) == -1
    assert await send_list(v16.csms, 1, accepted("A")) == "NotSupported"
    assert await change(v16.csms, "LocalAuthListEnabled", "true") == "Accepted"
    assert await list_version(v16.csms) == 0


@BOTH
async def test_online_the_list_answers_only_where_local_pre_authorize_says_so(version: str) -> None:
    async with charger(version) as c:
        await c.ready()
        assert await send_list(c.csms, 1, [*accepted(CARD), (OTHER_CARD, "Blocked", "")]) == "Accepted"
        await c.tap()
        await c.csms.hear("Authorize")
        await c.tap()  # taken back
        assert await change(c.csms, "LocalPreAuthorize", "true") == "Accepted"
        mark = c.csms.mark()
        await c.tap(OTHER_CARD)  # blocked here: the CSMS may know better, and does
        await c.csms.hear("Authorize", mark)
        if version == "1.6":  # section 3.5.2
            await c.csms.hear("StatusNotification", mark, connectorId=0, errorCode="LocalListConflict")
        await c.tap(OTHER_CARD)
        mark = c.csms.mark()
        await c.do("plug-in")
        await c.tap()
        assert (await begun(c.csms)).tag == CARD
        assert c.csms.calls("Authorize", mark) == []


@BOTH
async def test_offline_and_after_a_restart_the_list_lets_its_cards_charge_and_no_other(version: str) -> None:
    async with charger(version, variables={"AuthCtrlr.OfflineTxForUnknownIdEnabled": True}) as c:
        await c.ready()
        cards = [(CARD, "Accepted", "FLEET"), (OTHER_CARD, "Accepted", "FLEET"), (STRANGER, "Blocked", "")]
        assert await send_list(c.csms, 5, cards) == "Accepted"
        await c.end()
        c.csms.refusing = True
        await c.start()
        await c.do("plug-in")
        await until(lambda: "-> B" in c.log, "the plug is seen")
        await c.tap(STRANGER)
        await until(lambda: "refused: " in c.log, "the blocked card is refused")
        await c.tap()
        await c.charging()
        await c.tap(OTHER_CARD)  # of the same group
        await c.wait("contactor", "open")
        c.csms.mend()
        charge = await over(c.csms)
        assert (charge.tag, charge.stop_tag, charge.reason) == (CARD, OTHER_CARD, "Local")
        assert await list_version(c.csms) == 5
        assert CARD not in c.log
        await c.delivered()
        assert len(charges(c.csms)) == 1


@BOTH
async def test_a_list_of_ten_thousand_is_taken_piece_by_piece_and_told(version: str) -> None:
    async with charger(version) as c:
        await c.ready()
        for part in range(40):
            assert await send_list(c.csms, part + 1, many(250, part * 250), "Differential") == "Accepted"
        assert await send_list(c.csms, 41, accepted(CARD), "Differential") == "Failed"
        told = (await c.status())["local_list"]
        assert told == {"enabled": True, "version": 40, "entries": 10_000}
        await c.end()
        await c.start()
        await status(c.csms, "Available", 1, c.csms.mark())
        assert await list_version(c.csms) == 40
