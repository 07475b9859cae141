"""What becomes of transaction messages that the central system refuses, or leaves unanswered."""

from __future__ import annotations

import pytest

from tests.conformance.csms import Payload, Refusal
from tests.conformance.ledger import begun, charges, over, remote_start, status
from tests.end_to_end.agent_helpers import Charger, charger, eventually, until

BOTH = pytest.mark.parametrize("version", ["1.6", "2.0.1"])
QUICK = {"TransactionMessageAttempts": 2, "TransactionMessageRetryInterval": 0}


def is_end(p: Payload) -> bool:
    return "meterStop" in p or p.get("eventType") == "Ended"


async def one_charge(c: Charger) -> None:
    await c.do("plug-in")
    await c.tap()
    await c.wait("contactor", "closed")
    await c.do("unplug")
    await until(lambda: "TransactionEnded" in c.log, "the charge ends")


def stopper(version: str) -> str:
    return "StopTransaction" if version == "1.6" else "TransactionEvent"


@BOTH
async def test_lesson_5_a_stop_that_is_always_refused_is_kept_aside_and_later_charges_go_on(version: str) -> None:
    async with charger(version, variables=QUICK) as c:
        await c.ready()
        sent: list[Payload] = []

        def refuse_first(p: Payload) -> Payload | Refusal:
            first = not sent or [p.get(k) for k in KEYS] == [sent[0].get(k) for k in KEYS]
            if is_end(p) and first:
                sent.append(p)
                return Refusal("InternalError", "no such thing")
            return c.csms._usual(p)

        c.csms.on(stopper(version), refuse_first)
        await one_charge(c)

        async def letters() -> list[Payload]:
            return list((await c.status())["dead_letters"])

        letter = (await eventually(letters, "a dead letter"))[0]
        assert len(sent) == 2
        assert (letter["kind"], letter["evse"]) == ("Ended", 1)
        assert "InternalError" in letter["why"]
        await status(c.csms, "Available")
        await c.do("plug-in")
        await c.tap()
        await begun(c.csms, 2)
        await c.do("unplug")
        assert (await over(c.csms, 2)).reason == "EVDisconnected"
        await c.end()
        await c.start()
        again = (await eventually(letters, "the dead letter after a restart"))[0]
        assert again["id"] == letter["id"]


KEYS = ("transactionId", "transactionInfo", "timestamp")


@BOTH
async def test_a_start_that_is_always_refused_blocks_nothing(version: str) -> None:
    async with charger(version, variables=QUICK) as c:
        await c.ready()
        start = "StartTransaction" if version == "1.6" else "TransactionEvent"
        refused: list[str] = []

        def refuse(p: Payload) -> Payload | Refusal:
            name = str(p.get("transactionInfo", {}).get("transactionId", ""))
            if p.get("eventType", "Started") == "Started" and (not refused or (version == "1.6" and len(refused) < 2)):
                refused.append(name)
            if version == "1.6" and len(refused) <= 2 and len(c.csms.calls(start)) <= 2:
                return Refusal("InternalError")
            if version == "2.0.1" and name in refused and p["eventType"] == "Started":
                return Refusal("InternalError")
            return c.csms._usual(p)

        c.csms.on(start, refuse)
        await one_charge(c)

        async def letters() -> bool:
            found = await c.status()
            return bool(found["dead_letters"] and found["queue"]["rows"] == 0)

        await eventually(letters, "the rest is delivered")
        if version == "1.6":  # errata 3.18: -1 stands for a transaction whose start could not be delivered
            assert (await c.csms.hear("StopTransaction"))["transactionId"] == -1
        await status(c.csms, "Available")


@BOTH
async def test_one_message_that_is_never_answered_becomes_a_dead_letter_when_others_are(version: str) -> None:
    variables = QUICK | {"MessageTimeout": 1}
    async with charger(version, variables=variables) as c:
        await c.ready()
        c.csms.on(stopper(version), lambda p: None if is_end(p) else c.csms._usual(p))
        await one_charge(c)

        async def letters() -> list[Payload]:
            return list((await c.status())["dead_letters"])

        letter = (await eventually(letters, "a dead letter"))[0]
        assert "never answered" in letter["why"]
        assert c.csms.links == 1
        assert await remote_start(c.csms, "NEXT") == "Accepted"


@BOTH
async def test_a_csms_that_answers_nothing_any_more_loses_the_link_and_nothing_else(version: str) -> None:
    variables = QUICK | {"MessageTimeout": 1}
    async with charger(version, variables=variables) as c:
        await c.ready()
        for action in (stopper(version), "Heartbeat", "StatusNotification", "StartTransaction", "MeterValues"):
            c.csms.on(action, None)
        await c.do("plug-in")
        await c.tap()
        await c.charging()
        await c.csms.until(lambda: c.csms.links >= 2, "the link is dropped and dialled again")
        for action in (stopper(version), "Heartbeat", "StatusNotification", "StartTransaction", "MeterValues"):
            c.csms.as_usual(action)
        await begun(c.csms)
        await c.do("unplug")
        await over(c.csms)
        assert (await c.status())["dead_letters"] == []
        assert len(charges(c.csms)) == 1
