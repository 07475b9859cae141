"""The demo's central system on a real socket, asked by a client that speaks OCPP word by word."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosedError, InvalidStatus

from agent.demo.central import Central, Crossed, Refused

CARD = "0100A57C21"
DEADLINE_S = 15.0
START_16 = {"connectorId": 1, "idTag": CARD, "meterStart": 1000, "timestamp": "2026-11-21T10:00:00Z"}


class Scene:
    def __init__(self, central: Central, crossed: list[Crossed], link: ClientConnection) -> None:
        self.central, self.crossed, self.link = central, crossed, link

    async def call(self, action: str, payload: dict[str, Any]) -> Any:
        """The answer's payload, or the code of the error."""
        await self.link.send(json.dumps([2, "x", action, payload]))
        answer = json.loads(await asyncio.wait_for(self.link.recv(), DEADLINE_S))
        assert answer[1] == "x"
        return answer[2]

    async def answer_next(self, answer: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """What we are told to do; it is answered."""
        _two, number, action, payload = json.loads(await asyncio.wait_for(self.link.recv(), DEADLINE_S))
        await self.link.send(json.dumps([3, number, answer]))
        return action, payload


@asynccontextmanager
async def scene(version: str) -> AsyncIterator[Scene]:
    crossed: list[Crossed] = []
    central = Central(crossed.append)
    await central.open()
    try:
        async with connect(f"{central.url}/CP001", subprotocols=[f"ocpp{version}"], proxy=None) as link:  # type: ignore[list-item]
            yield Scene(central, crossed, link)
    finally:
        await central.cut()


def event(seq: int, kind: str, energy_wh: float, **more: Any) -> dict[str, Any]:
    sample = {"value": energy_wh / 1000, "unitOfMeasure": {"unit": "kWh"}, "measurand": "Energy.Active.Import.Register"}
    return {
        "eventType": kind,
        "seqNo": seq,
        "timestamp": "2026-11-21T10:00:00Z",
        "triggerReason": "MeterValuePeriodic",
        "transactionInfo": {"transactionId": "t-1"},
        "meterValue": [{"timestamp": "2026-11-21T10:00:00Z", "sampledValue": [sample]}],
    } | more


@pytest.mark.parametrize("version", ["1.6", "2.0.1"])
async def test_a_boot_is_accepted_and_told_in_words(version: str) -> None:
    old = {"chargePointVendor": "Example", "chargePointModel": "W22"}
    new = {"reason": "PowerUp", "chargingStation": {"vendorName": "Example", "model": "W22"}}
    async with scene(version) as s:
        answer = await s.call("BootNotification", old if version == "1.6" else new)
    assert answer["status"] == "Accepted"
    assert Crossed(True, "BootNotification", "I have started; this is Example W22") in s.crossed


async def test_an_unknown_action_is_an_error() -> None:
    async with scene("1.6") as s:
        assert await s.call("MakeCoffee", {}) == "NotImplemented"


async def test_a_payload_that_makes_no_sense_is_an_error_and_the_link_stays() -> None:
    async with scene("2.0.1") as s:
        assert await s.call("TransactionEvent", {"eventType": "Started"}) == "InternalError"
        assert "currentTime" in await s.call("Heartbeat", {})


@pytest.mark.parametrize(("card", "verdict"), [(CARD, "Accepted"), ("0100BADBAD", "Blocked"), ("FF", "Invalid")])
async def test_cards_are_known_blocked_or_invalid(card: str, verdict: str) -> None:
    async with scene("1.6") as s:
        assert (await s.call("Authorize", {"idTag": card}))["idTagInfo"]["status"] == verdict


async def test_a_start_told_twice_is_one_transaction_1_6() -> None:
    async with scene("1.6") as s:
        first = await s.call("StartTransaction", START_16)
        assert await s.call("StartTransaction", START_16) == first
        assert len(s.central.ledger) == 1


async def test_a_whole_charge_is_billed_1_6() -> None:
    async with scene("1.6") as s:
        number = (await s.call("StartTransaction", START_16))["transactionId"]
        sample = {"value": "1.040", "unit": "kWh"}
        meter = [{"timestamp": "2026-11-21T10:01:00Z", "sampledValue": [sample]}]
        await s.call("MeterValues", {"connectorId": 1, "transactionId": number, "meterValue": meter})
        running = s.central.ledger.open()
        assert running is not None
        assert running.energy_wh == 40
        stop = {"transactionId": number, "meterStop": 1062, "timestamp": "2026-11-21T10:02:00Z", "reason": "Local"}
        for _ in range(2):
            await s.call("StopTransaction", stop)
        assert (running.energy_wh, running.is_open, running.told_twice) == (62, False, 1)


async def test_a_whole_charge_is_billed_2_0_1() -> None:
    async with scene("2.0.1") as s:
        await s.call("TransactionEvent", event(0, "Started", 1000, idToken={"idToken": CARD, "type": "ISO14443"}))
        for _ in range(2):
            await s.call("TransactionEvent", event(1, "Updated", 1040, offline=True))
        await s.call("TransactionEvent", event(2, "Ended", 1062))
        (bill,) = s.central.ledger
        assert (bill.id, bill.card, bill.energy_wh, bill.is_open) == ("t-1", CARD, 62, False)
        assert (bill.told_twice, bill.told_offline, bill.missing) == (1, 1, [])


async def test_the_current_is_lowered_by_a_profile_of_the_transaction_1_6() -> None:
    async with scene("1.6") as s:
        number = (await s.call("StartTransaction", START_16))["transactionId"]
        lowering = asyncio.create_task(s.central.limit_current(10))
        action, payload = await s.answer_next({"status": "Accepted"})
        await asyncio.wait_for(lowering, DEADLINE_S)
    profile = payload["csChargingProfiles"]
    assert (action, profile["transactionId"]) == ("SetChargingProfile", number)
    assert profile["chargingSchedule"]["chargingSchedulePeriod"] == [{"startPeriod": 0, "limit": 10}]


async def test_a_charger_that_says_no_is_a_refusal() -> None:
    async with scene("2.0.1") as s:
        await s.call("TransactionEvent", event(0, "Started", 1000))
        lowering = asyncio.create_task(s.central.limit_current(10))
        await s.answer_next({"status": "Rejected"})
        with pytest.raises(Refused, match="Rejected"):
            await asyncio.wait_for(lowering, DEADLINE_S)


@pytest.mark.parametrize(
    ("version", "start", "stop"),
    [
        ("1.6", "RemoteStartTransaction", "RemoteStopTransaction"),
        ("2.0.1", "RequestStartTransaction", "RequestStopTransaction"),
    ],
)
async def test_a_charge_can_be_begun_and_ended_from_afar(version: str, start: str, stop: str) -> None:
    async with scene(version) as s:
        starting = asyncio.create_task(s.central.start(CARD))
        assert (await s.answer_next({"status": "Accepted"}))[0] == start
        await asyncio.wait_for(starting, DEADLINE_S)
        s.central.ledger.begin("1", CARD, "now", "1")
        stopping = asyncio.create_task(s.central.stop())
        assert (await s.answer_next({"status": "Accepted"}))[0] == stop
        await asyncio.wait_for(stopping, DEADLINE_S)


async def test_nobody_can_be_told_anything_when_nobody_is_there() -> None:
    central = Central(lambda _crossed: None)
    with pytest.raises(Refused, match="no charger"):
        await central.start(CARD)
    with pytest.raises(Refused, match="no transaction"):
        await central.limit_current(10)


async def test_a_cut_is_no_goodbye_and_the_port_comes_back() -> None:
    async with scene("1.6") as s:
        port = s.central.port
        await s.central.cut()
        with pytest.raises(ConnectionClosedError) as lost:
            await asyncio.wait_for(s.link.recv(), DEADLINE_S)
        assert lost.value.rcvd is None
        await s.central.open()
        assert s.central.port == port


async def test_a_version_that_is_not_offered_is_not_spoken() -> None:
    central = Central(lambda _crossed: None, ("1.6",))
    await central.open()
    try:
        async with connect(f"{central.url}/CP001", subprotocols=["ocpp2.0.1", "ocpp1.6"], proxy=None) as link:  # type: ignore[list-item]
            assert link.subprotocol == "ocpp1.6"
        with pytest.raises(InvalidStatus):
            await connect(f"{central.url}/CP001", subprotocols=["ocpp2.0.1"], proxy=None)  # type: ignore[list-item]
    finally:
        await central.cut()
