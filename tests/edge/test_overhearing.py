"""What `chargepoint trace` hears: decoded, filtered, without secrets; and nothing is made while nobody listens."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from agent.core.types import ClockQuality, Instant
from agent.edge.control import Peer
from agent.edge.trace import MAX_UNHEARD, Trace
from agent.errors import AgentError
from agent.overhearing import Overhearing
from drivers.busstats import Exchange

CARD, PASSWORD = "0100A57C21", "correct-horse-battery"
NOBODY = Peer(1, 0, 0)


class Desk:
    """As much of the agent as is overheard."""

    def __init__(self) -> None:
        clock = SimpleNamespace(mono=lambda: 5.0, now=lambda: Instant(5.0, 1_800_000_000.25, ClockQuality.SYNCED, "b"))
        self.trace = Trace(clock.mono)
        self.bus = SimpleNamespace(tap=None)
        tx = SimpleNamespace(id="ours", csms_id="4711")
        facts = SimpleNamespace(evses={2: SimpleNamespace(id=2, tx=tx)})
        daemon: Any = SimpleNamespace(
            clock=clock, support=SimpleNamespace(trace=self.trace), log=SimpleNamespace(secrets=(PASSWORD,)),
            built=SimpleNamespace(parts=SimpleNamespace(buses={"b": self.bus}), station=SimpleNamespace(facts=facts)),
            recorder=None,
        )  # fmt: skip
        self.overhearing = Overhearing(daemon)

    async def listen(self, **wish: Any) -> AsyncIterator[dict[str, Any]]:
        """The lines; it listens when this returns."""
        lines = (await self.overhearing.trace({"for_s": 5.0, **wish}, NOBODY)).lines
        self.first = asyncio.ensure_future(anext(lines))
        await asyncio.sleep(0)
        return lines

    async def heard(self, lines: AsyncIterator[dict[str, Any]], count: int) -> list[dict[str, Any]]:
        async with asyncio.timeout(5):
            found = [await self.first, *[await anext(lines) for _ in range(count - 1)]]
        await lines.aclose()  # type: ignore[attr-defined]
        return found

    def call(self, way: str, action: str, payload: dict[str, Any], number: str = "1") -> None:
        self.trace.add(way, json.dumps([2, number, action, payload]))

    def answer(self, way: str, payload: dict[str, Any], number: str = "1") -> None:
        self.trace.add(way, json.dumps([3, number, payload]))

    def exchange(self, label: str = "meter of EVSE 1 (unit 2 on b)", error: str = "") -> None:
        device = SimpleNamespace(unit=2, label=label, maps=[])
        self.bus.tap(Exchange("b", device, 4, 0, 1, [] if error else [7], error, 0.0123))


@pytest.fixture
def desk() -> Desk:
    return Desk()


async def test_a_call_and_its_answer_are_told_with_action_and_evse(desk: Desk) -> None:
    lines = await desk.listen(kind="ocpp")
    desk.call(">", "StatusNotification", {"connectorId": 2, "status": "Available"})
    desk.answer("<", {})
    told = await desk.heard(lines, 2)
    assert [(line["action"], line["evse"], line["way"]) for line in told] == [
        ("StatusNotification", 2, ">"),
        ("StatusNotification answered", 2, "<"),
    ]
    assert told[0]["at"] == "2027-01-15T08:00:00.250Z"


@pytest.mark.parametrize(
    "payload", [{"transactionId": 4711}, {"transactionInfo": {"transactionId": "ours"}}, {"evse": {"id": 2}}], ids=str
)
async def test_an_evse_is_found_also_where_only_its_transaction_is_named(desk: Desk, payload: dict[str, Any]) -> None:
    lines = await desk.listen(kind="ocpp", evse=2)
    desk.call(">", "Heartbeat", {})
    desk.call(">", "TransactionEvent", payload)
    assert [line["action"] for line in await desk.heard(lines, 1)] == ["TransactionEvent"]


async def test_only_the_action_that_is_wanted_is_told(desk: Desk) -> None:
    lines = await desk.listen(action="auth")
    desk.call(">", "Heartbeat", {})
    desk.call(">", "Authorize", {"idToken": {"idToken": CARD, "type": "ISO14443"}}, "2")
    (told,) = await desk.heard(lines, 1)
    assert (told["action"], CARD in told["text"]) == ("Authorize", False)


async def test_no_secret_is_told(desk: Desk) -> None:
    lines = await desk.listen()
    desk.call("<", "ChangeConfiguration", {"key": "AuthorizationKey", "value": "a-new-password-1"})
    desk.trace.add("=", f"refused {PASSWORD}")
    told = str(await desk.heard(lines, 2))
    assert "AuthorizationKey" in told
    assert [secret for secret in (PASSWORD, "a-new-password") if secret in told] == []


async def test_an_exchange_is_told_with_its_device_and_what_went_wrong(desk: Desk) -> None:
    lines = await desk.listen(kind="modbus", device="meter", evse=1)
    desk.exchange("controller of EVSE 1 (unit 1 on b)")
    desk.exchange("meter of EVSE 11 (unit 9 on b)")
    desk.exchange()
    desk.exchange(error="no answer in 0.5 s")
    well, ill = await desk.heard(lines, 2)
    assert (well["what"], well["values"], well["took_ms"]) == ("read 1 at 0000", [["", "", "0007"]], 12.3)
    assert (ill["error"], ill["values"]) == ("no answer in 0.5 s", [])


async def test_when_the_last_hearer_goes_nothing_is_made_any_more(desk: Desk) -> None:
    lines = await desk.listen()
    assert desk.bus.tap is not None
    desk.exchange()
    await desk.heard(lines, 1)
    assert (desk.bus.tap, desk.trace._listeners) == (None, [])


async def test_who_does_not_take_it_in_time_is_told_how_much_he_has_missed(desk: Desk) -> None:
    lines = await desk.listen(kind="ocpp")
    for _ in range(MAX_UNHEARD + 5):
        desk.call(">", "Heartbeat", {})
    told = await desk.heard(lines, 3)
    assert {"kind": "missed", "count": 5} in told


@pytest.mark.parametrize("text", ["", "[", "7", "[2]", '[2,"1"]', "[3]", '[4,"9","X"]', "{}", '[2,"1","A",[1]]'])
async def test_a_frame_that_is_none_is_told_as_it_is(desk: Desk, text: str) -> None:
    lines = await desk.listen(kind="ocpp")
    desk.trace.add("<", text)
    assert (await desk.heard(lines, 1))[0]["kind"] == "ocpp"


async def test_a_kind_that_is_none_is_refused(desk: Desk) -> None:
    with pytest.raises(AgentError, match="ocpp or modbus"):
        await desk.overhearing.trace({"kind": "carrier pigeons"}, NOBODY)
